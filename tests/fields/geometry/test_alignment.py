"""Fields against a reference grid: the same places in whatever order and form of coordinates, or refused."""

import logging

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.projections import geographic
from downscale_jax.fields.geometry.alignment import aligned
from downscale_jax.fields.geometry.interpolation import grid_points
from downscale_jax.fields.geometry.orientation import oriented
from downscale_jax.fields.geometry.positions import block_coordinates
from downscale_jax.runtime.errors import UserError

ROWS, COLUMNS, FACTOR = 8, 12, 2
POLE = {
    'grid_mapping_name': 'rotated_latitude_longitude',
    'grid_north_pole_latitude': 39.25,
    'grid_north_pole_longitude': 198.0,
}
STEREOGRAPHIC = {'grid_mapping_name': 'polar_stereographic', 'standard_parallel': 70.0}


def regular(rows=ROWS, columns=COLUMNS, step=0.5, west=-2.0):
    lat, lon = 40 + step * (np.arange(rows) + 0.5), west + step * (np.arange(columns) + 0.5)
    return {'lat': ('lat', lat), 'lon': ('lon', lon)}


def rotated(rows=ROWS, columns=COLUMNS):
    rlat, rlon = -3 + 0.11 * np.arange(rows), 4 - 0.11 * np.arange(columns)
    lat, lon = geographic(rlat, rlon, POLE)
    planes = {'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)}
    return {'rlat': ('y', rlat), 'rlon': ('x', rlon), **planes, 'pole': ((), 0, POLE)}


def around_the_pole(rows=ROWS, columns=COLUMNS):
    y, x = (25e3 * (np.arange(n) - (n - 1) / 2) for n in (rows, columns))
    north = 90 - np.hypot(*np.meshgrid(y, x, indexing='ij')) / 111e3
    east = np.rad2deg(np.arctan2(x[None], -y[:, None]))
    planes = {'lat': (('y', 'x'), north), 'lon': (('y', 'x'), east)}
    return {'y': ('y', y), 'x': ('x', x), **planes, 'crs': ((), 0, STEREOGRAPHIC)}


FORMS = {'regular': regular, 'rotated': rotated, 'pole': around_the_pole}


def grid(coords, dims=None):
    dims = dims or (('lat', 'lon') if coords.get('lat', ('y',))[0] == 'lat' else ('y', 'x'))
    shape = {d: n for c in coords.values() for d, n in zip(np.atleast_1d(c[0]), np.shape(c[1]), strict=False)}
    rows, columns = (shape.get(d, n) for d, n in zip(dims, (ROWS, COLUMNS), strict=True))
    return xr.Dataset({'t': (dims, np.arange(rows * columns, dtype=float).reshape(rows, columns))}, coords)


def blocks(reference):
    """A field on the blocks of the reference, whose values number them."""
    return grid(block_coordinates(reference, FACTOR), reference['t'].dims)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('turn', [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_cells_in_any_order(form, turn):
    reference = grid(FORMS[form]())
    expected = blocks(reference)
    given = expected.isel({dim: slice(None, None, step) for dim, step in zip(expected['t'].dims, turn, strict=True)})
    for fields in (given, given.assign_coords(lon=given['lon'] % 360)):
        np.testing.assert_array_equal(aligned(fields, reference, FACTOR, 'a.nc')['t'], expected['t'])


@pytest.mark.parametrize('form', FORMS)
def test_two_dimensional_coordinates_alone(form):
    """As a file without axes, whose latitudes and longitudes are plain means."""
    reference = grid(FORMS[form]())
    points = grid_points(blocks(reference))
    lat, lon = np.rad2deg(np.arcsin(points[..., 2])), np.rad2deg(np.arctan2(points[..., 1], points[..., 0]))
    fields = grid({'lat': (('y', 'x'), lat[::-1]), 'lon': (('y', 'x'), lon[::-1])})
    np.testing.assert_array_equal(aligned(fields, reference, FACTOR, 'a.nc')['t'], fields['t'].values[::-1])


@pytest.mark.parametrize('keep', [('y', 'x'), ('rlat', 'rlon')])
def test_axes_alone(keep):
    reference = grid((rotated if 'rlat' in keep else around_the_pole)())
    fields = blocks(reference).drop_vars(['lat', 'lon']).isel(y=slice(None, None, -1))
    np.testing.assert_array_equal(aligned(fields, reference, FACTOR, 'a.nc')['t'], blocks(reference)['t'])
    name = 'pole' if 'rlat' in keep else 'crs'
    parameter = 'grid_north_pole_latitude' if 'rlat' in keep else 'standard_parallel'
    fields[name] = fields[name].assign_attrs({parameter: 60.0})
    with pytest.raises(UserError, match=r'cannot be compared.*upside down'):
        aligned(fields, reference, FACTOR, 'a.nc')


def test_a_larger_grid_is_cut_and_this_is_said(caplog):
    reference = grid(regular())
    globe = grid({'lat': ('lat', np.arange(89.5, -90, -1)), 'lon': ('lon', np.arange(0.5, 360))})
    with caplog.at_level(logging.INFO):
        found = aligned(globe, reference, FACTOR, 'a.nc')
    assert 'a.nc: cut from 180 x 360 to the 4 x 6 cells' in caplog.text
    np.testing.assert_array_equal(found['lat'], [40.5, 41.5, 42.5, 43.5])
    np.testing.assert_array_equal(found['lon'], [358.5, 359.5, 0.5, 1.5, 2.5, 3.5])
    assert found['t'][0, 0] == globe['t'].sel(lat=40.5, lon=358.5)


def test_a_larger_curvilinear_grid():
    whole = grid(rotated(16, 20))
    part = whole.isel(y=slice(4, 12), x=slice(6, 18))
    found = aligned(whole.isel(x=slice(None, None, -1)), part, 1, 'a.nc')
    np.testing.assert_array_equal(found['t'], part['t'])


@pytest.mark.parametrize('form', FORMS)
def test_elsewhere(form):
    reference = grid(FORMS[form]())
    fields = blocks(reference)
    shifted = fields.assign_coords(lat=fields['lat'].copy(data=fields['lat'].values - 20))
    with pytest.raises(UserError, match=r'a\.nc is on another grid.* is 2\.?\d+e\+03 km from that expected') as error:
        aligned(shifted, reference, FACTOR, 'a.nc')
    assert '\n' not in str(error.value)


def test_a_tenth_of_a_block():
    reference = grid(regular())
    for shift, fits in ((0.09, True), (0.11, False)):
        fields = blocks(grid(regular(west=-2.0 + shift)))
        if fits:
            assert aligned(fields, reference, FACTOR, 'a.nc') is fields
        else:
            with pytest.raises(UserError, match=r'40\.5 N, 2\.61 E is 9\.3 km from that expected'):
                aligned(fields, reference, FACTOR, 'a.nc')


def test_transposed():
    reference = grid(rotated(8, 8))
    fields = blocks(reference).transpose('x', 'y').rename(x='y', y='x').drop_vars(['rlat', 'rlon'])
    with pytest.raises(UserError, match='covers the region, but its rows or columns are in another order'):
        aligned(fields, reference, FACTOR, 'a.nc')


def test_grids_without_coordinates(caplog):
    reference, bare = grid(regular()), grid({}, ('y', 'x')).isel(y=slice(4), x=slice(6))
    with caplog.at_level(logging.WARNING):
        assert aligned(bare, grid({}, ('y', 'x')), FACTOR, 'a.nc') is bare
        assert not caplog.text
        assert aligned(bare, reference, FACTOR, 'a.nc') is bare
        assert 'a.nc has no coordinates' in caplog.text
        aligned(blocks(reference), grid({}, ('y', 'x')), FACTOR, 'a.nc')
        assert 'the reference grid of a.nc has no coordinates' in caplog.text


def test_rounded_to_float32():
    reference = grid(regular(step=0.01, west=170.0))
    fields = blocks(reference)
    rounded = fields.assign_coords({n: fields[n].astype('f4') for n in ('lat', 'lon')})
    assert aligned(rounded, reference, FACTOR, 'a.nc') is rounded


@pytest.mark.parametrize('form', FORMS)
def test_orientation_is_that_of_training(form):
    """Of another region, in whichever way its rows and columns run."""
    reference = grid(FORMS[form]())
    other = grid(FORMS[form](6, 10))
    for rows, columns in ((1, -1), (-1, 1), (-1, -1), (1, 1)):
        dims = dict(zip(other['t'].dims, (slice(None, None, rows), slice(None, None, columns)), strict=True))
        np.testing.assert_array_equal(oriented(other.isel(dims), reference, 'a.nc')['t'], other['t'])
    bare = grid({}, ('y', 'x'))
    np.testing.assert_array_equal(oriented(bare, reference, 'a.nc')['t'], bare['t'])
