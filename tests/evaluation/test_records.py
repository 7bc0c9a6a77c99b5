"""The choice of scored records, singly and in pairs."""

import cftime
import numpy as np
import pytest

from downscale_jax.evaluation import records


def stamps(*blocks, step=12):
    """Records every `step` hours in blocks of so many, a hundred days apart."""
    hours = np.concatenate([2400 * index + step * np.arange(count) for index, count in enumerate(blocks)])
    return np.datetime64('2020-01-01', 'ns') + hours * np.timedelta64(1, 'h')


def test_neighbours_do_not_reach_across_gaps():
    assert records.neighbours(stamps(3, 2)).tolist() == [True, True, False, True]
    assert records.neighbours(stamps(1)).tolist() == []
    months = np.array([cftime.DatetimeNoLeap(2001, month, 15) for month in (1, 2, 3, 4, 7, 8)])
    assert records.neighbours(months).tolist() == [True, True, True, False, True]


def test_pairs_are_evenly_spread():
    assert records.pairs(stamps(20), 6) == [0, 1, 9, 10, 18, 19]


@pytest.mark.parametrize('wanted', range(1, 20))
@pytest.mark.parametrize('blocks', [(20,), (5, 1, 8, 6), (1,) * 20])
def test_as_many_records_as_wanted(blocks, wanted):
    times = stamps(*blocks)
    chosen = records.pairs(times, wanted)
    assert len(chosen) == len(set(chosen)) == wanted
    assert chosen == sorted(chosen)


def test_pairs_keep_to_blocks_and_an_odd_number_leaves_a_single():
    times = stamps(3, 3, 3)
    joined = records.neighbours(times)
    chosen = records.pairs(times, 6)
    assert [(a, b) for a, b in zip(chosen[::2], chosen[1::2], strict=True) if not (b == a + 1 and joined[a])] == []
    assert records.pairs(stamps(12), 3) == [0, 1, 11]


@pytest.mark.parametrize('in_pairs', [False, True])
def test_all_records_where_no_number_is_set_or_there_are_no_more(in_pairs):
    for wanted in (None, 4, 9):
        assert records.choose(stamps(4), wanted, in_pairs) == [0, 1, 2, 3]


def test_singly_or_in_pairs():
    assert records.choose(stamps(20), 6, True) == [0, 1, 9, 10, 18, 19]
    singly = records.choose(stamps(21), 5, False)
    assert singly == [0, 5, 10, 15, 20]
