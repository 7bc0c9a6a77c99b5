"""Coarse fields on the grid of the blocks: lifted to the fine grid, or refused."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.correction import correction
from downscale_jax.downscale.inputs import BlockInputs, CoarseInputs
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.region import fine_grid
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.geometry.blocks import interpolate, repeat
from downscale_jax.fields.transforms import grid_point, quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

INFINITY = float('inf')
SPEED = Standardisation(('u', 'v'), ('m s-1', 'm s-1'), (0.0, 0.0), (5.0, 5.0), (0.0, 0.0), (1.0, 1.0), 0.0)
TRANSFORM = BlockMeans(SPEED, 2, 'physical', False, ((-INFINITY, INFINITY),) * 2, (1.0, 1.0))
DIMS = ('time', 'lat', 'lon')


def axes(rows, columns, width, north_first=False, west=0.0):
    """Centres of cells `width` degrees wide from 40 N and `west` on."""
    lat = 40 + (np.arange(rows) + 0.5) * width
    return {
        'lat': ('lat', lat[::-1] if north_first else lat, {'units': 'degrees_north'}),
        'lon': ('lon', west + (np.arange(columns) + 0.5) * width, {'units': 'degrees_east'}),
    }


def fine(rows=8, columns=12, width=0.5, **changes):
    return xr.Dataset({'mask': (DIMS[1:], np.ones((rows, columns), 'i1'))}, axes(rows, columns, width, **changes))


def coarse(rows=4, columns=6, width=1.0, times=3, **changes):
    u, v = np.random.default_rng(0).normal(size=(2, times, rows, columns))
    return xr.Dataset(
        {'u': (DIMS, u, {'units': 'm s-1'}), 'v': (DIMS, 100 * v, {'units': 'cm s-1'})},
        {
            'time': np.datetime64('2010-01-01', 'ns') + np.arange(times) * np.timedelta64(6, 'h'),
            **axes(rows, columns, width, **changes),
        },
    )


@pytest.mark.parametrize('north_first', [False, True])
def test_one_time_on_the_fine_grid_in_the_units_of_training(north_first):
    data = coarse(north_first=north_first)
    inputs = BlockInputs(data, TRANSFORM, fine(north_first=north_first))
    assert len(inputs) == 3
    np.testing.assert_array_equal(inputs.times, data['time'])
    found = inputs[1]
    assert found.shape == (8, 12, 4)
    assert found.dtype == np.float32
    small = np.stack([data['u'].values[1], data['v'].values[1] / 100], -1)
    np.testing.assert_allclose(found[..., :2], repeat(small, 2), rtol=1e-6)
    np.testing.assert_allclose(found[..., 2:], interpolate(small, 2, periodic=False), rtol=1e-4, atol=1e-6)


def test_context_follows_the_interpolated_field():
    names = ('topography', 'season', 'latitude')
    one = dataclasses.replace(TRANSFORM, context=names, kernel=('linear', 'cubic'))
    height = np.random.default_rng(1).normal(size=(8, 12))
    height[2, 3] = np.nan
    grid, data = fine().assign(topography=(DIMS[1:], height)), coarse(times=3)
    inputs = BlockInputs(data, one, grid)
    for index in (0, 2):
        found = inputs[index]
        assert (found.shape, found.dtype) == ((8, 12, 2 * 2 + 4), np.float32)
        np.testing.assert_array_equal(found[..., 4:], context_planes(names, grid, data['time'].values[index]))
    np.testing.assert_allclose(found[..., 4], np.nan_to_num(height), rtol=1e-6)
    u = interpolate(data['u'].values[2][..., None].astype('f4'), 2, False, 'linear')
    np.testing.assert_allclose(found[..., 2:3], u, rtol=1e-4, atol=1e-6)


def test_a_context_that_the_fine_grid_has_not():
    with pytest.raises(UserError, match=r"data\.context names 'land', which the fine grid does not have.*found mask;"):
        BlockInputs(coarse(), dataclasses.replace(TRANSFORM, context=('season', 'land')), fine())
    no_latitudes = fine().drop_vars(['lat', 'lon'])
    with pytest.raises(UserError, match=r"'latitude', but the fine grid has no latitudes"):
        BlockInputs(coarse(), dataclasses.replace(TRANSFORM, context=('latitude',)), no_latitudes)


def domain(**changes):
    """A file for --statics: sea at two cells, topography without a value at another, and what is of no use."""
    mask, height = np.ones((8, 12), 'i1'), np.arange(96.0).reshape(8, 12)
    mask[0, :2], height[5, 5] = 0, np.nan
    return fine(**changes).assign(
        mask=(DIMS[1:], mask, {'long_name': 'where the field exists'}),
        topography=(DIMS[1:], height, {'units': 'm'}),
        land=(DIMS[1:], mask),
        profile=(DIMS[1:2], np.arange(8.0)),
        name=((), 'a domain'),
    )


@pytest.mark.parametrize('north_first', [False, True])
def test_the_grid_of_another_domain_is_turned_to_run_as_in_training(north_first):
    given = domain(north_first=north_first)
    found = fine_grid(given, 'grid.nc', fine())
    given = given.sortby('lat')
    assert set(found.data_vars) == {'mask', 'topography', 'land'}
    np.testing.assert_array_equal(found['mask'], given['mask'] > 0)
    np.testing.assert_array_equal(found['topography'], given['topography'].where(given['mask'] > 0))
    assert np.isnan(found['topography'].values).sum() == 3
    assert found['topography'].attrs['units'] == 'm'
    for name in ('lat', 'lon'):
        np.testing.assert_array_equal(found[name], given[name])
    one = dataclasses.replace(TRANSFORM, context=('land', 'topography'))
    shown = BlockInputs(coarse(north_first=north_first), one, found)[0][..., 4:]
    np.testing.assert_array_equal(shown[..., 0], given['mask'])
    np.testing.assert_array_equal(shown[..., 1], np.nan_to_num(given['topography'].where(given['mask'] > 0)))


def test_what_stands_on_another_grid_has_the_units_of_training():
    trained = domain()
    trained['topography'].attrs['units'] = 'km'
    found = fine_grid(domain(), 'grid.nc', trained)['topography']
    np.testing.assert_allclose(found, domain()['topography'].where(domain()['mask'] > 0) / 1000)
    trained['topography'].attrs['units'] = 'K'
    with pytest.raises(UserError, match="'topography' has units 'm', which cannot be converted to 'K'"):
        fine_grid(domain(), 'grid.nc', trained)


def test_the_grid_of_another_domain_by_other_names():
    """Dimensions are recognised by their usual names."""
    given = domain().rename(lat='latitude', lon='longitude')
    found = fine_grid(given, 'grid.nc', fine())
    assert found['topography'].dims == found['mask'].dims == ('lat', 'lon')
    np.testing.assert_array_equal(found['lat'], given['latitude'])


def test_a_globe_goes_round():
    data, grid = coarse(4, 36, 10.0), fine(8, 72, 5.0)
    found = BlockInputs(data, TRANSFORM, grid)[0][..., 2]
    expected = interpolate(data['u'].values[0][..., None].astype('f4'), 2, periodic=True)[..., 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_transform_says_what_coarse_fields_are(transform):
    assert isinstance(open_inputs(coarse(), TRANSFORM, fine()), BlockInputs)
    data = coarse().rename(u='sit', v='sic')
    data['sic'] = data['sic'].clip(0, 1)
    data['sit'].attrs['units'], data['sic'].attrs['units'] = 'm', '1'
    assert isinstance(open_inputs(data, transform, fine()), CoarseInputs)


def test_a_missing_block_is_missing_in_all_its_cells():
    data = coarse()
    data['v'][1, 2, 3] = np.nan
    inputs = BlockInputs(data, TRANSFORM, fine())
    missing = np.zeros((8, 12, 2), bool)
    missing[4:6, 6:8, 1] = True
    np.testing.assert_array_equal(np.isnan(inputs[1][..., :2]), missing)
    assert not TRANSFORM.known(inputs[1])[4:6, 6:8].any()
    assert np.isfinite(inputs[0]).all()


def without_units():
    data = coarse()
    del data['v'].attrs['units']
    return data


def in_kelvin():
    data = coarse()
    data['v'].attrs['units'] = 'K'
    return data


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (
            lambda: coarse(rows=3),
            r'a\.nc is on another grid \(3 x 6 cells; blocks of 2 .* are 4 x 6\).*--statics, 6 x 12',
        ),
        (lambda: coarse(8, 12, 0.5), r'another grid \(8 x 12 cells; blocks of 2 of the fine grid are 4 x 6\)'),
        (lambda: coarse(west=0.5), r'at 40\.5 N, 1 E is 42\.3 km from that expected at 40\.5 N, 0\.5 E'),
        (lambda: coarse(width=1.1), r'at 43\.85 N, 6\.05 E is 58\.9 km from that expected at 43\.5 N, 5\.5 E'),
        (without_units, r"'v' has no units; 'm s-1' was expected"),
        (in_kelvin, r"'v' has units 'K', which cannot be converted to 'm s-1'"),
        (lambda: coarse().drop_vars('v'), r"a\.nc: no variable 'v'; it has u"),
        (lambda: coarse().isel(time=0, drop=True), r"'u' has no time axis"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(UserError, match=message) as error:
        BlockInputs(make(), TRANSFORM, fine(), source='a.nc')
    assert '\n' not in str(error.value)


def test_rows_may_run_the_other_way():
    """Whatever the order of rows on either side, a place gets its own value."""
    expected = BlockInputs(coarse(), TRANSFORM, fine())[1]
    turned = coarse().isel(lat=slice(None, None, -1))
    np.testing.assert_array_equal(BlockInputs(turned, TRANSFORM, fine())[1], expected)
    found = BlockInputs(coarse(), TRANSFORM, fine(north_first=True))[1]
    np.testing.assert_allclose(found, expected[::-1], rtol=1e-5, atol=1e-6)


def test_a_globe_may_begin_anywhere():
    grid, data = fine(8, 72, 5.0, west=-180.0), coarse(4, 36, 10.0, west=-180.0)
    expected = BlockInputs(data, TRANSFORM, grid)[0]
    other = data.roll(lon=18, roll_coords=True)
    other = other.assign_coords(lon=('lon', other['lon'].values % 360, data['lon'].attrs))
    assert other['lon'].values[0] == 5
    np.testing.assert_array_equal(BlockInputs(other, TRANSFORM, grid)[0], expected)


def test_a_region_across_the_date_line():
    """179.5, -179.5 in the coarse file, the fine grid and its topography, as 180 to 182 in another."""
    grid, data = fine(west=177.0).assign(topography=(DIMS[1:], np.arange(96.0).reshape(8, 12))), coarse(west=177.0)
    one = dataclasses.replace(TRANSFORM, context=('topography',))
    expected = BlockInputs(data, one, fine_grid(grid, 'grid.nc', fine()))[0]
    split = [d.assign_coords(lon=('lon', (d['lon'].values + 180) % 360 - 180, d['lon'].attrs)) for d in (data, grid)]
    assert split[0]['lon'].values.min() < -176
    statics = fine_grid(split[1], 'grid.nc', fine())
    np.testing.assert_array_equal(statics['lon'], grid['lon'])
    np.testing.assert_array_equal(BlockInputs(split[0], one, statics)[0], expected)


def test_what_other_archives_call_it():
    """20CR's names and NOAA's units, a level of one, 0 to 360 east, from the north, bounds beside."""
    winds = Standardisation(('u10', 'v10'), ('m s-1', 'm s-1'), (0.0, 0.0), (5.0, 5.0), (0.0, 0.0), (1.0, 1.0), 0.0)
    one = dataclasses.replace(TRANSFORM, values=winds)
    data = coarse()
    given = data.rename(u='uwnd', v='vwnd').expand_dims(level=[10.0], axis=1).isel(lat=slice(None, None, -1))
    given = given.assign(time_bnds=(('time', 'nbnds'), np.zeros((3, 2))))
    np.testing.assert_array_equal(BlockInputs(given, one, fine())[1], BlockInputs(data, TRANSFORM, fine())[1])


def test_bias_is_corrected_whichever_way_rows_run():
    rows = np.random.default_rng(2).normal(size=(96, 4, 6, 2)).astype('f4')
    months = [1 + i % 12 for i in range(96)]
    climate = quantile_mapping.climate(
        quantile_mapping.Series(months, lambda: iter(rows)), ('u', 'v'), ('m s-1', 'm s-1'), (-INFINITY, -INFINITY)
    )
    times = np.arange('2000-01', 96, dtype='M8[M]').astype('M8[ns]')
    data = coarse(times=96).assign_coords(time=times)
    asked = (TRANSFORM, fine(), climate, ('2000-01', '2007-12'), 'a.nc')
    expected = correction(data, *asked)
    found = correction(data.isel(lat=slice(None, None, -1)), *asked)
    np.testing.assert_array_equal(found.source, expected.source)
    with pytest.raises(UserError, match='another grid'):  # of another region, as large as that of training
        correction(data.assign_coords(lon=data['lon'] + 40), *asked)


def test_centres_may_be_off_by_a_tenth_of_a_block():
    assert len(BlockInputs(coarse(west=0.09), TRANSFORM, fine())) == 3
    with pytest.raises(UserError, match='another grid'):
        BlockInputs(coarse(west=0.11), TRANSFORM, fine())


def test_grids_without_coordinates_agree_by_their_shapes():
    data, grid = (each.drop_vars(['lat', 'lon']) for each in (coarse(), fine()))
    np.testing.assert_array_equal(BlockInputs(data, TRANSFORM, grid)[2], BlockInputs(coarse(), TRANSFORM, fine())[2])


def test_a_climate_of_points_is_known_of_one_grid_alone():
    one = dataclasses.replace(TRANSFORM, points=grid_point.names(('u', 'v')))
    with pytest.raises(UserError, match=r"training grid only \(the fine grid lacks offset_u.*data\.grid_point=''"):
        BlockInputs(coarse(), one, fine())
    planes = {name: (DIMS[1:], np.full((8, 12), 2.0)) for name in one.points}
    assert BlockInputs(coarse(), one, fine().assign(planes))[0].shape == (8, 12, 2 * 2 + 4 + 4)
