import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data_prep.readers.pairs import Pair, at_common_times, fields_in_time, in_units
from downscale_jax.runtime.errors import UserError


def at(times):
    return xr.Dataset({'t2m': (('time', 'lat', 'lon'), np.zeros((len(times), 2, 2)))}, {'time': ('time', times)})


def matched(coarse, fine):
    pair = at_common_times(Pair(at(coarse), at(fine)), 'coarse.nc', 'fine.nc')
    return [[str(time)[:16] for time in fields['time'].values] for fields in pair]


def days(start, count, hour=0):
    return (pd.date_range(start, periods=count) + pd.Timedelta(hours=hour)).values


def test_daily_data_are_matched_by_date_whatever_their_hour():
    coarse, fine = matched(days('2000-01-01', 5), days('2000-01-03', 5, hour=12))
    assert coarse == fine == ['2000-01-03T00:00', '2000-01-04T00:00', '2000-01-05T00:00']


def test_days_that_one_calendar_lacks_are_not_used():
    noleap = cftime.num2date(range(5), 'days since 2000-02-27', calendar='noleap')
    _, fine = matched(noleap, days('2000-02-27', 5))
    assert [day[:10] for day in fine] == ['2000-02-27', '2000-02-28', '2000-03-01', '2000-03-02']


def test_monthly_data_are_matched_by_month_whatever_their_day():
    months = pd.date_range('2001-01', periods=6, freq='MS').values
    coarse, fine = matched(months, months[2:] + np.timedelta64(14, 'D'))
    assert coarse[0] == '2001-03-01T00:00'
    assert len(fine) == 4


def test_hourly_data_are_matched_by_time_stamp():
    hours = pd.date_range('2001-01-01', periods=8, freq='6h').values
    assert matched(hours, hours[3:])[0][0] == '2001-01-01T18:00'


@pytest.mark.parametrize('swapped', [False, True])
def test_days_are_not_taken_for_months(swapped):
    daily, monthly = days('2000-01-01', 900), pd.date_range('2000-01', periods=30, freq='MS').values
    first, second = ('fine.nc', 'coarse.nc') if swapped else ('coarse.nc', 'fine.nc')
    with pytest.raises(UserError, match=f'{first} has time steps of 1 d, {second} of 31 d'):
        matched(*((monthly, daily) if swapped else (daily, monthly)))


def test_hours_beside_days_give_a_warning(caplog):
    hours = pd.date_range('2001-01-01', periods=40, freq='6h').values
    assert len(matched(hours, days('2001-01-01', 10))[0]) == 10
    assert 'coarse.nc has time steps of 0.25 d, fine.nc of 1 d' in caplog.text
    caplog.clear()
    matched(hours, hours)
    matched(days('2001-01-01', 10), days('2001-01-01', 10, 12))
    assert not caplog.text


@pytest.mark.parametrize(
    ('coarse', 'fine', 'words'),
    [
        (days('2000-01-01', 5), days('2010-01-01', 5), ['2000-01-01', '2010-01-05', 'coarse.nc', 'fine.nc']),
        (np.insert(days('2000-01-01', 5, 6), 1, days('2000-01-01', 1, 12)), days('2000-01-01', 5), ['2000-01-01T12']),
    ],
)
def test_nothing_in_common_and_two_times_of_a_day_are_refused(coarse, fine, words):
    with pytest.raises(UserError) as error:
        matched(coarse, fine)
    assert all(word in str(error.value) for word in words)


def test_fields_in_time_leave_out_static_variables_and_bounds():
    data = at(days('2000-01-01', 2)).assign_coords(lat=[0, 1], lon=[0, 1])
    data = data.assign(orog=(('lat', 'lon'), np.zeros((2, 2))), time_bnds=(('time', 'bnds'), np.zeros((2, 2))))
    assert fields_in_time(data) == ['t2m']


def test_units_that_do_not_fit_name_the_setting():
    data = at(days('2000-01-01', 2)).assign_coords(lat=[0, 1], lon=[0, 1])
    data['t2m'] = (data['t2m'] + 280.0).assign_attrs(units='K')
    np.testing.assert_allclose(in_units(data, ['t2m'], ['degC'], 'file', 'data.target_units')['t2m'], 6.85, rtol=1e-5)
    for units in ('mm day-1', 'no such unit'):
        with pytest.raises(UserError, match=r'data\.target_units'):
            in_units(data, ['t2m'], [units], 'file', 'data.target_units')
    del data['t2m'].attrs['units']
    with pytest.raises(UserError, match=r'data\.target_units'):
        in_units(data, ['t2m'], ['K'], 'file', 'data.target_units')
