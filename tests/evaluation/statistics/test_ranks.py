"""Ranks, reliability and classes by hand and against xskillscore."""

import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.statistics import ranks as statistics_ranks


def ranks_of(x, y, weights=None, seed=0):
    weights = np.ones((1, len(y))) if weights is None else weights
    return statistics_ranks.rank_sums(x, y, weights, np.random.default_rng(seed))


def test_ranks_by_hand():
    members = np.array([[1.0, 1.0, 1.0], [2.0, 3.0, 2.0]])
    truth, weights = np.array([0.0, 2.0, 9.0]), np.array([[1.0, 2.0, 4.0], [1.0, 0.0, 0.0]])
    ranks = ranks_of(members, truth, weights)
    assert ranks.tolist() == [[1, 2, 4], [1, 0, 0]]
    np.testing.assert_allclose(statistics_ranks.rank_histogram(ranks), [[3 / 7, 6 / 7, 12 / 7], [3, 0, 0]])
    np.testing.assert_allclose(statistics_ranks.observed(ranks), [[1 / 7, 3 / 7], [1, 1]])
    np.testing.assert_allclose(statistics_ranks.nominal(2), [1 / 3, 2 / 3])
    expected = [(1 / 3 - 1 / 7 + 2 / 3 - 3 / 7) / 2, (2 / 3 + 1 / 3) / 2]
    np.testing.assert_allclose(statistics_ranks.reliability_error(ranks), expected)


def test_ties_are_shared_evenly_and_repeat():
    members, truth = np.zeros((3, 40_000)), np.zeros(40_000)
    members[2] = 1  # ranks 0, 1, 2 are possible
    ranks = ranks_of(members, truth)
    np.testing.assert_allclose(ranks[0] / 40_000, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.01)
    np.testing.assert_array_equal(ranks, ranks_of(members, truth))
    assert (ranks != ranks_of(members, truth, seed=1)).any()


@pytest.mark.filterwarnings('ignore')
def test_rank_histogram_agrees_with_xskillscore():
    xskillscore = pytest.importorskip('xskillscore')
    rng = np.random.default_rng(2)
    members, truth = rng.normal(size=(6, 500)), 1.3 * rng.normal(size=500)
    expected = xskillscore.rank_histogram(
        xr.DataArray(truth, dims='x'), xr.DataArray(members, dims=('member', 'x')), dim='x'
    )
    np.testing.assert_array_equal(ranks_of(members, truth)[0], expected.values)


def test_calibrated_ensemble_is_flat_and_on_the_diagonal():
    draw = np.random.default_rng(3).normal(size=(10, 200_000))
    ranks = ranks_of(draw[1:], draw[0])
    np.testing.assert_allclose(statistics_ranks.rank_histogram(ranks), 1, atol=0.03)
    np.testing.assert_allclose(statistics_ranks.observed(ranks)[0], statistics_ranks.nominal(9), atol=0.004)


def test_reliability_curve_of_known_spread():
    """An ensemble of half the true spread: the truth lies below its quantile q with probability Phi(z_q / 2)."""
    from scipy.stats import norm

    rng = np.random.default_rng(4)
    count = 199
    ranks = ranks_of(0.5 * rng.normal(size=(count, 20_000)), rng.normal(size=20_000))
    expected = norm.cdf(0.5 * norm.ppf(statistics_ranks.nominal(count)))
    np.testing.assert_allclose(statistics_ranks.observed(ranks)[0], expected, atol=0.015)


def test_regimes_partition_the_field():
    field = np.array([[0.0, 0.15, 0.9], [1.0, 5.0, np.nan]])
    classes = statistics_ranks.regimes(field, (0.15, 1.0))
    assert statistics_ranks.regime_names((0.15, 1.0)) == ['below 0.15', '0.15 to 1', 'over 1']
    assert classes[:, 0].tolist() == [[True, False, False], [False, True, True], [False, False, False]]
    assert classes[:, 1].tolist() == [[False] * 3, [False] * 3, [True, True, False]]


def test_season_in_any_calendar():
    standard = np.array(['2020-01-15', '2020-03-01', '2020-08-31', '2020-09-01'], 'datetime64[ns]')
    assert statistics_ranks.season(standard).tolist() == ['DJF', 'MAM', 'JJA', 'SON']
    other = np.array([cftime.Datetime360Day(2000, 2, 30), cftime.Datetime360Day(2000, 12, 1)])
    assert statistics_ranks.season(other).tolist() == ['DJF', 'DJF']


def test_large_edges_have_distinct_names():
    names = statistics_ranks.regime_names((1008.0, 1012.0, 1014.0))
    assert names == ['below 1008', '1008 to 1012', '1012 to 1014', 'over 1014']
