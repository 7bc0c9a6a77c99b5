"""Wind files as ERA5, ARCO-ERA5 and GFS deliver them, small ones of the same form: one answer for all."""

import numpy as np
import pytest
import xarray as xr

from data_prep.readers.series import read_series
from data_prep.records.stream import stream
from downscale_jax.fields.datasets.files import chunks
from downscale_jax.fields.geometry import wind
from downscale_jax.fields.geometry.wind import RADIUS
from downscale_jax.runtime.errors import UserError

TIMES = np.arange('2020-01-01T00', '2020-01-02T00', 3, 'M8[h]').astype('M8[ns]')
LAT, LON = np.linspace(90, -90, 19), np.arange(36) * 10.0
SPIN = 1e-6 * (1 + np.arange(8))[:, None, None]
SINE = np.sin(np.deg2rad(LAT))[:, None] + 0 * LON
VORTICITY = 2 * SPIN * SINE  # of solid-body rotation that speeds up; its divergence is zero


def era5(names=('u', 'v'), time='time', level='level', levels=(850,), lat='latitude', lon='longitude'):
    """(time, level, lat, lon) with ERA5's attributes; rotation at the level 850, still air at the others."""
    u = SPIN * RADIUS * np.cos(np.deg2rad(LAT))[:, None] + 0 * LON
    values = dict(zip(('u', 'v', 'vo', 'd'), (u, 0 * u, VORTICITY, 0 * u), strict=True))
    attrs = {
        'u': {'units': 'm s**-1', 'standard_name': 'eastward_wind', 'long_name': 'U component of wind'},
        'v': {'units': 'm s**-1', 'standard_name': 'northward_wind', 'long_name': 'V component of wind'},
        'vo': {'units': 's**-1', 'standard_name': 'atmosphere_relative_vorticity'},
        'd': {'units': 's**-1', 'standard_name': 'divergence_of_wind'},
    }
    scale = (np.array(levels) == 850).astype(np.float32)[:, None, None]
    fields = {
        name: ((time, level, lat, lon), (values[name][:, None] * scale).astype(np.float32), attrs[name])
        for name in names
    }
    coords = {
        time: (time, TIMES, {'long_name': 'time', 'standard_name': 'time'}),
        level: (level, np.array(levels, np.int32), {'units': 'millibars'}),
        lat: (lat, LAT, {'units': 'degrees_north'}),
        lon: (lon, LON, {'units': 'degrees_east'}),
    }
    return xr.Dataset(fields, coords)


def check(result):
    assert result['vorticity'].dims == result['divergence'].dims == ('time', 'lat', 'lon')
    assert result['vorticity'].chunks  # lazy
    assert result['vorticity'].attrs['units'] == result['divergence'].attrs['units'] == 's-1'
    np.testing.assert_array_equal(result['time'], TIMES)
    np.testing.assert_array_equal(result['lat'], LAT)
    np.testing.assert_allclose(result['vorticity'], VORTICITY, atol=1e-10)
    np.testing.assert_allclose(result['divergence'], 0, atol=1e-10)


@pytest.mark.parametrize('names', [('u', 'v'), ('vo', 'd'), ('d', 'v', 'vo', 'u')])
@pytest.mark.parametrize(('time', 'level'), [('time', 'level'), ('valid_time', 'pressure_level')])
def test_netcdf_of_the_climate_data_store(tmp_path, names, time, level):
    data = era5(names, time, level)
    if time == 'valid_time':
        data = data.assign_coords(number=0, expver=('valid_time', ['0001'] * 8))
    data.to_netcdf(tmp_path / 'era5.nc')
    check(read_series(str(tmp_path / 'era5.nc')))


def test_netcdf_without_a_level_dimension(tmp_path):
    era5().isel(level=0, drop=True).rename(u='u10', v='v10').to_netcdf(tmp_path / 'era5.nc')
    check(read_series(str(tmp_path / 'era5.nc')))


def test_several_files(tmp_path):
    for day in range(2):
        era5().isel(time=slice(4 * day, 4 * day + 4)).to_netcdf(tmp_path / f'era5_{day}.nc')
    check(read_series(str(tmp_path / 'era5_*.nc')))


def test_arco(tmp_path):
    """Every level in one chunk, 10 m winds beside, and years of nothing around what is valid."""
    data = era5(levels=(500, 850, 1000)).rename(u='u_component_of_wind', v='v_component_of_wind')
    for name in 'uv':
        surface = data[f'{name}_component_of_wind'].sel(level=850, drop=True)
        data[f'10m_{name}_component_of_wind'] = 9 * surface.drop_attrs().assign_attrs(units='m s**-1')
    data = data.reindex(time=np.arange('2019-12-31T00', '2020-01-03T00', 3, 'M8[h]').astype('M8[ns]'))
    data.attrs = {'valid_time_start': '2020-01-01', 'valid_time_stop': '2020-01-01'}
    data.chunk(time=1).to_zarr(tmp_path / 'arco.zarr', zarr_format=2, consolidated=False)
    check(read_series(str(tmp_path / 'arco.zarr'), level=850))
    with pytest.raises(UserError, match='10m_u_component_of_wind, u_component_of_wind are all of the kind u'):
        read_series(str(tmp_path / 'arco.zarr'))


def test_other_variables_beside(tmp_path):
    era5(('u', 'v', 'vo')).to_netcdf(tmp_path / 'era5.nc')
    result = read_series(str(tmp_path / 'era5.nc'), ('vo', 'vorticity'))
    assert list(result.data_vars) == ['vo', 'vorticity', 'mask']
    np.testing.assert_allclose(result['vo'], result['vorticity'], atol=1e-10)
    assert list(read_series(str(tmp_path / 'era5.nc'), ('v', 'u')).data_vars) == ['v', 'u', 'mask']
    result = read_series(str(tmp_path / 'era5.nc'), ('u', 'divergence'))
    assert list(result.data_vars) == ['u', 'divergence', 'mask']
    np.testing.assert_allclose(result['u'][:, 9, 0], SPIN[:, 0, 0] * RADIUS, rtol=1e-6)


@pytest.mark.parametrize('names', [('vo',), ('vo', 'u'), ('u', 'v'), ('d', 'u', 'v')])
def test_only_what_is_asked_for_is_needed(tmp_path, names):
    era5(names).to_netcdf(tmp_path / 'era5.nc')
    result = read_series(str(tmp_path / 'era5.nc'), ('vorticity',))
    assert list(result.data_vars) == ['vorticity', 'mask']
    np.testing.assert_allclose(result['vorticity'], VORTICITY, atol=1e-10)
    assert result['vorticity'].attrs == wind.ATTRIBUTES['vorticity']
    if 'v' not in names:
        with pytest.raises(UserError, match=r'both winds, or divergence, were expected, found (none of them|u); '):
            read_series(str(tmp_path / 'era5.nc'), ('divergence',))
        with pytest.raises(UserError, match=r'or both vorticity and divergence, were expected, found .*vo; '):
            read_series(str(tmp_path / 'era5.nc'))


def test_one_source_for_both(tmp_path):
    """Divergence has to come from the winds, at 10 m: so does vorticity, not from 850 hPa."""
    data = era5(('u', 'v', 'vo'))
    surface = {name: (3 * data[name].isel(level=0, drop=True)).assign_attrs(units='m s-1') for name in 'uv'}
    data.assign(surface).to_netcdf(tmp_path / 'era5.nc')
    np.testing.assert_allclose(read_series(str(tmp_path / 'era5.nc'))['vorticity'], 3 * VORTICITY, atol=1e-10)


@pytest.mark.parametrize('stored', [1, 5, 8, 36])
def test_every_time_is_derived_once(tmp_path, monkeypatch, stored):
    """Whatever the chunks of the file, read as the pairs are, in eights."""
    if stored == 1:
        monkeypatch.setattr(chunks, 'PART', 1)  # as if the fields were large: chunks of small ones are read together
    data = xr.concat([era5().assign_coords(time=era5()['time'] + np.timedelta64(day, 'D')) for day in range(5)], 'time')
    data = data.isel(time=slice(36))
    data.to_zarr(tmp_path / 'era5.zarr', encoding={n: {'chunks': (stored, 1, 19, 36)} for n in 'uv'}, zarr_format=2)
    result = read_series(str(tmp_path / 'era5.zarr'))
    derived = []
    whole = wind.by_harmonics
    monkeypatch.setattr(wind, 'by_harmonics', lambda u, *rest: derived.append(float(u.max())) or whole(u, *rest))
    read = [field for _, field in stream(result, {'path': '', 'variables': ('vorticity', 'divergence')})]
    assert len(read) == len(derived) == 36
    np.testing.assert_allclose(np.stack(read)[..., 0], np.tile(VORTICITY, (5, 1, 1))[:36], atol=1e-10)
    derived.clear()
    result.isel(time=[17]).compute()
    assert len(derived) <= min(stored, 8)


@pytest.mark.parametrize('names', [('u', 'v'), ('vo', 'd')])
def test_grib(tmp_path, names):
    eccodes = pytest.importorskip('eccodes')
    pytest.importorskip('cfgrib')
    write_grib(eccodes, tmp_path / 'era5.grib', era5(names, levels=(700, 850)))
    check(read_series(str(tmp_path / 'era5.grib'), level=850))
    with pytest.raises(UserError, match=r"'isobaricInhPa' has .*700.* hPa, not 500"):
        read_series(str(tmp_path / 'era5.grib'), level=500)
    write_grib(eccodes, tmp_path / 'single.grib', era5(names))
    check(read_series(str(tmp_path / 'single.grib')))
    check(read_series(str(tmp_path / 'single.grib'), level=850))


def write_grib(eccodes, path, data):
    """As ERA5 comes: GRIB 1, a message a field."""
    with open(path, 'wb') as file:
        for time in data['time'].values:
            for level in data['level'].values:
                for name, array in data.data_vars.items():
                    message = eccodes.codes_grib_new_from_samples('regular_ll_pl_grib1')
                    keys = {
                        'centre': 'ecmf',
                        'table2Version': 128,
                        'indicatorOfParameter': {'u': 131, 'v': 132, 'vo': 138, 'd': 155}[name],
                        'dataDate': int(np.datetime_as_string(time, 'D').replace('-', '')),
                        'dataTime': int(np.datetime_as_string(time, 'h')[-2:]) * 100,
                        'level': int(level),
                        'Ni': 36,
                        'Nj': 19,
                        'latitudeOfFirstGridPointInDegrees': 90,
                        'latitudeOfLastGridPointInDegrees': -90,
                        'longitudeOfFirstGridPointInDegrees': 0,
                        'longitudeOfLastGridPointInDegrees': 350,
                        'iDirectionIncrementInDegrees': 10,
                        'jDirectionIncrementInDegrees': 10,
                        'bitsPerValue': 24,
                    }
                    for key, value in keys.items():
                        eccodes.codes_set(message, key, value)
                    values = array.sel(time=time, level=level).values.astype(float)
                    eccodes.codes_set_values(message, values.ravel())
                    eccodes.codes_write(message, file)
                    eccodes.codes_release(message)


@pytest.mark.parametrize(
    ('change', 'level', 'message'),
    [
        (
            lambda d: d.drop_vars('v'),
            None,
            'era5.nc: both winds, or both vorticity and divergence, were expected, found u;',
        ),
        (lambda d: d.drop_vars('v').rename(u='t').assign(t=1), 0, 'found none of them'),
        (lambda d: d.assign(u=d['u'].drop_attrs()), 0, "'u' has no units"),
        (lambda d: d.reindex(level=[850, 500]), 0, "'level' has 850, 500 millibars, and none is chosen"),
        (lambda d: d, 500, "'level' has 850 millibars, not 500"),
        (lambda d: d.isel(level=0, drop=True), 850, 'both winds on levels, .* found none of them'),
        (lambda d: d.isel(time=0, drop=True), 0, 'no time axis'),
        (lambda d: d.assign(u10=d['u']), 0, 'u, u10 are all of the kind u'),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, change, level, message):
    change(era5()).to_netcdf(tmp_path / 'era5.nc')
    with pytest.raises(UserError, match=message):
        read_series(str(tmp_path / 'era5.nc'), level=level)


def test_real_gfs(shared_data):
    """80 steps with a gap, both poles, rows from the north; one time costs about its own share."""
    result = read_series(str(shared_data / 'gfs_wind10m_1deg_20181006-20181016.nc'))
    assert dict(result.sizes) == {'time': 80, 'lat': 181, 'lon': 360}
    some = result.isel(time=[0, 79]).compute()
    assert np.isfinite(some['vorticity']).all()
    assert 1e-5 < float(some['vorticity'].std()) < 1e-4
    assert float(some['divergence'].std()) < float(some['vorticity'].std())
    # the strong vortices of the northern subtropics are cyclones
    north = some['vorticity'].sel(lat=slice(40, 10))
    assert float(north.max()) > 2 * float(-north.min())


def test_the_grib_reader_names_what_a_real_file_lacks(shared_data):
    pytest.importorskip('cfgrib')
    with pytest.raises(UserError, match=r'found none of them; the file has t2m'):
        read_series(str(shared_data / 'era5_t2m_uk_201903.grib'))
