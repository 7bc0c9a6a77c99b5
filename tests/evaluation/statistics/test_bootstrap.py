"""Totals and intervals of sums over days."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics.bootstrap import Accumulator, bootstrap, ratio, total, weather_block


def mean(sums):
    return {'mean': ratio(sums['sum'], sums['count'])}


def days_of(values):
    """A day a value, counted once."""
    return [{'sum': np.asarray(value, float), 'count': np.ones(np.shape(value))} for value in values]


def test_total_adds_arrays_and_numbers():
    days = [{'a': 1.0, 'b': np.array([1, 2])}, {'a': 2.5, 'b': np.array([10, 20])}]
    added = total(days)
    assert added['a'] == 3.5
    np.testing.assert_array_equal(added['b'], [11, 22])
    assert total([]) == {}


def test_ratio_of_nothing_is_nan():
    np.testing.assert_array_equal(ratio(np.array([1.0, 2.0, 0.0]), np.array([2.0, 0.0, 0.0])), [0.5, np.nan, np.nan])


def test_interval_of_a_mean():
    values = np.random.default_rng(10).normal(0.3, 0.2, 40)
    interval = bootstrap(days_of(values), mean, seed=1, block=1)
    low, high = interval['mean']
    # 90 % interval of a mean of 40 days of standard deviation 0.2: 2 x 1.645 x 0.2/sqrt(40) = 0.104 wide
    assert low < values.mean() < high
    assert high - low == pytest.approx(0.104, rel=0.3)
    np.testing.assert_array_equal(interval['mean'], bootstrap(days_of(values), mean, seed=1, block=1)['mean'])


def test_arrays_are_resampled_together():
    values = np.random.default_rng(0).normal(size=(30, 4))
    interval = bootstrap(days_of(np.column_stack([values, values[:, 0]])), mean)['mean']
    assert interval.shape == (2, 5)
    np.testing.assert_array_equal(interval[:, 0], interval[:, 4])
    np.testing.assert_allclose(interval[:, 1], bootstrap(days_of(values[:, 1]), mean)['mean'])


def test_blocks_widen_the_interval_of_persistent_errors():
    days = days_of([1.0 + (t // 10 % 2) for t in range(60)])
    widths = [np.diff(bootstrap(days, mean, block=block)['mean'])[0] for block in (1, 5)]
    assert widths[1] > 1.5 * widths[0]


def test_pairs_of_neighbours_stay_together():
    # each pair of days sums to nothing: only blocks that cut pairs apart give anything else
    days = days_of([sign * size for size in (1, 5, 3, 9, 2, 7) for sign in (1, -1)])
    np.testing.assert_allclose(bootstrap(days, mean)['mean'], 0, atol=1e-12)
    assert bootstrap(days, mean, block=1)['mean'][1] > 0.5


def test_few_days_tell_nothing():
    assert np.isnan(bootstrap(days_of([1.0, 2.0, 3.0, 4.0, 5.0]), mean)['mean']).all()
    assert np.isfinite(bootstrap(days_of(range(6)), mean)['mean']).all()
    assert bootstrap([], mean) == {}


def test_a_score_that_a_resample_cannot_tell_has_no_interval():
    days = days_of(range(12))
    for day in days[:-1]:
        day['count'] = np.zeros(())
    assert np.isnan(bootstrap(days, mean)['mean']).all()


DAY = 86_400


@pytest.mark.parametrize(
    ('step', 'count', 'block'),
    [
        (DAY, 30, 5),
        (DAY // 2, 30, 10),
        (DAY // 8, 30, 10),  # 40 of 30: a third of them
        (10 * DAY, 30, 4),  # near 30^(1/3)
        (DAY, 2, 1),
        (DAY, 1, 1),
    ],
)
def test_blocks_are_of_five_days(step, count, block):
    assert weather_block([step * index for index in range(count)]) == block


def test_an_accumulator_gives_estimates_by_key():
    sums, rng = Accumulator(), np.random.default_rng(0)
    values = rng.normal(3, 1, 30)
    for index, value in enumerate(values):
        sums.add('a', index * DAY, {'sum': value, 'count': 1.0})
        sums.add(('b', 0), index * DAY, {'sum': 0.0, 'count': 0.0 if index else 2.0})
    assert list(sums) == ['a', ('b', 0)]
    assert 'a' in sums
    assert 'b' not in sums
    value, low, high = sums.estimates('a', mean)['mean']
    assert value == pytest.approx(values.mean())
    expected = bootstrap(sums.times('a'), mean, block=5)['mean']
    np.testing.assert_array_equal([low, high], expected)
    assert sums.total('a')['count'] == 30
    # of the times to keep; none for a key without any
    assert sums.estimates('a', mean, lambda one: one['sum'] > 3)['mean'][0] == pytest.approx(values[values > 3].mean())
    assert sums.estimates('a', mean, lambda one: False) == sums.estimates('c', mean) == {}
    np.testing.assert_array_equal(
        sums.estimates(('b', 0), mean, lambda one: one['count'] > 0)['mean'], [0, np.nan, np.nan]
    )


def test_keys_without_estimates_are_left_out():
    sums = Accumulator()
    for key, count in (('a', 1.0), ('b', 0.0)):
        sums.add(key, 0, {'sum': 2.0, 'count': count})
    assert list(sums.all_estimates(mean)) == ['a', 'b']
    assert list(sums.all_estimates(mean, lambda one: one['count'] > 0)) == ['a']
