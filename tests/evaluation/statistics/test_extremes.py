"""Scores of high values against `scores`, brute force and closed forms."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from downscale_jax.evaluation.statistics import extremes
from downscale_jax.evaluation.statistics.bootstrap import bootstrap, total
from downscale_jax.evaluation.statistics.extremes import (
    LEVELS,
    edges,
    fss_sums,
    histogram,
    quantile_sums,
    quantiles,
    summarise,
    tail_crps_sums,
)

BINS = edges(-5, 5)


def day(seed=0, members=5, shape=(20, 24)):
    """(members, truth, weight); a cell in four has no truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=shape).astype(np.float32)
    ensemble = (0.6 * truth + 0.8 * rng.normal(size=(members, *shape))).astype(np.float32)
    truth[rng.random(shape) < 0.25] = np.nan
    return ensemble, truth, rng.uniform(0.5, 2, shape)


def all_sums(seed=0, members=5):
    one = day(seed, members)
    return {
        **quantile_sums(*one, BINS),
        **fss_sums(*one, (0.5, 1.0), (1, 3, 5)),
        **tail_crps_sums(*one, (0.5, 1.0)),
    }


def fss_of(*arguments):
    sums = fss_sums(*arguments)
    return 1 - sums['fss_error'] / sums['fss_reference']


def arrays(*fields):
    return (xr.DataArray(field.astype(float), dims=('member', 'y', 'x')[-field.ndim :]) for field in fields)


def test_quantiles_of_a_normal_distribution():
    counts = 1e6 * np.diff(stats.norm.cdf(BINS))
    np.testing.assert_allclose(quantiles(counts, BINS), stats.norm.ppf(LEVELS), atol=1e-4)


def test_quantiles_are_those_of_the_pooled_values():
    ensemble, truth, _ = day(members=8, shape=(60, 80))
    weight = np.random.default_rng(1).integers(0, 4, truth.shape).astype(float)
    sums = quantile_sums(ensemble, truth, weight, BINS)
    valid, times = np.isfinite(truth), weight.astype(int)
    for name, values in (('histogram', ensemble), ('histogram_truth', truth[None])):
        pooled = np.concatenate([np.repeat(one[valid], times[valid]) for one in values])
        expected = np.quantile(pooled, LEVELS, method='inverted_cdf')
        np.testing.assert_allclose(quantiles(sums[name], BINS), expected, atol=2 * (BINS[1] - BINS[0]))
        assert sums[name].sum() == pytest.approx(weight[valid].sum())


def test_quantile_error_shows_what_a_smooth_field_lacks():
    ensemble, truth, weight = day(members=50, shape=(80, 80))
    truth = np.nan_to_num(truth)
    rest = {name: np.ones((1, 1)) for name in ('fss_error', 'fss_reference', 'tail_crps')} | {'tail_weight': np.ones(1)}
    mean = summarise(rest | quantile_sums(ensemble.mean(0)[None], truth, weight, BINS), BINS)
    assert (mean['quantile_error'] < -0.3).all()
    same = summarise(rest | quantile_sums(truth[None], truth, weight, BINS), BINS)
    np.testing.assert_allclose(same['quantile_error'], 0, atol=1e-12)


def test_values_beyond_the_edges_are_kept_in_the_outermost_bins():
    found = histogram(np.array([[-99.0, 0.0], [99.0, 99.0]]), np.array([1.0, 2.0]), np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(found, [1, 0, 2, 3])


def test_no_value_no_quantile():
    assert np.isnan(quantiles(np.zeros((3, 8)), np.linspace(0, 1, 9))).all()


@pytest.mark.parametrize('window', [1, 3, 7])
def test_fss_of_scores(window):
    spatial = pytest.importorskip('scores.spatial')
    # no event within a window of the rim: then it does not matter how windows are cut off there
    inner = np.pad(np.ones((24, 22), bool), 8)
    truth, field = (np.where(inner, one, -9) for one in np.random.default_rng(0).normal(size=(2, *inner.shape)))
    expected = spatial.fss_2d(
        *arrays(field, truth), event_threshold=0.8, window_size=(window, window), spatial_dims=('y', 'x')
    )
    found = fss_of(field[None], truth, np.full(truth.shape, 3.0), (0.8,), (window,))
    assert found[0, 0] == pytest.approx(float(expected), rel=1e-9)
    assert 0.1 < found[0, 0] < 0.95


def brute_fss(members, truth, weight, threshold, window):
    half, valid = window // 2, np.isfinite(truth) & (weight > 0)
    error = reference = 0.0
    for i, j in np.argwhere(valid):
        here = (slice(max(0, i - half), i + half + 1), slice(max(0, j - half), j + half + 1))
        inside = valid[here]
        expected = np.mean(truth[here][inside] > threshold)
        found = np.mean(members[:, here[0], here[1]][:, inside] > threshold)
        error += weight[i, j] * (found - expected) ** 2
        reference += weight[i, j] * (found**2 + expected**2)
    return 1 - error / reference


def test_fss_of_an_ensemble_with_missing_cells():
    ensemble, truth, weight = day()
    weight[4:6] = 0
    found = fss_of(np.where(np.isnan(truth), np.nan, ensemble), truth, weight, (0.3, 1.2), (1, 5))
    for q, threshold in enumerate((0.3, 1.2)):
        for s, window in enumerate((1, 5)):
            assert found[q, s] == pytest.approx(brute_fss(ensemble, truth, weight, threshold, window), rel=1e-9)


def test_fss_of_a_shifted_line():
    # Roberts and Lean 2008, figure 4: lines 3 cells apart share 1 - 3/n of a window of n cells
    truth, field = np.zeros((2, 60, 101))
    truth[:, 50] = field[:, 53] = 1
    found = fss_of(field[None], truth, np.ones(truth.shape), (0.5,), (1, 3, 5, 9, 15))
    np.testing.assert_allclose(found[0], [0, 0, 2 / 5, 6 / 9, 12 / 15], atol=1e-9)


def test_fss_of_perfect_and_of_no_events():
    _, truth, weight = day()
    np.testing.assert_array_equal(fss_of(np.nan_to_num(truth)[None], truth, weight, (0.0, 1.0), (1, 5)), 1)
    sums = all_sums() | fss_sums(np.nan_to_num(truth)[None], truth, weight, (99.0,), (1, 5))
    assert np.isnan(summarise(sums, BINS)['fss']).all()


@pytest.mark.parametrize('threshold', [-0.5, 0.7])
def test_tail_crps_of_scores(threshold):
    probability = pytest.importorskip('scores.probability')
    ensemble, truth, weight = day()
    sums = tail_crps_sums(ensemble, truth, weight, (threshold,))
    x, y = arrays(ensemble, truth)
    expected = probability.tail_tw_crps_for_ensemble(
        x, y, 'member', threshold, method='fair', weights=xr.DataArray(weight, dims=('y', 'x'))
    )
    assert sums['tail_crps'][0] / sums['tail_weight'] == pytest.approx(float(expected), rel=1e-6)


def test_tail_crps_of_a_single_field():
    continuous = pytest.importorskip('scores.continuous')
    ensemble, truth, weight = day(members=1)
    sums = tail_crps_sums(ensemble, truth, weight * 0 + 1, (0.7,))
    expected = continuous.tw_absolute_error(*arrays(ensemble[0], truth), interval_where_one=(0.7, np.inf))
    assert sums['tail_crps'][0] / sums['tail_weight'] == pytest.approx(float(expected), rel=1e-6)


def test_tail_crps_of_normal_members():
    # the integral over z from t on of E[(F(z) - 1{y <= z})^2] = F (1 - F), members and truth from one distribution
    rng = np.random.default_rng(5)
    z = np.linspace(1, 9, 20_001)
    expected = np.trapezoid(stats.norm.cdf(z) * stats.norm.sf(z), z)
    for members in (2, 9):
        fields = rng.normal(size=(members + 1, 500, 500))
        sums = tail_crps_sums(fields[1:], fields[0], np.ones((500, 500)), (1.0,))
        assert sums['tail_crps'][0] / sums['tail_weight'] == pytest.approx(expected, rel=0.03)


def test_times_are_added_before_ratios():
    times = [all_sums(seed) for seed in range(6)]
    stacked = summarise({name: np.stack([time[name] for time in times]) for name in times[0]}, BINS)
    assert {name: value.shape for name, value in stacked.items()} == {
        'quantile_error': (6, 5),
        'fss': (6, 2, 3),
        'tail_crps': (6, 2),
    }
    for name, value in summarise(times[3], BINS).items():
        np.testing.assert_allclose(stacked[name][3], value)
    pooled = summarise(total(times), BINS)
    error, reference = (sum(time[name] for time in times) for name in ('fss_error', 'fss_reference'))
    np.testing.assert_allclose(pooled['fss'], 1 - error / reference)
    low, high = bootstrap(times, lambda sums: summarise(sums, BINS), samples=50)['tail_crps']
    assert (low <= pooled['tail_crps']).all()
    assert (pooled['tail_crps'] <= high).all()


def test_a_day_without_truth_adds_nothing():
    ensemble, truth, weight = day()
    nothing = (ensemble, np.full_like(truth, np.nan), weight)
    sums = quantile_sums(*nothing, BINS) | fss_sums(*nothing, (0.5,), (3,)) | tail_crps_sums(*nothing, (0.5,))
    assert not any(np.any(value) for value in sums.values())
    assert all(np.isnan(value).all() for value in summarise(sums, BINS).values())


def test_wrong_input():
    ensemble, truth, weight = day()
    ensemble[0, *np.argwhere(np.isfinite(truth))[0]] = np.nan
    for sums in (
        lambda: fss_sums(ensemble, truth, weight, (0.5,), (3,)),
        lambda: tail_crps_sums(ensemble, truth, weight, (0.5,)),
        lambda: quantile_sums(ensemble, truth, weight, BINS),
    ):
        with pytest.raises(ValueError, match=r'1 of .* valid cells are not finite'):
            sums()
    assert extremes.edges(0, 2)[[0, -1]].tolist() == [-1, 3]
