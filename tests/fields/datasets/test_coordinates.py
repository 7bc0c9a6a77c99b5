"""Horizontal coordinates as files hold them: rotated poles, WRF, sorted longitudes, bounds, grid mappings."""

import numpy as np
import pytest
import xarray as xr

from data_prep.readers.series import read_series
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.projections import geographic
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.runtime.errors import UserError

POLE = {
    'grid_mapping_name': 'rotated_latitude_longitude',
    'grid_north_pole_latitude': 39.25,
    'grid_north_pole_longitude': -162.0,
}


NORTH, EAST = {'units': 'degrees_north'}, {'units': 'degrees_east'}
TIME = np.array(['2000-01-01', '2000-01-02'], 'M8[ns]')


def fields(dims=('time', 'y', 'x'), shape=(2, 3, 4), **coords):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    return xr.Dataset({'t': (dims, values, {'units': 'K'})}, {'time': TIME, **coords})


def test_the_rotated_pole_of_europe():
    """The centre of the CORDEX domain is at 50.75 N, 18 E; its north lies along the meridian of 18 E."""
    lat, lon = geographic(np.array([0.0, 10.0]), np.array([0.0, 10.0]), POLE)
    np.testing.assert_allclose([lat[0, 0], lon[0, 0]], [50.75, 18.0])
    np.testing.assert_allclose([lat[1, 0], lon[1, 0]], [60.75, 18.0])
    # sin lat = cos P cos 10, and tan(lon - 18) = tan 10 / sin P, by the right-angled triangle to the east
    np.testing.assert_allclose(np.sin(np.deg2rad(lat[0, 1])), np.cos(np.deg2rad([39.25, 10.0])).prod())
    np.testing.assert_allclose(np.tan(np.deg2rad(lon[0, 1] - 18)), np.tan(np.deg2rad(10)) / np.sin(np.deg2rad(39.25)))
    # half a turn of the rotated longitudes is half a turn of the meridian of the true pole
    turned = geographic(np.array([0.0]), np.array([180.0]), {**POLE, 'north_pole_grid_longitude': 180.0})
    np.testing.assert_allclose(np.ravel(turned), [50.75, 18.0])


@pytest.mark.parametrize(('units', 'is_rotated'), [('degrees', True), ('', True), ('degrees_north', False)])
def test_axes_called_lat_and_lon_on_a_rotated_grid(units, is_rotated):
    """Rotated where the grid mapping says so, unless the axes themselves say that they are not."""
    axes = {'lat': ('lat', [-1.0, 0.0, 1.0], {'units': units}),
            'lon': ('lon', [-1.0, 0.0, 1.0, 2.0], {'units': units.replace('north', 'east')})}  # fmt: skip
    data = fields(('time', 'lat', 'lon'), **axes, rotated_pole=((), 0, POLE))
    data['t'].attrs['grid_mapping'] = 'rotated_pole'
    found = canonical(data, ['t'])
    assert ('rlat' in found.coords) == is_rotated
    np.testing.assert_allclose(found['lat'].values.flat[5 if is_rotated else 1], 50.75 if is_rotated else 0)


def test_the_pole_of_a_real_file(shared_data):
    found = canonical(store.open_dataset(shared_data / 'forms/tas_EUR-22_rotated_pole_202101.nc'), ['tas'])
    lat, lon = geographic(found['rlat'].values, found['rlon'].values, found['rotated_latitude_longitude'].attrs)
    np.testing.assert_allclose(lat, found['lat'], atol=4e-4)
    np.testing.assert_allclose((lon - found['lon'] + 180) % 360, 180, atol=4e-4)
    assert found['tas'].attrs['grid_mapping'] == 'rotated_latitude_longitude'
    assert found['lat_bnds'].dims == ('y', 'x', 'vertices')
    assert found['lat'].attrs['bounds'] == 'lat_bnds'
    exact = cell_areas_km2(found)
    assert np.median(exact) == pytest.approx(0.22**2 * (6371 * np.pi / 180) ** 2, rel=0.03)
    # by the corners of the file, but for its last column, where they are wrong, and midway between centres
    for dropped, tolerance in ((['rlat', 'rlon'], 2e-3), (['rlat', 'rlon', 'lat_bnds', 'lon_bnds'], 2e-3)):
        np.testing.assert_allclose(cell_areas_km2(found.drop_vars(dropped))[:, :-1], exact[:, :-1], rtol=tolerance)


def test_rotated_degrees_with_a_pole_alone():
    given = fields(
        ('time', 'rlat', 'rlon'),
        rlat=('rlat', [1.0, 0.0, -1.0], {'standard_name': 'grid_latitude', 'units': 'degrees'}),
        rlon=('rlon', [358.0, 359.0, 0.0, 1.0], {'standard_name': 'grid_longitude', 'units': 'degrees'}),
        pole=((), 0, POLE),
    )
    found = canonical(given, ['t'])
    np.testing.assert_array_equal(found['rlon'], [358, 359, 360, 361])
    np.testing.assert_allclose([found['lat'][1, 2], found['lon'][1, 2]], [50.75, 18.0])
    assert found['lat'][0, 2] == pytest.approx(51.75)
    assert found['t'].dims == ('time', 'y', 'x')


NSIDC = {
    'grid_mapping_name': 'polar_stereographic',
    'straight_vertical_longitude_from_pole': -45.0,
    'latitude_of_projection_origin': 90.0,
    'standard_parallel': 70.0,
    'semi_major_axis': 6378273.0,  # Hughes 1980, EPSG:3411
    'semi_minor_axis': 6356889.449,
}


def test_a_polar_map_without_latitudes(shared_data):
    """Its grid mapping gives the latitudes and longitudes that the file has stored."""
    given = xr.open_dataset(shared_data / 'nsidc_siconc_arctic_daily_2015-2016.nc').isel(time=[0, 1])
    name = next(str(name) for name, variable in given.data_vars.items() if 'time' in variable.dims)
    bare = given[[name]].drop_vars(['latitude', 'longitude']).assign_coords(crs=((), 0, NSIDC))
    bare[name].attrs.pop('coordinates', None)
    bare[name].encoding.clear()
    found, stored = canonical(bare, [name]), canonical(given, [name])
    assert found['lat'].dims == ('y', 'x')
    np.testing.assert_allclose(found['lat'], stored['lat'], atol=2e-3)
    near_the_pole = stored['lat'].values > 89.5
    off = (found['lon'] - stored['lon'] + 180) % 360 - 180
    assert np.abs(off.values[~near_the_pole]).max() < 2e-2


def lambert(**attributes):
    axes = {name: (name, [-1e5, 0.0, 1e5, 2e5], {'units': 'm'}) for name in 'yx'}
    return fields(shape=(2, 4, 4), **axes, crs=((), 0, {'grid_mapping_name': 'lambert_conformal_conic', **attributes}))


EUROPE = {
    'standard_parallel': 45.0,
    'longitude_of_central_meridian': 10.0,
    'latitude_of_projection_origin': 45.0,
    'earth_radius': 6371000.0,
}


def test_a_conical_map():
    """The origin is at 45 N, 10 E; the central meridian runs north, where the scale is nearly true."""
    found = canonical(lambert(**EUROPE), ['t'])
    np.testing.assert_allclose([found['lat'][1, 1], found['lon'][1, 1]], [45.0, 10.0], atol=1e-9)
    np.testing.assert_allclose(found['lon'][:, 1], 10.0)
    assert found['lat'][2, 1] == pytest.approx(45 + np.rad2deg(1e5 / 6371000), abs=1e-4)


@pytest.mark.parametrize('missing', list(EUROPE))
def test_an_incomplete_map_has_no_place(missing):
    """PROJ would take what is missing as zero, or as another Earth."""
    found = canonical(lambert(**{key: value for key, value in EUROPE.items() if key != missing}), ['t'])
    assert 'lat' not in found.coords


def test_wrf_repeats_coordinates_in_time():
    lat, lon = np.meshgrid([50.0, 51.0, 52.0], [5.0, 6.0, 7.0, 8.0], indexing='ij')
    dims = ('time', 'south_north', 'west_east')
    planes = {name: (dims, np.stack([v, v]), u) for name, v, u in (('XLAT', lat, NORTH), ('XLONG', lon, EAST))}
    found = canonical(fields(dims).assign(planes), ['t'])
    np.testing.assert_array_equal(found['lat'], lat)
    np.testing.assert_array_equal(found['lon'], lon)
    moving = fields(dims).assign(planes | {'XLAT': (dims, np.stack([lat, lat + 1]), {'units': 'degree_north'})})
    with pytest.raises(UserError, match=r"'XLAT' changes along 'time': the grid moves"):
        canonical(moving, ['t'])


@pytest.mark.parametrize(
    ('longitudes', 'expected'),
    [
        ([0.5, 1.5, 358.5, 359.5], [-1.5, -0.5, 0.5, 1.5]),
        ([359.5, 358.5, 1.5, 0.5], [1.5, 0.5, -0.5, -1.5]),
        ([-179.5, -178.5, 178.5, 179.5], [178.5, 179.5, 180.5, 181.5]),
        ([350.0, 355.0, 0.0, 5.0], [350, 355, 360, 365]),
        ([0.0, 90.0, 180.0, 270.0], [0, 90, 180, 270]),
        ([0.0, 1.0, 3.0, 7.0], [0, 1, 3, 7]),
        ([0.0, 120.0, 240.0, 360.0], [0, 120, 240, 360]),
    ],
)
def test_sorted_longitudes_are_put_in_one_run(longitudes, expected):
    lon = np.array(longitudes)
    given = fields(('time', 'lat', 'lon'), lat=('lat', [1.0, 2.0, 3.0]), lon=('lon', lon, {'units': 'degrees_east'}))
    for data in (given, given.chunk(time=1), given.assign_coords(lon=given['lon'].astype('f4'))):
        found = canonical(data, ['t'])
        np.testing.assert_allclose(found['lon'], expected)
        for column, east in enumerate(expected):
            there = np.flatnonzero(np.abs((lon - east + 180) % 360 - 180) < 1e-9)[0 if column == 0 else -1]
            np.testing.assert_array_equal(found['t'][..., column], given['t'][..., there])


def test_bounds_follow_their_axis():
    lon = np.array([0.5, 1.5, 358.5, 359.5])
    given = fields(
        ('time', 'lat', 'lon'),
        lat=('lat', [1.0, 2.0, 3.0]),
        lon=('lon', lon, {'units': 'degrees_east', 'bounds': 'lon_b'}),
    ).assign(lon_b=(('lon', 'two'), np.stack([lon - 0.5, lon + 0.5], -1)))
    found = canonical(given, ['t'])
    np.testing.assert_allclose(found['lon_bnds'], np.stack([found['lon'] - 0.5, found['lon'] + 0.5], -1))


def test_cell_numbers_beside_two_dimensional_coordinates():
    """Coarsened numbers of cells, 1.5, 5.5, are no metres; neither are the angles of a satellite."""
    plane = np.arange(12.0).reshape(3, 4)
    planes = {'lat': (('y', 'x'), plane, NORTH), 'lon': (('y', 'x'), plane, EAST)}
    found = canonical(fields(y=1.5 + 4 * np.arange(3), x=('x', 1e-3 * np.arange(4), {'units': 'rad'}), **planes), ['t'])
    assert set(found.coords) == {'time', 'lat', 'lon'}
    radians = {'lat': (('y', 'x'), np.deg2rad(plane), {'units': 'radian', 'standard_name': 'latitude'})}
    np.testing.assert_allclose(canonical(fields(**radians), ['t'])['lat'], plane)


@pytest.mark.parametrize(
    'case', ['cordex_rotated_fine', 'lambert_fine', 'wrfout_with_time_axis', 'greenwich_fine_sorted']
)
def test_cases(shared_data, case):
    name, mapping, area = {
        'cordex_rotated_fine': ('tas', 'rotated_pole', 149),
        'lambert_fine': ('t2m', 'crs', 12.5**2),
        'wrfout_with_time_axis': ('T2', None, 121),
        'greenwich_fine_sorted': ('t2m', None, 496),
    }[case]
    found = read_series(str(shared_data.parent / 'cases' / f'{case}.nc'), [name])
    assert found[name].attrs.get('grid_mapping') == mapping
    assert mapping is None or mapping in found.coords
    assert cell_areas_km2(found).mean() == pytest.approx(area, rel=5e-3)
    if case.startswith('greenwich'):
        assert (found['lon'].values[0], found['lon'].values[-1]) == (-9.875, 9.875)


def test_a_repeated_meridian_is_reported(caplog):
    lat = 'lat', [-1.0, 0.0, 1.0], NORTH
    for lon, repeats in (([0.0, 90, 180, 270], False), ([0.0, 120, 240, 360], True), ([180.0, 60, -60, -180], True)):
        caplog.clear()
        canonical(fields(('time', 'lat', 'lon'), lat=lat, lon=('lon', lon, EAST)), ['t'])
        assert ('repeats the first' in caplog.text) == repeats
