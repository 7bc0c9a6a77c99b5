"""Files as ERA5, ERA5-Land and 20CR deliver them -> fields, statics and records of block means."""

import numpy as np
import pytest
import xarray as xr

from data_prep import sources
from data_prep.prepare import prepare
from data_prep.readers.series import read_series
from downscale_jax.fields.context import relief
from downscale_jax.fields.context import surface as fields_statics
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime.errors import UserError

MONTHS, ROWS, COLUMNS = 36, 8, 12
TIMES = np.arange('2001-01', MONTHS, dtype='M8[M]').astype('M8[ns]')
LAT, LON = 60 - 0.25 * np.arange(ROWS), -1 + 0.25 * np.arange(COLUMNS)  # from the north
RNG = np.random.default_rng(0)
T2M = (280 + 5 * RNG.standard_normal((MONTHS, ROWS, COLUMNS))).astype('f4')
TP = (5 * RNG.random((MONTHS, ROWS, COLUMNS))).astype('f4')  # mm day-1
HEIGHT = 100.0 * np.arange(ROWS)[:, None] - 200 + np.zeros(COLUMNS)
SHARE = (np.arange(ROWS)[:, None] + np.zeros(COLUMNS)) / 4
SEA = SHARE < 0.5
INFINITY = float('inf')
SPLITS = {'train': ('2001-01', '2002-12'), 'validation': ('2003-01', '2003-06'), 'test': ('2003-07', '2003-12')}


def dataset(names=('t2m', 'tp'), values=(T2M, TP / 1000), units=('K', 'm'), dims=('time', 'latitude', 'longitude')):
    fields = {n: (dims, v, {'units': u}) for n, v, u in zip(names, values, units, strict=True)}
    coords = {
        dims[0]: (dims[0], TIMES, {'standard_name': 'time'}),
        dims[1]: (dims[1], LAT, {'units': 'degrees_north'}),
        dims[2]: (dims[2], LON, {'units': 'degrees_east'}),
    }
    return xr.Dataset(fields, coords)


def old_era5():
    """A dimension `expver`, 'm' that does not say of what; the user has set the attribute."""
    late = np.arange(MONTHS) >= 34
    data = dataset(units=('K', 'm day-1'))
    late = xr.DataArray(late, dims='time')
    both = xr.concat([data.where(~late), data.where(late)], xr.IndexVariable('expver', [1, 5]))
    return both.transpose('time', 'expver', ...)


def new_era5():
    data = dataset(dims=('valid_time', 'latitude', 'longitude'))
    data['tp'].attrs |= {'GRIB_stepType': 'avgad', 'standard_name': 'unknown'}
    return data.assign_coords(number=0, expver=('valid_time', ['0001'] * MONTHS))


def twentieth_century():
    data = dataset(('air', 'prate'), (T2M, TP / 86_400), ('degK', 'kg/m^2/s'), ('time', 'lat', 'lon'))
    data = data.assign_coords(lon=('lon', LON % 360, data['lon'].attrs)).expand_dims(level=[2.0], axis=1)
    return data.assign(time_bnds=(('time', 'nbnds'), np.zeros((MONTHS, 2))))


def section(path, **changes) -> dict:
    return {
        'kind': 'block_means', 'path': str(path), 'simulate': {}, 'variables': ('t2m', 'tp'), 'level': 0.0,
        **{split: (months,) for split, months in SPLITS.items()}, 'factor': 2, 'patch': 4, 'mean': 'physical',
        'transform': ('standard', 'log1p'), 'anomaly': True, 'bounds': ((-INFINITY, INFINITY), (0.0, INFINITY)),
        'units': ('K', 'mm day-1'), **changes,
    }  # fmt: skip


@pytest.mark.parametrize('make', [old_era5, new_era5, twentieth_century])
def test_one_series_of_many_archives(tmp_path, make):
    make().to_netcdf(tmp_path / 'a.nc')
    found = sources.open_series(section(tmp_path / 'a.nc'), 0)
    assert found['tp'].dims == ('time', 'lat', 'lon')
    assert (found['t2m'].attrs['units'], found['tp'].attrs['units']) == ('K', 'mm day-1')
    np.testing.assert_allclose(found['t2m'], T2M, rtol=1e-6)
    np.testing.assert_allclose(found['tp'], TP, rtol=1e-5)
    np.testing.assert_array_equal(found['lon'], LON if make != twentieth_century else LON % 360 + 360 * (LON >= 0))
    np.testing.assert_array_equal(found['time'], TIMES)


def test_units_as_the_file_has_them(tmp_path):
    dataset().to_netcdf(tmp_path / 'a.nc')
    found = sources.open_series(section(tmp_path / 'a.nc', units=()), 0)
    assert found['tp'].attrs['units'] == 'm'
    assert sources.open_series(section(tmp_path / 'a.nc', units=('', 'mm')), 0)['tp'].attrs['units'] == 'mm'
    with pytest.raises(UserError, match=r"'tp' is an amount in 'm' where a rate in 'mm day-1' is expected"):
        sources.open_series(section(tmp_path / 'a.nc'), 0)


def test_a_logarithm_that_does_nothing(tmp_path):
    dataset(units=('K', 'm day-1')).to_netcdf(tmp_path / 'a.nc')
    message = r"log1p of 'tp' has no effect: .* at most 0\.005 m day-1, .* data\.units .*'mm day-1' for rain"
    with pytest.raises(UserError, match=message):
        prepare(section(tmp_path / 'a.nc', units=()), 0, tmp_path / 'prepared')
    assert not list((tmp_path / 'prepared').glob('*'))
    prepare(section(tmp_path / 'a.nc'), 0, tmp_path / 'prepared')


def era5_statics(data, times=None):
    """`z` and `lsm`, as they come: repeated in time."""
    dims = data['t2m'].dims if times is None else ('valid_time', 'latitude', 'longitude')
    count = data.sizes[dims[0]] if times is None else times
    repeated = np.ones((count, 1, 1), 'f4')
    return {
        'z': (dims, repeated * 9.80665 * HEIGHT, {'units': 'm**2 s**-2', 'standard_name': 'geopotential'}),
        'lsm': (dims, repeated * SHARE, {'units': '(0 - 1)', 'standard_name': 'land_binary_mask'}),
    }


def test_statics_of_the_file_itself(tmp_path):
    new_era5().assign(era5_statics(new_era5())).to_netcdf(tmp_path / 'a.nc')
    data = section(tmp_path / 'a.nc', context=('topography', 'land', 'season'))
    found = prepare(data, 0, tmp_path / 'prepared').statics
    np.testing.assert_allclose(found['topography'], HEIGHT, rtol=1e-6)  # as the file has it
    np.testing.assert_array_equal(found['land'], ~SEA)
    assert (found['topography'].dims, found['topography'].attrs['units']) == (('lat', 'lon'), 'm')
    assert found['land'].dtype == np.int8


def test_what_changes_is_no_topography(tmp_path):
    planes = era5_statics(new_era5())
    planes['z'][1][3, 0, 0] += 1
    planes['z'][1][-1, 0, 0] += 1
    new_era5().assign(planes).to_netcdf(tmp_path / 'a.nc')
    fields = read_series(str(tmp_path / 'a.nc'), ('t2m',), statics=('topography', 'land', 'season'))
    assert set(fields.data_vars) == {'t2m', 'land', 'mask'}


def test_statics_of_another_file(tmp_path):
    """ERA5's own, with a time: its land decides what is sea, and there topography is 0 where it is below."""
    dataset(units=('K', 'm day-1')).to_netcdf(tmp_path / 'a.nc')
    given = new_era5().isel(valid_time=[0])
    given.drop_vars(['t2m', 'tp']).assign(era5_statics(given, 1)).to_netcdf(tmp_path / 'z.nc')
    data = section(tmp_path / 'a.nc', context=('topography', 'land'), relief=str(tmp_path / 'z.nc'))
    found = prepare(data, 0, tmp_path / 'prepared').statics
    np.testing.assert_allclose(found['topography'], np.where(SEA, HEIGHT.clip(0), HEIGHT), atol=1e-3)
    np.testing.assert_array_equal(found['land'], ~SEA)


@pytest.mark.parametrize('units', ['%', 'percent', '1', ''])
def test_a_share_of_land_in_percent(tmp_path, units):
    """CMIP's sftlf: of the file itself, and of another one."""
    share = xr.DataArray(SHARE, dims=('lat', 'lon'), attrs={'units': units}) * 1
    share = (100 * share if units in ('%', 'percent') else share).assign_attrs(units=units)
    found = fields_statics.read_surface(xr.Dataset({'sftlf': share}), ('land',), 'a.nc')['land']
    np.testing.assert_array_equal(found, ~SEA)
    place = dataset().rename(latitude='lat', longitude='lon')[['lat', 'lon']]
    place.assign(sftlf=share).to_netcdf(tmp_path / 'z.nc')
    np.testing.assert_array_equal(relief.land_on(place, str(tmp_path / 'z.nc')), ~SEA)


def test_land_below_the_sea(tmp_path):
    """A relief alone cannot tell it; a mask of land can, and a lake stays where it is."""
    dataset(units=('K', 'm day-1')).to_netcdf(tmp_path / 'a.nc')
    file = xr.Dataset({'z': (('lat', 'lon'), HEIGHT, {'units': 'm'})}, {'lat': LAT, 'lon': LON})
    file['lat'].attrs, file['lon'].attrs = {'units': 'degrees_north'}, {'units': 'degrees_east'}
    file.to_netcdf(tmp_path / 'z.nc')
    fields = read_series(str(tmp_path / 'a.nc'), ('t2m',)).drop_dims('time')
    asked = {'names': ('topography',), 'path': str(tmp_path / 'z.nc')}
    found = relief.add_surface(fields, **asked)
    np.testing.assert_allclose(found['topography'], HEIGHT.clip(0), atol=1e-3)
    assert found['topography'].attrs['long_name'] == 'topography, 0 on the sea'
    for land in (1, 0):
        everywhere = fields.assign(land=(('lat', 'lon'), np.full((ROWS, COLUMNS), land)))
        expected = HEIGHT if land else HEIGHT.clip(0)
        np.testing.assert_allclose(relief.add_surface(everywhere, **asked)['topography'], expected, atol=1e-3)


def test_the_sea_of_era5_land_does_not_exist(tmp_path):
    """Nor does a cell that has values in the test split alone; one that is missing at times does."""
    values = [np.where(SEA, np.nan, v) for v in (T2M, TP)]
    values[0][:30, 5, 5] = values[1][:30, 5, 5] = values[0][3:9, 6, 6] = np.nan
    dataset(values=values, units=('K', 'mm day-1')).to_netcdf(tmp_path / 'a.nc')
    prepared = prepare(section(tmp_path / 'a.nc'), 0, tmp_path / 'prepared')
    exists = ~SEA
    exists[5, 5] = False
    np.testing.assert_array_equal(prepared.mask, exists)
    assert (prepared.area[..., 0] > 0).tolist() == exists.tolist()
    assert np.isnan(prepared.split('test')[5]['fine'][5, 5]).all()
    transform, split = prepared.transform_as(BlockMeans), prepared.split('train')
    fine, coarse = prepared.pair(split[0])
    np.testing.assert_array_equal(np.isfinite(fine).all(-1), exists)
    shown = transform.condition(coarse, prepared.mask[..., None])
    np.testing.assert_array_equal(shown[..., -1], exists)


def test_without_missing_values_everything_exists(tmp_path):
    dataset(units=('K', 'm day-1')).to_netcdf(tmp_path / 'a.nc')
    assert prepare(section(tmp_path / 'a.nc'), 0, tmp_path / 'prepared').mask.all()


def test_records_of_real_era5(shared_data, tmp_path):
    """GRIB, by another archive's name: 33 x 49 cells, of which blocks of four leave out a row and a column."""
    pytest.importorskip('cfgrib')
    days = {'train': ('2019-03-01', '2019-03-02'), 'validation': ('2019-03-04',) * 2, 'test': ('2019-03-06',) * 2}
    data = section(
        shared_data / 'era5_t2m_uk_201903.grib',
        **{split: (dates,) for split, dates in days.items()},
        variables=('air',), units=('degC',), transform='standard', factor=4, bounds=((-INFINITY, INFINITY),),
        context=('topography', 'land', 'hour'), relief=str(shared_data / 'etopo20.nc'),
    )  # fmt: skip
    prepared = prepare(data, 0, tmp_path / 'prepared')
    assert prepared.mask.shape == (32, 48)
    assert prepared.meta['records'] == {'train': 48, 'validation': 24, 'test': 24}
    assert 0 < prepared.transform_as(BlockMeans).values.mean[0] < 15
    topography, land = prepared.statics['topography'].values, prepared.statics['land'].values
    assert topography.min() == 0 < land.mean() < 1
    assert topography[land == 0].max() <= 0
