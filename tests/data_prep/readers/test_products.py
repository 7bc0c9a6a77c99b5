import numpy as np
import pytest
import xarray as xr

from data_prep.readers import products
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError

DAY = 86400.0


def values(array):
    return store.load(array).values


def geographic(y, x):
    """Latitude and longitude of plane positions [m] near the pole, where an azimuthal map is true to scale."""
    return 90 - np.rad2deg(np.hypot(x, y) / 6.371e6), np.rad2deg(np.arctan2(y, x))


def nextsim_file(path, velocity, start=0, times=2, axes=False):
    """velocity(y, x) -> u, v [m s-1] on 4 km cells; the column x = 5 is land."""
    y, x = np.meshgrid(4e3 * (np.arange(7.0) - 3.2), 4e3 * (np.arange(9.0) - 4.3), indexing='ij')
    lat, lon = geographic(y, x)
    u, v = velocity(y, x)
    fields = {'sit': np.full_like(x, 1.5), 'sic': np.full_like(x, 0.75), 'siu': u, 'siv': v}
    units = {'sit': 'm', 'sic': '1', 'siu': 'm/s', 'siv': 'm/s'}
    data = xr.Dataset({'latitude': (('y', 'x'), lat, {'units': 'degrees_north'}),
                       'longitude': (('y', 'x'), lon, {'units': 'degrees_east'})})  # fmt: skip
    for name, field in fields.items():
        field = np.where(np.arange(9) == 5, np.nan, field)
        data[name] = ('time', 'y', 'x'), np.stack([field] * times), {'units': units[name]}
    days = 43829.25 + 0.5 * (start + np.arange(times))
    data['time'] = 'time', days, {'units': 'days since 1900-01-01 00:00:00', 'bounds': 'time_bnds'}
    data['time_bnds'] = ('time', 'nv'), np.stack([days - 0.25, days + 0.25], 1)
    if axes:
        data = data.assign_coords(y=('y', y[:, 0] / 1e3, {'units': 'km'}), x=('x', x[0] / 1e3, {'units': 'km'}))
    data.to_netcdf(path, encoding={name: {'_FillValue': -1e14} for name in fields})


@pytest.mark.parametrize('axes', [False, True])
@pytest.mark.parametrize(
    ('velocity', 'divergence', 'shear'),
    [
        (lambda y, x: (2e-6 * x, 1e-6 * y), 3e-6, 1e-6),
        (lambda y, x: (3e-6 * y, 1e-6 * x), 0.0, 4e-6),
        (lambda y, x: (-2e-6 * y, 2e-6 * x), 0.0, 0.0),
        (lambda y, x: (1e-6 * x + 4e-6 * y, -1e-6 * y), 0.0, np.sqrt(20) * 1e-6),
    ],
)
def test_nextsim_deformation_of_linear_velocity(tmp_path, velocity, divergence, shear, axes):
    nextsim_file(tmp_path / 'Moorings_2020m01.nc', velocity, axes=axes)
    found = products.read_nextsim(tmp_path / 'Moorings_2020m01.nc')
    sea = found.mask.values
    np.testing.assert_array_equal(sea, np.broadcast_to(np.arange(9) != 5, (7, 9)))
    # Cells at the coast and at the edge have one neighbour only and are exact all the same.
    np.testing.assert_allclose(values(found.divergence)[:, sea], divergence * DAY, atol=2e-6)
    np.testing.assert_allclose(values(found.shear)[:, sea], shear * DAY, atol=2e-6)
    assert np.isnan(values(found.divergence)[:, ~sea]).all()


def test_nextsim_files_in_time(tmp_path):
    for start in (2, 0):
        nextsim_file(tmp_path / f'Moorings_{3 - start}.nc', lambda y, x: (x, y), start)
    found = products.read_nextsim(str(tmp_path / 'Moorings_*.nc'))
    assert set(found.data_vars) == {'sit', 'sic', 'divergence', 'shear', 'mask'}
    assert found.sit.dims == ('time', 'y', 'x')
    assert found.divergence.chunks is not None
    assert found.divergence.attrs['units'] == 'day-1'
    assert found.time.values[0] == np.datetime64('2020-01-01T06')
    assert found.sizes['time'] == 4
    assert (np.diff(found.time) == np.timedelta64(12, 'h')).all()
    assert found.lat.dims == ('y', 'x')
    assert np.nanmax(values(found.sit)) == 1.5
    store.write_netcdf(found, tmp_path / 'out.nc')
    again = canonical(store.open_dataset(tmp_path / 'out.nc'), ['sit', 'shear'], mask='mask')
    np.testing.assert_array_equal(values(again.shear), values(found.shear))


def test_nextsim_eastward_velocity_is_refused(tmp_path):
    nextsim_file(tmp_path / 'a.nc', lambda y, x: (x, y))
    data = xr.load_dataset(tmp_path / 'a.nc', decode_timedelta=False)
    data.siu.attrs['standard_name'] = 'eastward_sea_ice_velocity'
    data.to_netcdf(tmp_path / 'b.nc')
    with pytest.raises(UserError, match=r'b\.nc: siu is eastward'):
        products.read_nextsim(tmp_path / 'b.nc')


def osisaf_grid(step, ny=6, nx=5):
    """xc rises and yc falls, in km, as in the products."""
    y, x = step * np.arange(ny)[::-1], step * np.arange(nx)
    lat, lon = geographic(*np.meshgrid(1e3 * y, 1e3 * x, indexing='ij'))
    return xr.Dataset(
        {'lat': (('yc', 'xc'), lat, {'units': 'degrees_north', 'standard_name': 'latitude'}),
         'lon': (('yc', 'xc'), lon, {'units': 'degrees_east', 'standard_name': 'longitude'})},
        {'yc': ('yc', y, {'units': 'km', 'standard_name': 'projection_y_coordinate'}),
         'xc': ('xc', x, {'units': 'km', 'standard_name': 'projection_x_coordinate'})},
    )  # fmt: skip


def dated(data, day, width=1):
    seconds = 86400.0 * (15340 + day) + 43200  # 2020-01-01 12:00
    data['time'] = 'time', [seconds], {'units': 'seconds since 1978-01-01 00:00:00', 'bounds': 'time_bnds'}
    bounds = [[seconds - width * 43200, seconds + width * 43200]]
    return data.assign(time_bnds=(('time', 'nv'), bounds))


def cs2smos_file(path, day=0, step=25.0):
    data = dated(osisaf_grid(step), day, width=7)
    sic = np.full((1, 6, 5), 80.0)
    sic[0, 0] = np.nan  # land
    sic[0, 1] = 0.0
    sic[0, 2] = 10.0
    sit = np.where(sic > 15, 2.0 + day, np.nan)
    data['Lambert_Azimuthal_Grid'] = (), 0, {'grid_mapping_name': 'lambert_azimuthal_equal_area'}
    for name, field, units in (
        ('analysis_sea_ice_thickness', sit, 'm'),
        ('analysis_sea_ice_thickness_unc', 0.1 * sit, 'm'),
        ('sea_ice_concentration', sic, '%'),
    ):
        data[name] = ('time', 'yc', 'xc'), field, {'units': units, 'grid_mapping': 'Lambert_Azimuthal_Grid'}
        data[name].encoding = {'dtype': 'i4', 'scale_factor': 0.001, '_FillValue': -99}
    data.to_netcdf(path)


def test_cs2smos(tmp_path):
    for day in (0, 1):
        cs2smos_file(tmp_path / f'W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_2020010{day}_r_v206_01_l4sit.nc', day)
    found = products.read_cs2smos(str(tmp_path / '*l4sit.nc'))
    np.testing.assert_array_equal(found.mask, np.arange(6)[:, None] + np.zeros(5) > 0)
    np.testing.assert_allclose(values(found.sic)[:, 1:, 0], [[0, 0.1, 0.8, 0.8, 0.8]] * 2, rtol=1e-6)
    np.testing.assert_allclose(values(found.sit)[1, :, 0], [np.nan, 0, np.nan, 3, 3, 3])
    np.testing.assert_allclose(values(found.sit_uncertainty)[0, 3:, 0], 0.2, rtol=1e-6)
    np.testing.assert_array_equal(found.x, 25e3 * np.arange(5))
    np.testing.assert_array_equal(found.y, 25e3 * np.arange(6)[::-1])
    assert found.sit.attrs['grid_mapping'] == 'Lambert_Azimuthal_Grid'
    assert found.Lambert_Azimuthal_Grid.attrs['grid_mapping_name'] == 'lambert_azimuthal_equal_area'
    assert found.time.values[1] == np.datetime64('2020-01-02T12')


@pytest.mark.parametrize('kind', ['flag_masks', 'flag_values', 'none'])
def test_osisaf_concentration(tmp_path, kind):
    data = dated(osisaf_grid(10.0), 0)
    conc = np.full((1, 6, 5), 45.0)
    conc[0, 0] = np.nan  # land
    conc[0, 3, 3] = np.nan  # missing at sea
    status = np.zeros((1, 6, 5), 'int16')
    status[0, 0] = 1 + (8 if kind == 'flag_masks' else 0)
    data['ice_conc'] = ('time', 'yc', 'xc'), conc, {'units': '%', 'standard_name': 'sea_ice_area_fraction'}
    data['ice_conc'].encoding = {'dtype': 'i4', 'scale_factor': 0.01, '_FillValue': -32767}
    attrs = {
        'flag_masks': {'flag_masks': np.array([1, 2, 8], 'int16'), 'flag_meanings': 'land lake land_spill_over'},
        'flag_values': {'flag_values': np.array([0, 1, 2], 'int16'), 'flag_meanings': 'nominal land lake'},
        'none': {},
    }[kind]
    data['status_flag'] = ('time', 'yc', 'xc'), status, attrs
    data['status_flag'].encoding = {'_FillValue': np.int16(-32767)}
    data.to_netcdf(tmp_path / 'ice_conc_nh_polstere-100_multi_202001011200.nc')
    found = products.read_osisaf_concentration(tmp_path / 'ice_conc_nh_polstere-100_multi_202001011200.nc')
    sea = np.arange(6)[:, None] + np.zeros(5) > 0
    if kind == 'none':
        sea[3, 3] = False
    np.testing.assert_array_equal(found.mask, sea)
    np.testing.assert_allclose(values(found.sic)[0], np.where(np.isnan(conc[0]), np.nan, 0.45), rtol=1e-6)


def drift_file(path, displacement, status=None, day=0, old=False):
    """displacement(y, x) -> km in 48 h, of positions in km."""
    data = dated(osisaf_grid(62.5, 9, 8), day, width=2)
    dx, dy = displacement(*np.meshgrid(data.yc, data.xc, indexing='ij'))
    status = np.full((9, 8), 30, 'int8') if status is None else status
    fields = {'dX': dx, 'dY': -dy if old else dy, **({'dY_v1p4': dy} if old else {})}
    for name, field in fields.items():
        data[name] = ('time', 'yc', 'xc'), field[None], {'units': 'km'}
    flags = {'status_flag': status * 0 if old else status, **({'status_flag_v1p4': status} if old else {})}
    for name, field in flags.items():
        data[name] = ('time', 'yc', 'xc'), field[None].astype('int8')
    data['lat1'] = ('time', 'yc', 'xc'), data.lat.values[None], {'units': 'degrees_north'}
    data['lon1'] = ('time', 'yc', 'xc'), data.lon.values[None], {'units': 'degrees_east'}
    data.to_netcdf(path)


@pytest.mark.parametrize('old', [False, True])
@pytest.mark.parametrize(
    ('displacement', 'divergence', 'shear'),
    [
        (lambda y, x: (0.02 * x, 0.01 * y), 0.015, 0.005),
        (lambda y, x: (0.02 * y, 0.02 * x), 0.0, 0.02),
        (lambda y, x: (-0.02 * y, 0.02 * x), 0.0, 0.0),
    ],
)
def test_osisaf_drift(tmp_path, displacement, divergence, shear, old):
    status = np.full((9, 8), 30)
    status[0] = 1  # land
    status[4, 4] = 13  # filtered
    status[6, 2] = 20  # with care
    drift_file(tmp_path / 'a.nc', displacement, status, old=old)
    found = products.read_osisaf_drift([tmp_path / 'a.nc'])
    np.testing.assert_array_equal(found.mask, status != 1)
    good = status >= 20
    for name, expected in (('divergence', divergence), ('shear', shear)):
        np.testing.assert_allclose(values(found[name])[0][good], expected, atol=1e-8)
        assert np.isnan(values(found[name])[0][~good]).all()
    assert found.lat.dims == ('y', 'x')


def test_a_rejected_vector_leaves_no_trace(tmp_path):
    status = np.full((9, 8), 30)
    status[4, 4] = 12
    wrong = np.where((np.arange(9)[:, None] == 4) & (np.arange(8) == 4), 500.0, 0.0)
    drift_file(tmp_path / 'a.nc', lambda y, x: (0.02 * x + wrong, wrong), status)
    found = products.read_osisaf_drift(tmp_path / 'a.nc')
    np.testing.assert_allclose(values(found.divergence)[0][status == 30], 0.01, atol=1e-8)


def test_lone_vectors_have_no_deformation(tmp_path):
    status = np.zeros((9, 8), int)
    status[2, 2] = 30
    status[5:7, 5:7] = 30
    drift_file(tmp_path / 'a.nc', lambda y, x: (x, y), status)
    found = products.read_osisaf_drift(tmp_path / 'a.nc')
    assert np.isfinite(values(found.divergence)).sum() == 4


@pytest.mark.parametrize('name', sorted(products.READERS))
def test_mistakes_are_told(tmp_path, name):
    osisaf_grid(25.0).to_netcdf(tmp_path / 'other.nc')
    with pytest.raises(UserError, match=r'other\.nc: no variable'):
        products.READERS[name](tmp_path / 'other.nc')
    with pytest.raises(UserError, match='no such file'):
        products.READERS[name](str(tmp_path / 'none.nc'))
    with pytest.raises(UserError, match='no file'):
        products.READERS[name]([])


def test_two_grids_are_told(tmp_path):
    cs2smos_file(tmp_path / 'a.nc')
    cs2smos_file(tmp_path / 'b.nc', day=1, step=26.0)
    with pytest.raises(UserError, match='not on one grid'):
        products.read_cs2smos([tmp_path / 'a.nc', tmp_path / 'b.nc'])
