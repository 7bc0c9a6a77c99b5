"""Small data sets as archives deliver them: their names, versions and times."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.context.surface import heights
from downscale_jax.fields.datasets import archives, store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError

DIMS = ('time', 'lat', 'lon')
TIMES = np.arange('2001-01', '2001-05', dtype='M8[M]').astype('M8[ns]')
LAT, LON = ('lat', [50.0, 51.0], {'units': 'degrees_north'}), ('lon', [0.0, 1.0, 2.0], {'units': 'degrees_east'})
VALUES = np.arange(24.0).reshape(4, 2, 3)


def data(**variables):
    """{name: attributes}; values tell which variable it is."""
    fields = {name: (DIMS, VALUES + 200 * i, attrs) for i, (name, attrs) in enumerate(variables.items())}
    return xr.Dataset(fields, {'time': TIMES, 'lat': LAT, 'lon': LON})


@pytest.mark.parametrize(
    ('there', 'name'),
    [
        (('air', 'prate', 'uwnd', 'vwnd', 'pres'), ('t2m', 'tp', 'u10', 'v10', 'sp')),
        (('2t', 'tp', '10u', '10v', 'sp'), ('t2m', 'tp', 'u10', 'v10', 'sp')),
        (('t2m', 'tp', 'u10', 'v10', 'sp'), ('air', 'prate', 'uwnd', 'vwnd', 'pres')),
        (('tas', 'pr', 'uas', 'vas', 'ps'), ('2t', 'prate', '10u', '10v', 'sp')),
    ],
)
def test_usual_names(there, name):
    given = data(**{key: {} for key in there})
    given.encoding['source'] = 'a.nc'
    found = archives.renamed(given, name, 'a.nc')
    assert set(found.data_vars) == set(name)
    assert found.encoding['source'] == 'a.nc'
    for wanted, own in zip(name, there, strict=True):
        np.testing.assert_array_equal(found[wanted], given[own])


def test_the_name_itself_comes_first_then_the_standard_name():
    given = data(t2m={}, tas={'standard_name': 'air_temperature'}, air={})
    assert archives.renamed(given, ('t2m',), 'a.nc') is not None
    np.testing.assert_array_equal(archives.renamed(given, ('t2m',), 'a.nc')['t2m'], given['t2m'])
    assert archives.find(given.drop_vars('t2m'), 't2m', 'a.nc') == 'tas'
    assert archives.find(data(q7={'standard_name': 'precipitation_flux'}, q8={}), 'tp', 'a.nc') == 'q7'
    assert archives.find(data(q8={}), 'tp', 'a.nc') == ''
    assert archives.find(data(air={}), 'sit', 'a.nc') == ''


def test_several_are_an_error():
    with pytest.raises(UserError, match=r"a\.nc: air, tas could all be 't2m'; one was expected"):
        archives.renamed(data(air={}, tas={}), ('t2m',), 'a.nc')


def test_what_is_not_near_the_ground():
    level = data(air={}, uwnd={'standard_name': 'eastward_wind'}).assign_coords(
        level=((), 500.0, {'units': 'millibar'})
    )
    assert archives.find(level, 't2m', 'a.nc') == archives.find(level, 'u10', 'a.nc') == ''
    high = data(q={'standard_name': 'eastward_wind'}).assign_coords(heightAboveGround=100.0)
    assert archives.find(high, 'u10', 'a.nc') == ''
    assert archives.find(high.assign_coords(heightAboveGround=10.0), 'u10', 'a.nc') == 'q'
    hottest = data(tasmax={'standard_name': 'air_temperature', 'cell_methods': 'time: maximum'})
    assert archives.find(hottest, 't2m', 'a.nc') == ''


def test_nothing_fits_and_the_line_names_what_was_found():
    with pytest.raises(UserError, match=r"a\.nc: no variable 't2m'; it has d2m, skt"):
        canonical(archives.renamed(data(skt={}, d2m={}), ('t2m',), 'a.nc'), ['t2m'], source='a.nc')


def test_monthly_means_of_daily_amounts_are_per_day():
    given = data(tp={'units': 'm', 'GRIB_stepType': 'avgad'}, t2m={'units': 'K', 'GRIB_stepType': 'avgua'})
    found = canonical(given, ['tp', 't2m'])
    assert (found['tp'].attrs['units'], found['t2m'].attrs['units']) == ('m day-1', 'K')
    assert canonical(data(tp={'units': 'm'}), ['tp'])['tp'].attrs['units'] == 'm'


def test_versions_become_one():
    """ERA5 until March, ERA5T in April, as the old Climate Data Store has them."""
    given = data(tp={'units': 'm'}, t2m={'units': 'K'})
    late = given['time'] > np.datetime64('2001-03-15')
    both = xr.concat([given.where(~late), given.where(late)], xr.IndexVariable('expver', [1, 5]))
    both = both.transpose('time', 'expver', ...)
    found = canonical(both.chunk(time=1), ['t2m', 'tp'])
    assert found['tp'].chunks is not None
    for name in ('t2m', 'tp'):
        np.testing.assert_array_equal(found[name], given[name])
        assert found[name].attrs['units'] == given[name].attrs['units']
    assert set(found.coords) == set(DIMS)


@pytest.mark.parametrize('dims', [0, 1])
def test_one_member_is_no_dimension(dims):
    given = data(t2m={}).assign_coords(number=0, expver=('time', ['0001'] * 4), surface=0.0)
    given = given.expand_dims('number') if dims else given
    np.testing.assert_array_equal(canonical(given, ['t2m'])['t2m'], VALUES)


def test_forecasts_of_several_beginnings():
    """Rain of ERA5 in GRIB: 06 and 18 UTC, steps of three hours each."""
    begins = np.array(['2001-01-01T06', '2001-01-01T18'], 'M8[ns]')
    steps = 3.6e12 * np.array([3, 6, 9, 12])
    values = np.arange(48.0).reshape(2, 4, 2, 3)
    coords = {
        'time': ('time', begins, {'standard_name': 'forecast_reference_time'}),
        'step': ('step', steps / 3.6e12, {'standard_name': 'forecast_period', 'units': 'hours'}),
        'valid_time': (
            ('time', 'step'),
            begins[:, None] + steps.astype('m8[ns]'),
            {'standard_name': 'time'},
        ),
        'latitude': ('latitude', LAT[1], LAT[2]),
        'longitude': ('longitude', LON[1], LON[2]),
    }
    given = xr.Dataset({'tp': (('time', 'step', 'latitude', 'longitude'), values, {'units': 'm'})}, coords)
    for one in (given.chunk(time=1), given.isel(time=[1, 0]), given.transpose('step', ...)):
        found = canonical(one, ['tp'])
        assert found['tp'].dims == DIMS
        np.testing.assert_array_equal(found['tp'], values.reshape(8, 2, 3))
        np.testing.assert_array_equal(found['time'], begins[0] + np.arange(3, 27, 3) * np.timedelta64(1, 'h'))


def test_a_geopotential_is_a_height():
    plane = xr.DataArray(np.array([[980.665, 0.0]], 'f4'), dims=('y', 'x'), attrs={'units': 'm**2 s**-2'})
    found = heights(plane)
    np.testing.assert_allclose(found, [[100, 0]], rtol=1e-6)
    assert (found.dtype, found.attrs['units']) == (np.float32, 'm')
    np.testing.assert_array_equal(heights(plane.assign_attrs(units='km')), 1000 * plane)
    with pytest.raises(UserError, match="cannot be converted to 'm'"):
        heights(plane.assign_attrs(units='K'))


def test_a_file_a_variable(tmp_path):
    """20CR: the height that a wind is measured at is no reason not to join it with temperature."""
    for name, height in (('air', 2.0), ('uwnd', 10.0)):
        one = data(**{name: {'units': 'degC'}}).assign(time_bnds=(('time', 'nbnds'), np.zeros((4, 2))))
        one = one.expand_dims(level=[height], axis=1)
        one.assign(time_bnds=one['time_bnds'].isel(level=0, drop=True)).to_netcdf(tmp_path / f'{name}.mon.mean.nc')
    found = canonical(store.open_dataset(str(tmp_path / '*.mon.mean.nc')), ['air', 'uwnd'])
    np.testing.assert_array_equal(found['uwnd'], VALUES)


def test_a_file_a_kind_of_mean(tmp_path):
    """The Climate Data Store's monthly means: those of amounts are dated 06:00."""
    later = {'avgua': 0, 'avgad': 6}
    for name, step in (('t2m', 'avgua'), ('tp', 'avgad')):
        one = data(**{name: {'units': 'm', 'GRIB_stepType': step}}).rename(time='valid_time')
        one = one.assign_coords(valid_time=one['valid_time'] + np.timedelta64(later[step], 'h'), number=0)
        one.to_netcdf(tmp_path / f'data_stream-moda_stepType-{step}.nc')
    found = canonical(store.open_dataset(str(tmp_path / '*.nc')), ['t2m', 'tp'])
    np.testing.assert_array_equal(found['time'], TIMES)
    np.testing.assert_array_equal(found['tp'], VALUES)
    assert found['tp'].attrs['units'] == 'm day-1'
