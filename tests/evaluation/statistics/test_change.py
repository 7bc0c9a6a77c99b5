import numpy as np
import pytest

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.change import in_period, periods, summarise, sums
from downscale_jax.evaluation.statistics.extremes import LEVELS, edges


@pytest.mark.parametrize(
    ('years', 'expected'),
    [
        ([1981, 1981, 1982, 2041, 2043], ((1981, 1982), (2041, 2043))),
        ([2041, 1981, 2001], ((1981, 2001), (2041, 2041))),
        ([1981, 1985, 1990], None),
        ([1981], None),
    ],
)
def test_periods_lie_on_either_side_of_the_largest_gap(years, expected):
    assert periods(years) == expected


def test_changes_are_those_of_numpy():
    rng = np.random.default_rng(0)
    weight, bins = np.ones((30, 40)), edges(-6.0, 8.0)
    truth = [rng.normal(0, 1, (30, 40)), rng.normal(2, 1.5, (30, 40))]
    members = [rng.normal(0, 1, (4, 30, 40)), rng.normal(1, 1, (4, 30, 40))]
    times = [in_period(sums(m, t, weight, bins, 1.0), p) for p, (m, t) in enumerate(zip(members, truth, strict=True))]
    changes = summarise(total(times), bins)
    for suffix, fields in (('', members), ('_truth', truth)):
        before, after = fields
        np.testing.assert_allclose(changes[f'mean{suffix}'], after.mean() - before.mean())
        np.testing.assert_allclose(changes[f'exceedance{suffix}'], (after > 1).mean() - (before > 1).mean())
        expected = np.subtract(*(np.quantile(x, LEVELS, method='inverted_cdf') for x in (after, before)))
        np.testing.assert_allclose(changes[f'quantile{suffix}'], expected, atol=0.03)
    np.testing.assert_allclose(changes['mean_error'], changes['mean'] - changes['mean_truth'])
    np.testing.assert_allclose(changes['quantile_error'], changes['quantile'] - changes['quantile_truth'])


def test_cells_without_truth_do_not_count():
    weight, bins = np.ones((2, 2)), edges(0.0, 10.0)
    truth = np.array([[1.0, np.nan], [1.0, 1.0]])
    members = np.array([[[2.0, 100.0], [2.0, 2.0]]])
    added = sums(members, truth, weight, bins, 1.5)
    assert added['weight'] == 3
    assert added['total'] == 6
    assert (added['above'], added['above_truth']) == (3, 0)
