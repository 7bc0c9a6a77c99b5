import cftime
import numpy as np
import pytest

from downscale_jax.fields.datasets.times import decode_times, encode_times, evenly, month_of


def test_hand_computed():
    times = np.array(['1970-01-02', '1969-12-31T23:59:59', '1900-01-01'], 'datetime64[ns]')
    # 1900 to 1970: 70 years with 17 leap days
    np.testing.assert_array_equal(encode_times(times), [86400, -1, -(70 * 365 + 17) * 86400])
    assert encode_times(np.array([cftime.DatetimeNoLeap(1972, 1, 1)])) == 2 * 365 * 86400
    assert encode_times(np.array([cftime.Datetime360Day(1969, 12, 30, 12)])) == -43200


@pytest.mark.parametrize('calendar', ['standard', 'gregorian', 'proleptic_gregorian'])
def test_round_trip(calendar):
    times = np.datetime64('1958-03-01T06:00:01', 'ns') + np.arange(0, 40000, 777) * np.timedelta64(1, 'D')
    seconds = encode_times(times)
    assert seconds.dtype == np.int64
    assert seconds[0] < 0 < seconds[-1]
    found = decode_times(seconds, calendar)
    assert found.dtype == np.dtype('datetime64[ns]')
    np.testing.assert_array_equal(found, times)


@pytest.mark.parametrize('calendar', ['noleap', '360_day'])
def test_round_trip_of_other_calendars(calendar):
    times = [
        cftime.datetime(year, 2, day, 23, 30, 7, calendar=calendar) for year in (1850, 1969, 2100) for day in (1, 28)
    ]
    seconds = encode_times(np.array(times))
    assert seconds.dtype == np.int64
    assert (np.diff(seconds) > 0).all()
    found = decode_times(seconds, calendar)
    assert list(found) == times
    assert {time.calendar for time in found} == {calendar}


def test_rounding_of_floating_calendars():
    # cftime may give 11:59:59.999996 for noon
    noon = np.array([cftime.DatetimeNoLeap(2000, 1, 1, 11, 59, 59, 999996)])
    assert decode_times(encode_times(noon), 'noleap')[0] == cftime.DatetimeNoLeap(2000, 1, 1, 12)


def test_evenly():
    assert evenly(10, 4) == [0, 3, 6, 9]
    assert evenly(10, None) == list(range(10))
    assert evenly(10, 0) == []
    assert evenly(3, 5) == [0, 1, 2]


def test_month():
    assert [month_of(np.datetime64(day)) for day in ('1969-12-31', '1970-01-01', '2000-07-15T12')] == [12, 1, 7]
    assert month_of(cftime.Datetime360Day(1850, 2, 30)) == 2
