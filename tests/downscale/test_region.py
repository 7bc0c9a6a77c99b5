"""Files that tell another region's fine grid: ERA5's own, elevation models, with a mask and without."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.inputs import BlockInputs
from downscale_jax.downscale.region import fine_grid
from downscale_jax.fields.datasets import store
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

DIMS = ('time', 'latitude', 'longitude')
ROWS, COLUMNS = 8, 12
SHOWN = ('topography', 'land', 'season')
HEIGHT = (50.0 * np.arange(ROWS)[:, None] - 120 + np.arange(COLUMNS)).astype('f4')  # from 120 m below the sea to 240
SHARE = (np.arange(COLUMNS) / 8 + np.zeros((ROWS, 1))).astype('f4').clip(0, 1)  # land from the fifth column on
LAND = SHARE >= 0.5
SURFACE = np.where(LAND, HEIGHT, HEIGHT.clip(0))
TRAINED = xr.Dataset(
    {
        'mask': (('lat', 'lon'), np.ones((2, 2), 'i1')),
        'topography': (('lat', 'lon'), np.zeros((2, 2)), {'units': 'm'}),
        'land': (('lat', 'lon'), np.zeros((2, 2)), {'units': '1'}),
    }
)


def plane(values, units, times=1, **attrs):
    dims, values = (DIMS, np.stack([values] * times)) if times else (DIMS[1:], values)
    return xr.Variable(dims, values, {'units': units, **attrs})


def region(times=1, **variables):
    """On 8 x 12 cells of half a degree from the north, of so many times, 0: none."""
    coords = {
        'latitude': ('latitude', 44 - 0.25 - 0.5 * np.arange(ROWS), {'units': 'degrees_north'}),
        'longitude': ('longitude', 0.25 + 0.5 * np.arange(COLUMNS), {'units': 'degrees_east'}),
    }
    when = {'time': np.datetime64('2001-01-01', 'ns') + np.arange(times) * np.timedelta64(1, 'D')} if times else {}
    return xr.Dataset(variables, coords | when)


def era5(times=1):
    return region(
        times,
        z=plane(9.80665 * HEIGHT, 'm**2 s**-2', times, standard_name='geopotential'),
        lsm=plane(SHARE, '(0 - 1)', times, standard_name='land_binary_mask'),
    )


def given():
    """By the names of training."""
    planes = {'topography': plane(SURFACE, 'm', 0), 'land': plane(LAND.astype('f4'), '1', 0)}
    return region(0, mask=plane(np.ones_like(HEIGHT), '1', 0), **planes)


def test_by_its_own_names_nothing_changes():
    mask = np.ones_like(HEIGHT)
    mask[2, 3] = 0
    data = given().assign(mask=plane(mask, '1', 0), topography=plane(HEIGHT, 'm', 0))  # the sea's floor, if it is meant
    found = fine_grid(data, 'a.nc', TRAINED, SHOWN)
    assert list(found.data_vars) == ['mask', 'topography', 'land']
    for name, values in (('topography', HEIGHT), ('land', LAND)):
        np.testing.assert_array_equal(found[name], np.where(mask, values, np.nan))
        assert 'comment' not in found[name].attrs
    assert found['mask'].dtype == bool
    assert found['mask'].attrs == {'long_name': '1 where the field exists'}
    xr.testing.assert_identical(found, fine_grid(data, 'a.nc', TRAINED))


@pytest.mark.parametrize('times', [0, 1, 3])
def test_era5s_own_file(times):
    """A geopotential and a share of land, of no time, of one, and repeated; the field exists everywhere."""
    found = fine_grid(era5(times), 'a.nc', TRAINED, SHOWN)
    np.testing.assert_allclose(found['topography'], SURFACE, rtol=1e-6)
    np.testing.assert_array_equal(found['land'], LAND)
    assert found['mask'].values.all()
    assert set(found.dims) == {'lat', 'lon'} == set(found.coords)
    comments = [found[name].attrs['comment'] for name in ('topography', 'land', 'mask')]
    assert comments == ["from 'z'", "from 'lsm'", 'everywhere']
    assert 'comment' not in fine_grid(given(), 'a.nc', TRAINED, SHOWN)['mask'].attrs


def test_it_is_what_the_names_of_training_give():
    winds = Standardisation(('u',), ('m s-1',), (0.0,), (5.0,), (0.0,), (1.0,), 0.0)
    one = BlockMeans(winds, 2, 'physical', False, (-np.inf, np.inf), (1.0,), context=SHOWN)
    blocks = region().coarsen(latitude=2, longitude=2).mean()
    for name in DIMS[1:]:
        blocks[name].attrs = region()[name].attrs
    coarse = blocks.assign(u=(DIMS, np.ones((1, 4, 6)), {'units': 'm s-1'}))
    expected, found = (BlockInputs(coarse, one, fine_grid(d, 'a.nc', TRAINED, SHOWN))[0] for d in (given(), era5()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    fine_grid(in_units('K'), 'a.nc', TRAINED, ('season',))  # what no network is shown is not looked at


def test_a_mask_of_land_keeps_the_land():
    """Not 0: there the field exists, whatever its attributes say (elsewhere a mask of land leaves land out)."""
    told = {'standard_name': 'land_binary_mask', 'flag_values': np.array([0, 1], 'i1'), 'flag_meanings': 'sea land'}
    found = fine_grid(given().assign(mask=plane(LAND.astype('i1'), '1', 0, **told)), 'a.nc', TRAINED, SHOWN)
    np.testing.assert_array_equal(found['mask'], LAND)


def test_texts_on_the_grid_are_left_alone():
    names = np.full(HEIGHT.shape, 'somewhere')
    assert 'name' not in fine_grid(given().assign(name=(DIMS[1:], names)), 'a.nc', TRAINED, SHOWN)


def test_a_mask_beside_other_names():
    mask = np.ones_like(HEIGHT)
    mask[:, 6] = 0
    found = fine_grid(era5().assign(mask=plane(mask, '1', 0)), 'a.nc', TRAINED, SHOWN)
    np.testing.assert_array_equal(found['mask'], mask)
    np.testing.assert_allclose(found['topography'], np.where(mask, SURFACE, np.nan), rtol=1e-6)
    np.testing.assert_array_equal(found['land'], np.where(mask, LAND, np.nan))


@pytest.mark.parametrize(('name', 'units', 'scale'), [('elevation', 'm', 1), ('Band1', 'meters', 1), ('z', 'km', 1e-3)])
def test_an_elevation_model_alone(name, units, scale):
    """As by data.relief: land is what is above 0, and the sea lies at 0."""
    data = region(0, **{name: plane(scale * HEIGHT, units, 0)})
    found = fine_grid(data, 'a.nc', TRAINED, SHOWN)
    np.testing.assert_allclose(found['topography'], HEIGHT.clip(0), rtol=1e-6)
    np.testing.assert_array_equal(found['land'], HEIGHT > 0)
    assert found['land'].attrs['comment'] == f"where '{name}' is above 0"
    trained = TRAINED.assign(topography=TRAINED['topography'].assign_attrs(units='km'))
    found = fine_grid(data, 'a.nc', trained, ('topography',))
    np.testing.assert_allclose(found['topography'], HEIGHT.clip(0) / 1000, rtol=1e-6)
    assert 'land' not in found


def test_one_of_the_two_by_its_own_name():
    found = fine_grid(era5().assign(land=plane(np.ones_like(SHARE), '1', 1)), 'a.nc', TRAINED, SHOWN)
    np.testing.assert_allclose(found['topography'], HEIGHT, rtol=1e-5)  # all is land, that below the sea too
    np.testing.assert_array_equal(found['land'], 1)
    found = fine_grid(region(topography=plane(HEIGHT, 'm')), 'a.nc', TRAINED, SHOWN)
    np.testing.assert_array_equal(found['topography'], HEIGHT)
    np.testing.assert_array_equal(found['land'], HEIGHT > 0)


def test_what_else_networks_are_shown():
    data = era5().assign(slope=plane(HEIGHT, 'm'), rough=plane(HEIGHT, 'm', 0), profile=('latitude', np.ones(ROWS)))
    found = fine_grid(data.assign(name=((), 'a region')), 'a.nc', TRAINED, (*SHOWN, 'slope', 'rough'))
    for name in ('slope', 'rough'):
        np.testing.assert_array_equal(found[name], HEIGHT)
    assert 'profile' not in found


def test_any_variable_gives_the_grid_where_nothing_is_shown():
    """Several times of something, bounds of the axes beside."""
    data = region(3, tas=plane(250 + HEIGHT / 10, 'K', 3), lat_bnds=(('latitude', 'nv'), np.ones((ROWS, 2))))
    data['tas'][2] += 1
    found = fine_grid(data.assign(time_bnds=(('time', 'nv'), np.ones((3, 2)))), 'a.nc', TRAINED)
    assert list(found.data_vars) == ['mask']
    assert found['mask'].shape == (ROWS, COLUMNS)
    np.testing.assert_array_equal(found['lat'], data['latitude'])
    assert 'time' not in found.coords


def test_rows_and_columns_without_a_name():
    """Known by the variable; the last two dimensions are those of space."""
    data = xr.Dataset({'elevation': (('row', 'column'), HEIGHT, {'units': 'm'})})
    found = fine_grid(data, 'a.nc', TRAINED, ('topography',))
    assert found['topography'].dims == ('y', 'x')
    np.testing.assert_array_equal(found['topography'], HEIGHT.clip(0))


def test_a_real_elevation_model(shared_data):
    """ETOPO, east of 100: the Himalaya is not the sea."""
    data = store.open_dataset(str(shared_data / 'etopo20.nc')).sel(lat=slice(20, 40), lon=slice(80, 125))
    found = fine_grid(data, 'etopo20.nc', TRAINED, SHOWN)
    relief, land = data['z'].values, found['land'].values > 0
    np.testing.assert_array_equal(land, relief > 0)
    np.testing.assert_array_equal(found['topography'], relief.clip(0))
    assert 5000 < found['topography'].max() < 9000
    assert relief.min() < -1000


def test_era5_in_grib(shared_data):
    """Its grid by a field that has many times."""
    pytest.importorskip('cfgrib')
    data = store.open_dataset(str(shared_data / 'era5_t2m_uk_201903.grib'))
    found = fine_grid(data, 'era5.grib', TRAINED)
    assert found['mask'].shape == (33, 49)
    assert set(found.dims) == {'lat', 'lon'}


def changing():
    data = era5(3)
    data['z'][2, 0, 0] += 1
    return data


def other_grid():
    return era5().drop_vars('lsm').assign(lsm=(('y', 'x'), np.ones((4, 4)), {'units': '1'}))


def in_units(units):
    data = era5()
    data['z'].attrs['units'] = units
    return data


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (region(profile=('latitude', np.ones(ROWS))), r"no variable lies on a grid.* profile \('latitude',\): .*'mask"),
        (region(), r'no variable lies on a grid of lat and lon or y and x; it has no variables'),
        (era5().drop_vars('z'), r"names 'topography', which the fine grid of a\.nc .* 8 x 12 cells: found mask, lsm"),
        (era5().drop_vars('z'), r"looked for 'topography', a standard_name of altitude, .* and the names .*, z: add"),
        (in_units('K'), r"a\.nc: taken for 'topography', 'z' has units 'K', which cannot be converted to 'm'"),
        (era5().assign(orog=era5()['z']), r"a\.nc: orog, z could all be 'topography'; one was expected: rename it"),
        (changing(), r"a\.nc: 'z', read as 'topography', changes in time"),
        (other_grid(), r"'lsm', read as 'land', is on the grid \{'y': 4, 'x': 4\}, 'z' on \{'lat': 8, 'lon': 12\}"),
        (
            other_grid().assign(mask=(('y', 'x'), np.ones((4, 4)))),
            r"'z', read as 'topography', is on the grid \{'lat': 8, 'lon': 12\}, 'mask' on \{'y': 4, 'x': 4\}",
        ),
    ],
)  # fmt: skip
def test_mistakes(data, message):
    with pytest.raises(UserError, match=message) as error:
        fine_grid(data, 'a.nc', TRAINED, SHOWN)
    assert '\n' not in str(error.value)


def test_several_grids_and_none_that_is_known():
    data = region(0, q=plane(HEIGHT, 'm', 0), r=(('y', 'x'), np.ones((4, 4))))
    with pytest.raises(UserError, match=r"several grids; it has q \('latitude', 'longitude'\), r \('y', 'x'\): give"):
        fine_grid(data, 'a.nc', TRAINED)
