"""Scores of lag predictions and distance curves, by hand."""

import numpy as np
import pytest
from scipy import stats

from downscale_jax.evaluation.lags import scores

PROBABILITIES = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.05, 0.05, 0.45, 0.45], [0.7, 0.1, 0.1, 0.1]])
LAG = np.array([3, 3, 1, 0])


def test_by_pair_by_hand():
    found = scores.by_pair(PROBABILITIES, LAG)
    np.testing.assert_allclose(found['cross_entropy'], -np.log([0.4, 0.1, 0.05, 0.7]))
    np.testing.assert_array_equal(found['accuracy'], [1, 0, 0, 1])
    np.testing.assert_array_equal(found['top3'], [1, 0, 0, 1])  # of equal probabilities the shorter lag comes first
    np.testing.assert_array_equal(found['lag_error'], [0, 3, 1, 0])
    # half the probability is reached at 2, 1, 2 and 0
    np.testing.assert_array_equal(found['median_error'], [1, 2, 1, 0])


def test_the_median_minimises_the_expected_error():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), 50)
    expected = np.abs(np.arange(7)[:, None] - np.arange(7)) @ probabilities.T  # [answer, pair]
    median = scores.by_pair(probabilities, np.zeros(50, int))['median_error'].astype(int)
    np.testing.assert_array_equal(median, expected.argmin(0))


def test_confusion():
    found = scores.confusion(PROBABILITIES, LAG)
    np.testing.assert_array_equal(found[3], [0.5, 0, 0, 0.5])
    np.testing.assert_array_equal(found[1], [0, 0, 1, 0])
    np.testing.assert_array_equal(found[0], [1, 0, 0, 0])
    assert np.isnan(found[2]).all()


def test_sums():
    found = scores.sums(np.array([4, 2, 4]), {'x': np.array([1.0, 2, 3]), 'y': np.array([[1, 0], [0, 1], [1, 1]])})
    assert [day['count'] for day in found] == [1, 2]
    assert [day['x'] for day in found] == [2, 4]
    np.testing.assert_array_equal([day['y'] for day in found], [[0, 1], [2, 1]])


def test_means_and_their_intervals():
    by = np.repeat(np.arange(10), 30)
    rng = np.random.default_rng(0)
    pairs = {'accuracy': rng.integers(0, 2, 300).astype(float), 'lag_error': rng.integers(0, 5, 300).astype(float)}
    found = scores.means(pairs, by, 3.0)
    assert found['accuracy'][0] == pytest.approx(pairs['accuracy'].mean())
    assert found['lag_error'][0] == pytest.approx(3 * pairs['lag_error'].mean())  # hours
    for value, low, high in found.values():
        assert low < value < high
    # the same everywhere: no uncertainty
    np.testing.assert_allclose(scores.means({'accuracy': np.ones(300)}, by, 3.0)['accuracy'], 1)
    # too few units
    assert np.isnan(scores.means(pairs, by // 5, 3.0)['accuracy'][1:]).all()


def test_reach():
    # 90 % between the first (60 %) and the second lag (100 %); in the first step; exactly at the third
    curves = np.array([[0.6, 1.0, 1.0, 1.0], [2, 1.5, 1.2, 1.0], [0.1, 0.2, 0.9, 1.0], [3, np.nan, 6, 10]])
    np.testing.assert_allclose(scores.reach(curves)[:3], [1.75, 0.45, 3])
    assert np.isnan(scores.reach(curves)[3])
    np.testing.assert_allclose(scores.reach(7 * curves[0]), 1.75)  # whatever the scale
    assert scores.reach(np.arange(1.0, 11)) == pytest.approx(9)


def test_rank_correlation():
    assert scores.rank_correlation(np.array([1.0, 2, 3, 10])) == pytest.approx(1)
    assert scores.rank_correlation(np.array([4.0, 3, 2, 1])) == pytest.approx(-1)
    curves = np.random.default_rng(0).integers(0, 6, (20, 12)).astype(float)  # with ties
    found = scores.rank_correlation(curves)
    np.testing.assert_allclose(found, [stats.spearmanr(one, np.arange(12)).statistic for one in curves])
    assert np.isnan(scores.rank_correlation(np.array([[1.0, np.nan, 3]]))).all()
    assert np.isnan(scores.rank_correlation(np.ones((1, 4)))).all()


def test_curve():
    lag = np.tile(np.arange(4), 40)
    scatter = np.where(np.arange(160) % 8 < 4, 1.0, -1.0)  # half above, half below: deviation 1
    distance = np.array([4.0, 6, 9, 10])[lag] + scatter
    found = scores.curve(distance, lag, 4, np.arange(160) // 16, 3.0)
    np.testing.assert_allclose(found['mean'][:, 0], [0.4, 0.6, 0.9, 1])
    np.testing.assert_allclose(found['mean'], found['mean'][:, :1] * np.ones(3), rtol=1e-12)  # all days alike
    np.testing.assert_allclose(found['deviation'][:, 0], 0.1)
    assert found['distance_rank'][0] == pytest.approx(1)
    assert found['distance_reach'][0] == pytest.approx(9)  # hours
    shuffled = scores.curve(distance, lag, 5, np.arange(160) // 16, 3.0)  # a lag without a pair
    assert np.isnan(shuffled['distance_rank']).all()


def test_by_class():
    errors, by = np.arange(12.0), np.arange(12) % 6
    classes = np.array(['south', 'north'] * 6)
    found = scores.by_class(errors, classes, by, ('north', 'middle', 'south'), 2.0)
    assert list(found) == ['north', 'south']
    assert found['north'][0] == 2 * np.mean(errors[1::2])
    assert found['south'][0] == 2 * np.mean(errors[::2])


def test_differences_are_of_pairs():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=400) * 10  # how hard a pair is for both
    mine, other = {'lag_error': hard + 20, 'accuracy': hard}, {'lag_error': hard + 21}
    found = scores.difference(mine, other, np.arange(400) // 40, 1.0)
    assert list(found) == ['lag_error']
    np.testing.assert_allclose(found['lag_error'], -1, rtol=1e-9)
