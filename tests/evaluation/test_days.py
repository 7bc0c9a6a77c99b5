"""Which days are scored."""

import cftime
import numpy as np
import pytest

from downscale_jax.evaluation import records as days


def stamps(*blocks, step=12):
    """Records every `step` hours in blocks of so many, a hundred days apart."""
    hours = np.concatenate([2400 * index + step * np.arange(count) for index, count in enumerate(blocks)])
    return np.datetime64('2020-01-01', 'ns') + hours * np.timedelta64(1, 'h')


def test_neighbours_do_not_reach_across_gaps():
    assert days.neighbours(stamps(3, 2)).tolist() == [True, True, False, True]
    assert days.neighbours(stamps(1)).tolist() == []
    months = np.array([cftime.DatetimeNoLeap(2001, month, 15) for month in (1, 2, 3, 4, 7, 8)])
    assert days.neighbours(months).tolist() == [True, True, True, False, True]


def test_pairs_are_evenly_spread():
    assert days.pairs(stamps(20), 6) == [0, 1, 9, 10, 18, 19]
    assert days.pairs(stamps(20), 0) == list(range(20))
    assert days.pairs(stamps(4), 9) == list(range(4))


@pytest.mark.parametrize('wanted', range(1, 20))
@pytest.mark.parametrize('blocks', [(20,), (5, 1, 8, 6), (1,) * 20])
def test_as_many_days_as_wanted(blocks, wanted):
    times = stamps(*blocks)
    chosen = days.pairs(times, wanted)
    assert len(chosen) == len(set(chosen)) == wanted
    assert chosen == sorted(chosen)


def test_pairs_keep_to_blocks_and_an_odd_number_leaves_a_single():
    times = stamps(3, 3, 3)
    joined = days.neighbours(times)
    chosen = days.pairs(times, 6)
    assert [(a, b) for a, b in zip(chosen[::2], chosen[1::2], strict=True) if not (b == a + 1 and joined[a])] == []
    assert days.pairs(stamps(12), 3) == [0, 1, 11]
