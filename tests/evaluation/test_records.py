"""The choice of scored records, singly and in pairs."""

import cftime
import numpy as np
import pytest

from downscale_jax.evaluation import records
from downscale_jax.fields.datasets.times import evenly, month_of


def stamps(*blocks, step=12):
    """Records every `step` hours in blocks of so many, a hundred days apart."""
    hours = np.concatenate([2400 * index + step * np.arange(count) for index, count in enumerate(blocks)])
    return np.datetime64('2020-01-01', 'ns') + hours * np.timedelta64(1, 'h')


def months(count, calendar='standard'):
    """Months from January 2001 on."""
    years_months = [(2001 + index // 12, 1 + index % 12) for index in range(count)]
    if calendar == 'noleap':
        return np.array([cftime.DatetimeNoLeap(year, month, 16) for year, month in years_months])
    return np.array([f'{year}-{month:02}-16' for year, month in years_months], 'datetime64[ns]')


def months_of(times, chosen):
    return [month_of(times[index]) for index in chosen]


def hours_of(times, chosen):
    return [int(hour) for hour in (times[chosen] - times[chosen].astype('datetime64[D]')) / np.timedelta64(1, 'h')]


def test_neighbours_do_not_reach_across_gaps():
    assert records.neighbours(stamps(3, 2)).tolist() == [True, True, False, True]
    assert records.neighbours(stamps(1)).tolist() == []
    months = np.array([cftime.DatetimeNoLeap(2001, month, 15) for month in (1, 2, 3, 4, 7, 8)])
    assert records.neighbours(months).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize('wanted', range(1, 20))
@pytest.mark.parametrize('blocks', [(20,), (5, 1, 8, 6), (1,) * 20])
def test_as_many_records_as_wanted(blocks, wanted):
    times = stamps(*blocks)
    for places in (np.linspace(0, 18, wanted // 2), records.balanced(times[:-1], wanted // 2)):
        chosen = records.pairs(times, wanted, places)
        assert len(chosen) == len(set(chosen)) == wanted
        assert chosen == sorted(chosen)


def test_pairs_keep_to_blocks_and_an_odd_number_leaves_a_single():
    times = stamps(3, 3, 3)
    joined = records.neighbours(times)
    chosen = records.choose(times, 6, True)
    assert [(a, b) for a, b in zip(chosen[::2], chosen[1::2], strict=True) if not (b == a + 1 and joined[a])] == []
    assert records.choose(stamps(12), 3, True) == [0, 1, 11]


@pytest.mark.parametrize('in_pairs', [False, True])
def test_all_records_where_no_number_is_set_or_there_are_no_more(in_pairs):
    for wanted in (None, 4, 9):
        assert records.choose(stamps(4), wanted, in_pairs) == [0, 1, 2, 3]


def test_singly_or_in_pairs():
    assert records.choose(stamps(20), 6, True) == [0, 1, 9, 10, 18, 19]
    singly = records.choose(stamps(21), 5, False)
    assert singly == [0, 5, 10, 15, 20]


@pytest.mark.parametrize(
    ('times', 'wanted'),
    [
        *((months(count), 6) for count in range(20, 37)),
        (months(24), 8),
        (months(24), 4),
        (months(96), 12),
        (months(96, 'noleap'), 12),
        (stamps(365, step=24), 6),
        (stamps(10, 10, 12), 6),
        (stamps(288, step=3), 96),
    ],
)
def test_even_choices_that_sample_the_cycles_stay(times, wanted):
    assert records.choose(times, wanted, False) == evenly(len(times), wanted)


def test_one_hour_or_season_is_all_that_is_there():
    # midnights of a winter: no choice would be better
    assert records.choose(stamps(60, step=24), 6, False) == evenly(60, 6)


def test_hours_of_a_year():
    """Six evenly spaced ones are at 00, 00, 00, 23, 23, 23 UTC."""
    year = stamps(8760, step=1)
    year = year - np.timedelta64(365, 'D')  # 2019, without a leap day
    chosen = records.choose(year, 6, False)
    assert hours_of(year, chosen) == [0, 12, 6, 18, 3, 15]
    assert months_of(year, chosen) == [1, 5, 7, 8, 11, 12]
    assert chosen == [0, 2892, 4350, 5250, 7299, 8751]
    in_pairs = records.choose(year, 12, True)
    assert in_pairs == [0, 1, 2892, 2893, 4350, 4351, 5250, 5251, 7298, 7299, 8751, 8752]


@pytest.mark.parametrize('calendar', ['standard', 'noleap'])
def test_months_of_years(calendar):
    """Six evenly spaced ones of five years are January, January, January, December, December, December; so are twelve
    of eleven years."""
    five, eleven = months(60, calendar), months(132, calendar)
    chosen = records.choose(five, 6, False)
    assert months_of(five, chosen) == [1, 7, 10, 4, 12, 6]
    assert chosen == [0, 18, 21, 39, 47, 53]
    chosen = records.choose(eleven, 12, False)
    assert months_of(eleven, chosen) == [1, 7, 4, 10, 12, 6, 3, 9, 11, 5, 8, 2]
    assert chosen == [0, 18, 27, 33, 47, 65, 74, 80, 94, 100, 115, 121]


def test_each_hour_that_the_records_have_is_taken_equally_often():
    """60 of the 6-hourly records of 59 days and a quarter, whose even spacing is a day, or nearly."""
    times = stamps(237, step=6)
    assert set(hours_of(times, evenly(237, 60))) == {0}
    chosen = records.choose(times, 60, False)
    assert np.bincount(np.array(hours_of(times, chosen)) // 6).tolist() == [15, 15, 15, 15]
    assert (np.diff(chosen) > 0).all()
