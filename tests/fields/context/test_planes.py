"""What is shown of place and time: angles by hand, in any calendar, on any grid."""

import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.context.planes import context_planes, day_of_year, hour_of_day, plane_count
from downscale_jax.runtime.errors import UserError

SHAPE = (3, 4)
HEIGHT = np.arange(12.0).reshape(SHAPE)
MASK = np.ones(SHAPE, 'i1')


def sphere(**fields):
    """Latitudes of 30 S, 0 and 60 N; longitudes of 0, 90, 180 E and 90 W."""
    found = xr.Dataset({'mask': (('lat', 'lon'), MASK)}, {'lat': [-30.0, 0.0, 60.0], 'lon': [0.0, 90.0, 180.0, -90.0]})
    return found.assign({name: (('lat', 'lon'), values) for name, values in fields.items()})


def curvilinear():
    lat, lon = 10.0 * HEIGHT - 20, 30.0 * HEIGHT[::-1]
    dims = ('y', 'x')
    return xr.Dataset({'mask': (dims, MASK)}, {'lat': (dims, lat), 'lon': (dims, lon)})


def plane():
    return xr.Dataset({'mask': (('y', 'x'), MASK)}, {'y': np.arange(3.0), 'x': np.arange(4.0)})


def angle(pair):
    """Turns, in [0, 1), of planes [..., 2]; they lie on the unit circle."""
    np.testing.assert_allclose((pair**2).sum(-1), 1, rtol=1e-6)
    return np.arctan2(pair[..., 1], pair[..., 0]) / (2 * np.pi) % 1


def test_how_many_planes():
    assert [plane_count(names) for names in ((), ('land',), ('season',), ('season', 'a', 'hour', 'b'))] == [
        0,
        1,
        2,
        6,
    ]


@pytest.mark.parametrize(
    ('time', 'days', 'year'),
    [
        (np.datetime64('2001-01-01', 'ns'), 0, 365.25),
        (np.datetime64('2001-02-01T12', 'ns'), 31.5, 365.25),
        (np.datetime64('2001-12-31T23:30', 'ns'), 364 + 23.5 / 24, 365.25),
        (np.datetime64('2000-12-31', 'ns'), 365, 365.25),  # a leap year
        (cftime.DatetimeNoLeap(2000, 12, 31, 6), 364.25, 365.25),
        (cftime.Datetime360Day(2000, 2, 30, 18), 59.75, 360),
        (cftime.Datetime360Day(2000, 12, 30, 12), 359.5, 360),  # half a day before the next year
        (cftime.DatetimeGregorian(1850, 3, 1), 59, 365.25),
    ],
)
def test_season(time, days, year):
    assert day_of_year(time) == pytest.approx(days)
    found = context_planes(('season',), plane(), time)
    assert (found.shape, found.dtype) == ((*SHAPE, 2), np.float32)
    np.testing.assert_allclose(angle(found), days / year, atol=1e-6)


@pytest.mark.parametrize('make', [np.datetime64, lambda text: cftime.DatetimeNoLeap(2003, 7, 9, 18, 30)])
def test_hour_is_that_of_the_sun(make):
    """Half past six in the evening at Greenwich: six hours later at 90 E, six hours earlier at 90 W."""
    time, utc = make('2003-07-09T18:30'), 18.5 / 24
    assert hour_of_day(time) == 18.5
    east = np.array([0, 0.25, 0.5, -0.25])
    np.testing.assert_allclose(
        angle(context_planes(('hour',), sphere(), time)), np.broadcast_to((utc + east) % 1, SHAPE), atol=1e-6
    )
    bent = (utc + curvilinear()['lon'].values / 360) % 1
    np.testing.assert_allclose(angle(context_planes(('hour',), curvilinear(), time)), bent, atol=1e-6)
    # without longitudes all cells have the time of Greenwich
    np.testing.assert_allclose(angle(context_planes(('hour',), plane(), time)), utc, atol=1e-6)


def test_latitude():
    found = context_planes(('latitude',), sphere(), np.datetime64('2000-01-01'))
    expected = np.repeat(np.array([-1 / 3, 0, 2 / 3])[:, None, None], 4, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    bent = context_planes(('latitude',), curvilinear(), np.datetime64('2000-01-01'))
    np.testing.assert_allclose(bent[..., 0], curvilinear()['lat'] / 90, rtol=1e-6)


def test_variables_in_the_order_of_their_names():
    rough = HEIGHT.copy()
    rough[1, 2] = np.nan
    grid, time = sphere(topography=HEIGHT, roughness=rough), np.datetime64('2000-07-01')
    found = context_planes(('roughness', 'season', 'topography', 'latitude'), grid, time)
    assert found.shape == (*SHAPE, 5)
    np.testing.assert_array_equal(found[..., 0], np.nan_to_num(rough))
    np.testing.assert_array_equal(found[..., 1:3], context_planes(('season',), grid, time))
    np.testing.assert_array_equal(found[..., 3], HEIGHT)
    np.testing.assert_array_equal(found[..., 4:], context_planes(('latitude',), grid, time))


def test_nothing():
    found = context_planes((), plane(), None)
    assert (found.shape, found.dtype) == ((*SHAPE, 0), np.float32)


@pytest.mark.parametrize(
    ('names', 'grid', 'told'),
    [
        (('latitude',), plane(), "data.context names 'latitude', but a.nc has no latitudes: leave it out"),
        (
            ('topography',),
            sphere(land=HEIGHT),
            "'topography', which a.nc does not have on its 3 x 4 cells: found mask, land",
        ),
        (('row',), sphere().assign(row=('lat', [1.0, 2, 3])), "'row', which a.nc does not have on its 3 x 4 cells"),
    ],
)
def test_mistakes(names, grid, told):
    with pytest.raises(UserError) as error:
        context_planes(names, grid, np.datetime64('2000-01-01'), 'a.nc')
    assert told in str(error.value)
    assert '\n' not in str(error.value)
