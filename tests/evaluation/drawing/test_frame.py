"""Axes of maps: degrees on grids of latitudes and longitudes, km elsewhere."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.frame import frame_of, in_km, latitude, longitude


def grid(lat, lon):
    return xr.Dataset(coords={'lat': lat, 'lon': lon})


def test_degrees():
    """Cells of half a degree about 60 N, where a degree up is twice one across; rows run to the south."""
    frame = frame_of(grid(np.arange(61.0, 58.9, -0.5), np.arange(-2.0, 3.1, 0.5)), 1.0, y_up=False)
    assert frame.degrees
    assert frame.aspect == pytest.approx(2.0)
    assert frame.extent((5, 11)) == pytest.approx((-2.25, 3.25, 58.75, 61.25))
    assert frame.relative_height((5, 11)) == pytest.approx(2 * 5 / 11)
    assert frame.box(1, 2, 2, 5) == pytest.approx((-1.25, -0.25, 59.75, 60.75))


@pytest.mark.parametrize(
    'other',
    [
        xr.Dataset(coords={'y': [0.0, 1.0], 'x': [0.0, 1.0]}),
        grid(('lat', [0.0, 1.0, 3.0]), ('lon', [0.0, 1.0])),
        grid(('lat', [0.0, 1.0]), ('lon', [1.0, 0.0])),
        xr.Dataset(coords={n: (('y', 'x'), np.zeros((2, 2))) for n in ('lat', 'lon')}),
    ],
)
def test_kilometres(other):
    assert frame_of(other, 4.0, True) == in_km(4.0)
    assert in_km(4.0).box(1, 2, 3, 10) == (8.0, 20.0, 4.0, 16.0)
    assert in_km(4.0, y_up=False).box(1, 2, 3, 10)[2:] == (24.0, 36.0)


def test_labels():
    assert [latitude(value) for value in (-33.5, 0, 10)] == ['33.5°S', '0°', '10°N']
    assert [longitude(value) for value in (0, 350, 190, 180, 10)] == ['0°', '10°W', '170°W', '180°', '10°E']


@pytest.mark.parametrize('y_up', [True, False])
def test_the_coast_is_the_edge_of_the_land(y_up):
    """Two columns of land and two of sea, cells of 4 km: the coast is at 8 km, in rows that run either way."""
    statics = xr.Dataset({'land': (('y', 'x'), np.tile(np.int8([1, 1, 0, 0]), (3, 1)))})
    axes = Figure().subplots()
    frame_of(statics, 4.0, y_up).draw_coast(axes)
    ((x, *_),) = [path.vertices.T for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose(x, 8.0)


@pytest.mark.parametrize('y_up', [True, False])
def test_a_window_lies_where_it_lies_in_the_whole_map(y_up):
    land = np.tile(np.int8([0, 0, 1, 1]), (6, 1))
    whole, rows, columns = in_km(4.0, y_up, land), slice(1, 3), slice(1, 3)
    part, axes = whole.part(rows, columns, 6), Figure().subplots()
    image = part.show(axes, np.arange(4).reshape(2, 2))
    assert tuple(image.get_extent()) == whole.box(1, 1, 2, 6)
    assert image.origin == ('lower' if y_up else 'upper')
    ((x, *_),) = [path.vertices.T for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose(x, 8.0)


@pytest.mark.parametrize('land', [None, np.ones((3, 4), np.int8)])
def test_no_coast(land):
    axes = Figure().subplots()
    in_km(4.0, land=land).draw_coast(axes)
    assert not axes.collections
