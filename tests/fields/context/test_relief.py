"""Relief on grids: slopes are kept, seams and directions do not matter, real mountains are where they are."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.context import relief
from downscale_jax.fields.context.surface import surface_of_relief
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError


def axes(lat, lon):
    return {'lat': ('lat', lat, {'units': 'degrees_north'}), 'lon': ('lon', lon, {'units': 'degrees_east'})}


def write(path, lat, lon, values, name='z', units='m', **attrs):
    data = xr.Dataset({name: (('lat', 'lon'), values, {'units': units, **attrs})}, axes(lat, lon))
    data.to_netcdf(path)
    return str(path)


def sloping(path, step, lat=(20, 50), lon=(90, 130), **attrs):
    """10 m a degree north, 3 m a degree east of 100."""
    at, to = (np.arange(low + step / 2, high, step) for low, high in (lat, lon))
    return write(path, at, to, 10 * at[:, None] + 3 * (to - 100), **attrs)


def grid(step=1.0, lat=(25, 41), lon=(100, 124)):
    at, to = (np.arange(low + step / 2, high, step) for low, high in (lat, lon))
    return xr.Dataset(coords=axes(at, to))


def curvilinear(step):
    """A grid around 32 N 110 E, turned by 30 degrees."""
    y, x = np.meshgrid(step * (np.arange(12) - 5.5), step * (np.arange(16) - 7.5), indexing='ij')
    lat = 32 + 0.87 * y - 0.5 * x
    lon = 110 + (0.5 * y + 0.87 * x) / np.cos(np.deg2rad(32))
    return xr.Dataset(coords={'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)})


@pytest.mark.parametrize('step', [2.0, 0.7, 0.25, 0.05])
@pytest.mark.parametrize('place', [grid(), curvilinear(0.5)], ids=['axes', 'plane'])
def test_a_slope_stays_a_slope(tmp_path, step, place):
    found = relief.relief_on(place, sloping(tmp_path / 'z.nc', step))
    lat, lon = xr.broadcast(place['lat'], place['lon'])
    np.testing.assert_allclose(found, 10 * lat + 3 * (lon - 100), atol=0.05)
    assert found.dims == lat.dims
    assert found.dtype == np.float32
    assert found.attrs['units'] == 'm'
    xr.testing.assert_equal(found['lat'].drop_vars(found['lat'].coords), place['lat'].drop_vars(place['lat'].coords))


def test_the_own_grid_gives_the_values_back(tmp_path):
    place = grid(0.5)
    values = np.random.default_rng(0).normal(size=(place.sizes['lat'], place.sizes['lon'])).astype(np.float32)
    path = write(tmp_path / 'z.nc', place['lat'].values, place['lon'].values, values)
    np.testing.assert_allclose(relief.relief_on(place, path), values, atol=1e-6)


@pytest.mark.parametrize('cells', [4, 5])
def test_finer_relief_is_averaged(tmp_path, cells):
    """The points are the file's own, and the mean is that of the box by area."""
    place = grid(1.0)
    lat, lon = (np.arange(low, high, 1 / cells) + 0.5 / cells for low, high in ((25, 41), (100, 124)))
    values = np.random.default_rng(0).normal(size=(lat.size, lon.size))
    path = write(tmp_path / 'z.nc', lat, lon, values)
    area = np.cos(np.deg2rad(lat))[:, None] + 0 * lon
    total, norm = (a.reshape(16, cells, 24, cells).sum((1, 3)) for a in (values * area, area))
    np.testing.assert_allclose(relief.relief_on(place, path), total / norm, atol=1e-6)


def test_direction_and_convention_do_not_matter(tmp_path):
    """Over the date line, from files that run from 0 or -180, south or north first, with 180 twice."""
    lat, lon = np.arange(-89.5, 90), np.arange(-179.5, 180)

    def height(lat, lon):
        return 100 * np.sin(np.deg2rad(lat))[:, None] + 50 * np.cos(np.deg2rad(lon))

    east = np.arange(0.5, 360)
    ends = np.arange(-180.0, 180.5)
    files = [
        write(tmp_path / 'a.nc', lat, lon, height(lat, lon)),
        write(tmp_path / 'b.nc', lat[::-1], east, height(lat[::-1], east)),
    ]
    place = grid(0.5, (-20, 10), (170, 200))
    west = place.assign_coords(lon=place['lon'] - 360)
    found = [relief.relief_on(where, path).values for path in files for where in (place, west)]
    for values in found:
        np.testing.assert_allclose(values, height(place['lat'].values, place['lon'].values), atol=0.02)
        np.testing.assert_allclose(values, found[0], atol=1e-4)
    twice = relief.relief_on(place, write(tmp_path / 'c.nc', lat, ends, height(lat, ends)))
    np.testing.assert_allclose(twice, found[0], atol=0.03)
    flipped = relief.relief_on(place.isel(lat=slice(None, None, -1)), files[0])
    np.testing.assert_allclose(flipped[::-1], found[0], atol=1e-4)


@pytest.mark.parametrize('lon', [(-180, 180), (0, 360)])
def test_the_whole_globe(tmp_path, lon):
    path = sloping(tmp_path / 'z.nc', 1.0, (-90, 90), (0, 360))
    place = grid(2.5, (-90, 90), lon)
    found = relief.relief_on(place, path)
    east = place['lon'].values % 360
    inside = (east > 3) & (east < 357)  # off the cliff of the slope's end
    low = np.abs(place['lat'].values) < 60  # nearer to the poles the wide end of a cell weighs more
    wanted = 10 * place['lat'].values[low, None] + 3 * (east[inside] - 100)
    np.testing.assert_allclose(found.values[np.ix_(low, inside)], wanted, atol=0.2)
    assert np.isfinite(found).all()


def test_around_a_pole(tmp_path):
    """A polar plane, all longitudes at once: 100 m a degree of distance from the pole."""
    lat, lon = np.arange(-89.9, 90, 0.2), np.arange(0.5, 360)
    path = write(tmp_path / 'z.nc', lat, lon, 100 * (90 - lat)[:, None] + 0 * lon)
    y, x = np.meshgrid(np.arange(-9.5, 10), np.arange(-9.5, 10), indexing='ij')
    far = np.hypot(y, x)
    place = xr.Dataset(
        coords={'lat': (('y', 'x'), 90 - far), 'lon': (('y', 'x'), np.rad2deg(np.arctan2(y, x)))},
    )
    np.testing.assert_allclose(relief.relief_on(place, path), 100 * far, atol=8)


def test_units_and_names(tmp_path):
    place = grid()
    metres = relief.relief_on(place, sloping(tmp_path / 'a.nc', 0.5, standard_name='surface_altitude', name='q'))
    path = sloping(tmp_path / 'b.nc', 0.5, units='km', name='Elevation')
    np.testing.assert_allclose(relief.relief_on(place, path), 1000 * metres, rtol=1e-5)
    np.testing.assert_allclose(relief.relief_on(place, path, 'Elevation'), 1000 * metres, rtol=1e-5)
    with xr.open_dataset(tmp_path / 'a.nc') as data:
        both = data.load().assign(depth=data['q'].assign_attrs(standard_name=''))
    both.to_netcdf(tmp_path / 'c.nc')
    np.testing.assert_array_equal(relief.relief_on(place, str(tmp_path / 'c.nc')), metres)


@pytest.mark.parametrize(
    ('told', 'options', 'variable', 'place'),
    [
        ('which variable is the relief', {'units': 'K'}, '', grid()),
        ('does not cover the grid: its lon', {'lon': (90, 120)}, '', grid()),
        ('does not cover the grid: its lat', {'lat': (27, 50)}, '', grid()),
        ("no variable 'zz': did you mean 'z'", {}, 'zz', grid()),
        ('cannot be converted', {'units': 'K'}, 'z', grid()),
        ("the grid has no 'lat'", {}, '', xr.Dataset(coords={'x': [1.0], 'y': [1.0]})),
    ],
)
def test_mistakes_are_told(tmp_path, told, options, variable, place):
    path = sloping(tmp_path / 'z.nc', 0.5, **options)
    with pytest.raises(UserError, match=told):
        relief.relief_on(place, path, variable)


def test_several_and_missing_are_told(tmp_path):
    path = sloping(tmp_path / 'a.nc', 0.5)
    with xr.open_dataset(path) as data:
        data = data.load()
    data.assign(elevation=data['z']).to_netcdf(tmp_path / 'b.nc')
    with pytest.raises(UserError, match='several are possible'):
        relief.relief_on(grid(), str(tmp_path / 'b.nc'))
    data.where(data['lat'] < 30).to_netcdf(tmp_path / 'c.nc')
    with pytest.raises(UserError, match='no value at'):
        relief.relief_on(grid(), str(tmp_path / 'c.nc'))


def test_real_relief(shared_data):
    """Tibet, the Sichuan basin, the North China plain, the South China Sea: ERA5-Land's cells over East Asia."""
    place = grid(0.1, (15, 55), (70, 140))
    found = relief.relief_on(place, str(shared_data / 'etopo20.nc'))

    def at(lat, lon):
        return float(found.sel(lat=lat, lon=lon, method='nearest'))

    assert found.shape == (400, 700)
    assert 4500 < at(33, 88) < 5500
    assert 200 < at(30.5, 105) < 600
    assert 0 < at(35, 116) < 100
    assert at(17, 115) < -2000
    land = surface_of_relief(found)['land']
    assert land.dtype == np.int8
    assert land.attrs['flag_meanings'] == 'sea land'
    assert (land.values == (found.values > 0)).all()
    assert 0.6 < float(land.mean()) < 0.8


def test_real_relief_on_a_polar_grid(shared_data):
    """The Arctic Ocean's grid of sea-ice concentration: Greenland's ice 3 km high, the pole 4 km deep."""
    with xr.open_dataset(shared_data / 'nsidc_siconc_arctic_daily_2015-2016.nc') as ice:
        name = next(str(n) for n, a in ice.data_vars.items() if 'time' in a.dims)
        place = canonical(ice, [name])
    found = relief.relief_on(place, str(shared_data / 'etopo20.nc'))
    assert found.dims == ('y', 'x')
    lat, lon = found['lat'].values, found['lon'].values % 360

    def at(wanted_lat, wanted_lon):
        apart = (lat - wanted_lat) ** 2 + ((lon - wanted_lon) * np.cos(np.deg2rad(wanted_lat))) ** 2
        return float(found.values.ravel()[apart.argmin()])

    assert at(73, 320) > 2600
    assert at(88, 200) < -2500
    assert at(75, 38) < -50


def test_real_relief_up_to_the_pole(shared_data):
    """The file's last row lies 10' from the pole, its cells reach it, but for rounding."""
    place = xr.Dataset(coords={'lat': np.arange(90.0, -90, -1), 'lon': np.arange(0.0, 360)})
    found = relief.relief_on(place, str(shared_data / 'etopo20.nc'))
    assert np.isfinite(found.values).all()
    assert -4500 < found.sel(lat=90).mean() < -3500  # the Arctic Ocean is 4.2 km deep there
    with pytest.raises(UserError, match='does not cover the grid: its lat runs'):
        relief.relief_on(place.assign_coords(lat=place['lat'] * 1.01), str(shared_data / 'etopo20.nc'))


def write_plane(path, place, name='orog', **attrs):
    """A slope on the cells of a curvilinear grid."""
    values = 10 * place['lat'] + 3 * (place['lon'] - 100)
    planes = {'lat': place['lat'].assign_attrs(units='degrees_north'), 'lon': place['lon']}
    planes['lon'] = planes['lon'].assign_attrs(units='degrees_east')
    xr.Dataset({name: (('y', 'x'), values.values, attrs)}, planes).to_netcdf(path)
    return str(path), values


def test_a_relief_on_the_own_projected_cells_or_larger_ones(tmp_path):
    path, values = write_plane(tmp_path / 'own.nc', curvilinear(0.5))
    np.testing.assert_allclose(relief.relief_on(curvilinear(0.5), path), values, rtol=1e-6)
    path, _ = write_plane(tmp_path / 'larger.nc', curvilinear(1.0), units='m')
    place = curvilinear(0.5)
    found = relief.relief_on(place, path)
    np.testing.assert_allclose(found, 10 * place['lat'] + 3 * (place['lon'] - 100), atol=0.5)
    assert found.dims == ('y', 'x')


def test_a_finer_relief_on_projected_cells_is_refused(tmp_path):
    path, _ = write_plane(tmp_path / 'finer.nc', curvilinear(0.25))
    with pytest.raises(UserError, match=r'finer\.nc.*0\.5'):
        relief.relief_on(curvilinear(0.5), path)


def test_only_a_surface_altitude_may_lack_units(tmp_path):
    path, _ = write_plane(tmp_path / 'z.nc', curvilinear(0.5), name='dem')
    with pytest.raises(UserError, match='which variable is the relief'):
        relief.relief_on(curvilinear(0.5), path)
