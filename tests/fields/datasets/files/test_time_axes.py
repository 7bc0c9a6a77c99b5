"""Times of files in any year, calendar and form."""

import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.files.time_axes import decoded
from downscale_jax.fields.datasets.times import in_one_calendar, matching, nanoseconds
from downscale_jax.runtime.errors import UserError


def dates(values, units, **attrs):
    axis = xr.Dataset({'time': ('time', np.asarray(values), {'units': units, **attrs})})
    return [iso(time) for time in decoded(axis.drop_indexes('time', errors='ignore'), 'a.nc')['time'].values]


@pytest.mark.parametrize(
    ('values', 'units', 'calendar', 'expected'),
    [
        ([0, 1, 13], 'months since 1960-01-01', 'standard', ['1960-01-01', '1960-02-01', '1961-02-01']),
        ([0.5, 1.5], 'months since 1960-01-01', '360_day', ['1960-01-16', '1960-02-16']),
        ([1.5], 'months since 1961-01-01', 'standard', ['1961-02-15']),  # the middle of 28 days
        ([0.5], 'months since 1960-01-01', '360', ['1960-01-16']),
        ([-1, 2], 'years since 1851-03-05', 'noleap', ['1850-03-05', '1853-03-05']),
        ([0.5], 'year since 1999-01-01', 'noleap', ['1999-07-02T12:00:00']),
        ([20000115.5, 20000229.25], 'day as %Y%m%d.%f', 'standard', ['2000-01-15T12:00:00', '2000-02-29T06:00:00']),
        ([185002.5], 'month as %Y%m.%f', '360_day', ['1850-02-16']),
        ([1836.0], 'year as %Y.%f', 'standard', ['1836-01-01']),
        # 1-1-1 is a Julian date in the standard calendar: two days from the proleptic one
        ([17067072], 'hours since 1-1-1 00:00:0.0', 'standard', ['1948-01-01']),
        ([17067072], 'hours since 1-1-1 00:00:0.0', 'proleptic_gregorian', ['1948-01-03']),
        ([0, 365], 'days since 0001-01-01', 'noleap', ['0001-01-01', '0002-01-01']),
        ([0], 'days since 0850-06-01', 'standard', ['0850-06-01']),
        ([0, 31], 'days since 2300-01-01', 'standard', ['2300-01-01', '2300-02-01']),
        ([1826212], 'days since 0001-01-01', 'proleptic_gregorian', ['5001-01-01']),
        ([0, 59], 'days since 1836-01-01', 'julian', ['1836-01-01', '1836-02-29']),
        ([59], 'days since 1837-01-01', 'all_leap', ['1837-02-29']),
    ],
)
def test_hand_computed(values, units, calendar, expected):
    assert [time.removesuffix('T00:00:00') for time in dates(values, units, calendar=calendar)] == expected


@pytest.mark.parametrize(
    ('units', 'calendar', 'problem'),
    [
        ('days since yesterday', 'standard', "units 'days since yesterday'"),
        ('days since 2000-01-01', 'lunar', "the calendar 'lunar'; valid are standard"),
        ('months since 2000-01-31', 'standard', 'not every month has a day 31'),
        ('fortnights since 2000-01-01', 'standard', "units 'fortnights since 2000-01-01'"),
    ],
)
def test_refused_in_one_line(units, calendar, problem):
    with pytest.raises(UserError, match=f"a.nc: 'time' .*{problem}|{problem}") as caught:
        dates([0], units, calendar=calendar)
    assert 'decode_times' not in str(caught.value)


def test_years_beyond_nanoseconds_are_cftime():
    for year, type_ in ((850, cftime.datetime), (2300, cftime.datetime), (1900, np.datetime64)):
        times = nanoseconds(np.array([f'{year:04}-01-31T06', f'{year:04}-02-01'], 'datetime64[s]'))
        assert isinstance(times[0], type_)
        assert iso(times[0]) == f'{year:04}-01-31T06:00:00'
    gregorian = nanoseconds(np.array([cftime.DatetimeGregorian(1900, 2, 1, 0, 0, 0, 500000)]))
    assert gregorian[0] == np.datetime64('1900-02-01T00:00:00.5')


def test_calendars_are_compared_where_they_agree():
    modern, reference = np.array(['1850-01-01'], 'M8[ns]'), np.array([cftime.DatetimeGregorian(850, 1, 1)])
    first, second = in_one_calendar([reference, modern])
    assert second[0] == cftime.DatetimeGregorian(1850, 1, 1)
    assert first[0] < second[0]
    with pytest.raises(ValueError, match='noleap and standard'):
        in_one_calendar([modern, np.array([cftime.DatetimeNoLeap(1850, 1, 1)])])


def test_monthly_stamps_are_matched_by_month():
    start = np.array(['2000-01-01', '2000-02-01', '2000-03-01'], 'M8[ns]')
    middle = np.array(['2000-02-15', '2000-03-16'], 'M8[ns]')
    indices, how = matching({'t2m': start, 'tp': middle})
    assert indices['t2m'].tolist() == [1, 2]
    assert indices['tp'].tolist() == [0, 1]
    assert 'by month' in how
    hours = np.arange('2000-01-01', '2000-01-03', dtype='M8[h]').astype('M8[ns]')
    assert matching({'t2m': hours, 'tp': hours[[0, 24]]}) is None  # daily values are not those of midnight


@pytest.mark.parametrize('file', ['wrfout_d01.nc', 'wrfout_with_time_axis.nc'])
def test_wrf(shared_data, file):
    fields = canonical(store.open_dataset(shared_data.parent / 'cases' / file), ['T2', 'PR'])
    assert fields['time'].values[0] == np.datetime64('2000-01-01')
    assert (np.diff(fields['time'].values) == np.timedelta64(1, 'D')).all()


def test_wrf_without_strings(shared_data):
    data = store.open_dataset(shared_data.parent / 'cases' / 'wrfout_d01.nc').drop_vars(['Times', 'Time'])
    named = decoded(
        data.drop_vars('XTIME').assign(XTIME=('Time', [0.0, 90.0] * 20, {'units': 'minutes since 1999-12-31'})), ''
    )
    assert named['Time'].values[1] == np.datetime64('1999-12-31T01:30')


def test_months_since(shared_data):
    fields = canonical(store.open_dataset(shared_data.parent / 'cases' / 'months_since.nc'), ['t2m'])
    assert [iso(time)[:10] for time in fields['time'].values] == [
        '2000-01-01',
        '2000-02-01',
        '2000-03-01',
        '2000-04-01',
    ]


def test_missing_times_are_counted():
    data = xr.Dataset({'a': (('time', 'y', 'x'), np.zeros((2, 1, 1)))}, {'time': np.array(['2000', 'NaT'], 'M8[ns]')})
    with pytest.raises(UserError, match="1 of 2 values of 'time' are missing"):
        canonical(data, ['a'])
