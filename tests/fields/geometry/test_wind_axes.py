"""Winds on rotated and projected grids: turned to the axes where they are eastward, taken as they are along them."""

import numpy as np
import pyproj
import pytest
import xarray as xr

from downscale_jax.fields.datasets.projections import geographic
from downscale_jax.fields.geometry.wind import RADIUS, vorticity_divergence
from downscale_jax.fields.geometry.wind_axes import along_axes
from downscale_jax.runtime.errors import UserError

SPIN = 1e-5  # s-1
POLE = {
    'grid_mapping_name': 'rotated_latitude_longitude',
    'grid_north_pole_latitude': 39.25,
    'grid_north_pole_longitude': 198.0,
}
LAMBERT = '+proj=lcc +lat_1=45 +lat_2=49 +lon_0=9 +lat_0=47 +R=6371000'


def rotated(rlat, rlon, u, v, named=('eastward_wind', 'northward_wind')):
    """u, v of latitude, longitude and rotated latitude [H, W] in degrees."""
    lat, lon = geographic(rlat, rlon, POLE)
    values = (f(lat, lon, rlat[:, None] + 0 * lat) for f in (u, v))
    fields = {
        name: (('y', 'x'), array, {'units': 'm s-1', 'standard_name': standard})
        for name, array, standard in zip('uv', values, named, strict=True)
    }
    planes = {'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)}
    return xr.Dataset(fields, {**planes, 'rlat': ('y', rlat), 'rlon': ('x', rlon)})


def eastward(lat, lon, rlat):
    """Rotation of the sphere about the axis of the earth."""
    return RADIUS * SPIN * np.cos(np.deg2rad(lat))


def still(lat, lon, rlat):
    return 0 * lat


@pytest.mark.parametrize(('rows', 'columns'), [(1, 1), (-1, 1), (1, -1)])
def test_solid_body_rotation_about_either_axis(rows, columns):
    rlat, rlon = np.arange(-20, 20.1, 0.5)[::rows], np.arange(-25, 15.1, 0.5)[::columns]
    geographical = rotated(rlat, rlon, eastward, still)
    found = vorticity_divergence(geographical)
    expected = 2 * SPIN * np.sin(np.deg2rad(geographical['lat']))
    inner = slice(1, -1)  # differences at the edges are one-sided
    np.testing.assert_allclose(found['vorticity'][inner, inner], expected[inner, inner], atol=2e-4 * SPIN)
    np.testing.assert_allclose(found['divergence'][inner, inner], 0, atol=2e-4 * SPIN)
    about_the_pole_of_the_grid = rotated(
        rlat, rlon, lambda lat, lon, r: eastward(r, None, None), still, ('grid_eastward_wind', 'grid_northward_wind')
    )
    found = vorticity_divergence(about_the_pole_of_the_grid)
    expected = 2 * SPIN * np.sin(np.deg2rad(rlat[:, None])) + 0 * rlon
    np.testing.assert_allclose(found['vorticity'][inner], expected[inner], atol=2e-4 * SPIN)


@pytest.mark.parametrize('columns', [1, -1])
def test_the_angle_agrees_with_the_convergence_of_meridians(columns):
    y, x = np.arange(-8, 9) * 5e4, np.arange(-10, 11)[::columns] * 5e4
    project = pyproj.Proj(LAMBERT)
    lon, lat = project(*np.meshgrid(x, y), inverse=True)
    convergence = np.deg2rad(project.get_factors(lon, lat).meridian_convergence)
    u, v = np.random.default_rng(0).normal(size=(2, 3, *lat.shape))
    names = {'u': 'eastward_wind', 'v': 'northward_wind'}
    fields = xr.Dataset(
        {n: (('time', 'y', 'x'), a, {'standard_name': names[n]}) for n, a in (('u', u), ('v', v))},
        {'y': y, 'x': x, 'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)},
    )
    along_x, along_y = along_axes(fields.chunk(time=1), 'u', 'v')
    assert along_x.chunks[0] == (1, 1, 1)
    # of grid north, clockwise from true north
    np.testing.assert_allclose(along_x, u * np.cos(convergence) - v * np.sin(convergence), atol=1e-4)
    np.testing.assert_allclose(along_y, u * np.sin(convergence) + v * np.cos(convergence), atol=1e-4)


def test_components_without_a_name_are_along_the_axes(caplog):
    fields = rotated(np.arange(5.0), np.arange(6.0), eastward, still, ('', ''))
    for name, component in zip('uv', along_axes(fields, 'u', 'v'), strict=True):
        np.testing.assert_array_equal(component, fields[name])
    assert 'along the axes' in caplog.text


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d.drop_vars(['lat', 'lon']), "'u' is eastward .* add 2-D"),
        (lambda d: d.assign(v=d['v'].assign_attrs(standard_name='y_wind')), "'eastward_wind' and 'v' 'y_wind'"),
    ],
)
def test_what_is_not_known_is_refused(change, message):
    fields = rotated(np.arange(5.0), np.arange(6.0), eastward, still)
    with pytest.raises(UserError, match=message):
        along_axes(change(fields), 'u', 'v')
