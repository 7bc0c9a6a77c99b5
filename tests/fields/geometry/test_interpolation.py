import functools
import time

import numpy as np
import pytest
import scipy.spatial
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.geometry import interpolation
from downscale_jax.fields.geometry.interpolation import ToFine, apply_matrices, linear_matrix
from downscale_jax.runtime.errors import UserError


def plane(ny, nx, step=4000.0):
    return xr.Dataset(coords={'y': np.arange(ny) * step, 'x': np.arange(nx) * step})


def sphere(lat, lon):
    return xr.Dataset(coords={'lat': np.asarray(lat, float), 'lon': np.asarray(lon, float)})


def curved(lat, lon, **coords):
    return xr.Dataset(coords={'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon), **coords})


def polar_stereographic(x, y, meridian=-45.0):
    """Places of x [w], y [h] in metres on a sphere of 6371 km, touching at the pole: tan(colatitude / 2) = r / 2R."""
    x, y = np.meshgrid(x, y)
    lat = 90 - 2 * np.rad2deg(np.arctan2(np.hypot(x, y), 2 * 6371e3))
    return curved(lat, meridian + np.rad2deg(np.arctan2(x, -y)))


def linear_around(lat, lon):
    """A function linear in the equal-area plane around a place, by closed form in degrees (Snyder 1987, 24-2 to 4)."""
    lat0, lon0 = np.deg2rad(lat), np.deg2rad(lon)

    def value(grid):
        lat, lon = grid['lat'].values, grid['lon'].values
        if lat.ndim == 1:
            lat, lon = np.meshgrid(lat, lon, indexing='ij')
        lat, lon = np.deg2rad(lat.astype(float)), np.deg2rad(lon.astype(float)) - lon0
        scale = np.sqrt(2 / (1 + np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon)))
        x = scale * np.cos(lat) * np.sin(lon)
        y = scale * (np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon))
        return 0.3 + 5 * x - 7 * y

    return value


class TestLinearMatrix:
    def test_exact_for_linear_functions(self):
        source, target = np.array([0.0, 1.0, 3.0, 6.0]), np.array([0.0, 0.25, 2.0, 5.9, 6.0])
        matrix = linear_matrix(source, target)
        np.testing.assert_allclose(matrix @ (3 * source - 1), 3 * target - 1)
        np.testing.assert_allclose(matrix.sum(1), 1)

    def test_falling_axis(self):
        source, target = np.arange(5.0)[::-1], np.linspace(0, 4, 9)
        found = linear_matrix(source, target) @ source**2
        np.testing.assert_allclose(found, [0, 0.5, 1, 2.5, 4, 6.5, 9, 12.5, 16])

    def test_ends(self):
        # half a cell outside takes the end value, further out nothing
        matrix = linear_matrix(np.arange(4.0), np.array([-0.6, -0.5, 3.5, 3.6]))
        np.testing.assert_array_equal(matrix.sum(1), [0, 1, 1, 0])
        np.testing.assert_allclose(matrix @ np.arange(4.0), [0, 0, 3, 0])

    def test_periodic(self):
        source = np.arange(0.0, 360.0, 90.0)
        matrix = linear_matrix(source, np.array([315.0, -45.0, 405.0]), 360.0)
        np.testing.assert_allclose(matrix.toarray(), [[0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], [0.5, 0.5, 0, 0]])

    def test_one_point(self):
        np.testing.assert_array_equal(linear_matrix(np.zeros(1), np.array([-9.0, 9.0])).toarray(), [[1], [1]])

    def test_two_axes(self):
        rng = np.random.default_rng(0)
        along_y, along_x = (linear_matrix(np.arange(n), rng.uniform(0, n - 1, m)) for n, m in ((5, 3), (6, 4)))
        x = rng.normal(size=(2, 3, 5, 6))
        expected = np.einsum('ai,bj,...ij->...ab', along_y.toarray(), along_x.toarray(), x)
        np.testing.assert_allclose(apply_matrices(along_y, along_x, x), expected)


class TestInterpolate:
    def along(self, size, target):
        one = linear_matrix(np.zeros(1), np.zeros(1))
        return functools.partial(apply_matrices, one, linear_matrix(np.arange(size), np.asarray(target, float)))

    def test_over_valid_points_only(self):
        found = interpolation.interpolate(self.along(4, [0.5, 1.0, 1.75]), np.array([[2.0, np.nan, np.nan, np.nan]]))
        # between 0 and 1 only point 0 counts; at 1 the neighbour of a gap; at 1.75 both points are gaps, one near 0
        np.testing.assert_allclose(found, [[2, 2, 2]])

    def test_far_from_values_stays_missing(self):
        found = interpolation.interpolate(self.along(6, range(6)), np.array([[1.0, *[np.nan] * 5]]))
        np.testing.assert_array_equal(np.isfinite(found), [[True, True, False, False, False, False]])

    def test_gaps_are_filled_across_the_seam_of_a_circle(self):
        row = np.array([[1.0, np.nan, np.nan, np.nan, np.nan, 3.0, np.nan]])
        found = interpolation.interpolate(self.along(7, range(7)), row, periodic=True)
        np.testing.assert_allclose(found, [[1, 1, np.nan, np.nan, 3, 3, 2]])
        found = interpolation.interpolate(self.along(7, range(7)), row)
        np.testing.assert_allclose(found, [[1, 1, np.nan, np.nan, 3, 3, 3]])


class TestAlongAxes:
    def test_identical_grid(self):
        values = np.random.default_rng(0).normal(size=(5, 6)).astype('float32')
        values[2, 2] = np.nan
        assert ToFine(plane(5, 6), plane(5, 6))(values) is values

    def test_bilinear_is_exact_for_a_bilinear_field(self):
        coarse, fine = plane(5, 6, 25e3), plane(25, 31, 4e3)

        def value(g):
            return (0.1 + g.y * 1e-4 * (2 + g.x * 1e-5) - g.x * 3e-5).transpose('y', 'x').values

        np.testing.assert_allclose(ToFine(coarse, fine)(value(coarse)), value(fine), rtol=1e-10)

    @pytest.mark.parametrize(('turn_y', 'turn_x'), [(-1, 1), (1, -1), (-1, -1)])
    def test_direction_does_not_matter(self, turn_y, turn_x):
        coarse, fine = plane(5, 6, 25e3), plane(25, 31, 4e3)
        field = np.random.default_rng(0).normal(size=(5, 6))
        turned, turn = {'y': slice(None, None, turn_y), 'x': slice(None, None, turn_x)}, np.s_[::turn_y, ::turn_x]
        expected = ToFine(coarse, fine)(field)
        np.testing.assert_allclose(ToFine(coarse.isel(turned), fine)(field[turn]), expected)
        np.testing.assert_allclose(ToFine(coarse, fine.isel(turned))(field), expected[turn])

    def test_far_outside(self):
        coarse, fine = plane(3, 3, 10e3), plane(3, 9, 5e3)  # to 20 km and to 40 km
        found = ToFine(coarse, fine)(np.full((3, 3), 2.0))
        np.testing.assert_array_equal(np.isfinite(found), fine.x.values <= 25e3 + 0 * fine.y.values[:, None])
        assert (found[:, :6] == 2).all()

    def test_across_the_date_line(self):
        coarse = sphere([0.0, 10.0], np.arange(0.0, 360.0, 30.0))
        wave = np.tile(np.cos(np.deg2rad(coarse.lon.values)), (2, 1))
        found = ToFine(coarse, sphere([0.0, 5.0], [-15.0, 0.0, 345.0]))(wave)
        expected = (1 + np.cos(np.deg2rad(30))) / 2
        np.testing.assert_allclose(found, np.tile([expected, 1, expected], (2, 1)))

    def test_gap_at_the_date_line(self):
        globe = sphere(np.zeros(1), np.arange(0.0, 360.0, 30.0))
        row = np.where(globe.lon.values == 330, 4.0, np.nan)[None]
        found = ToFine(globe, sphere(np.zeros(1), [0.0, 30.0, 330.0]))(row)
        np.testing.assert_allclose(found, [[4, np.nan, 4]])

    def test_longitudes_counted_otherwise(self):
        coarse, fine = sphere([0.0, 10.0], [-20.0, -10.0, 0.0, 10.0]), sphere([0.0], [345.0, 355.0, 5.0, 90.0])
        found = ToFine(coarse, fine)(np.tile(coarse.lon.values, (2, 1)))
        np.testing.assert_allclose(found, [[-15, -5, 5, np.nan]])

    def test_nothing_in_common(self):
        with pytest.raises(UserError, match='share no coordinates'):
            ToFine(sphere([0.0, 1.0], range(4)), plane(3, 3))


class TestByPlaces:
    def test_from_a_polar_stereographic_grid_across_the_pole(self):
        coarse = polar_stereographic(np.arange(-20, 21) * 50e3, np.arange(20, -21, -1) * 50e3)
        fine = sphere(np.arange(83.0, 90.1, 0.5), np.arange(-179.0, 180.0, 2.0))
        value = linear_around(90.0, 0.0)  # the fine domain lies evenly around the pole
        np.testing.assert_allclose(ToFine(coarse, fine)(value(coarse)), value(fine), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize('lon', [np.arange(0.0, 360.0, 2.0), np.arange(-179.0, 180.0, 2.0)])
    @pytest.mark.parametrize('last', [89.0, 90.0])
    def test_to_a_polar_stereographic_grid_across_the_pole_and_the_date_line(self, lon, last):
        coarse = sphere(np.arange(70.0, last + 0.1), lon)
        fine = polar_stereographic(np.arange(-20, 21) * 40e3, np.arange(-20, 21) * 40e3)
        value = linear_around(90.0, 0.0)
        np.testing.assert_allclose(ToFine(coarse, fine)(value(coarse)), value(fine), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize('lon', [np.arange(0.0, 360.0, 0.5), np.arange(0.0, 361.0)])
    @pytest.mark.parametrize('step', [3e3, 12e3])
    def test_places_that_repeat_count_once(self, lon, step):
        # 720 points at the pole, or a last column that is the first: one place each, and no knot of triangles
        coarse = sphere(np.arange(80.0, 90.1, 0.25), lon)
        fine = polar_stereographic(np.arange(-30, 31) * step, np.arange(-30, 31) * step)
        value = linear_around(90.0, 0.0)
        np.testing.assert_allclose(ToFine(coarse, fine)(value(coarse)), value(fine), rtol=1e-6, atol=1e-7)

    def test_off_the_pole_it_is_exact_in_the_plane_around_the_fine_domain(self):
        coarse = sphere(np.arange(50.0, 90.0, 1.5), np.arange(120.0, 240.0, 2.5))
        fine = polar_stereographic(np.arange(-6, 7) * 50e3, np.arange(10, 36) * 50e3, meridian=0.0)
        centre = interpolation.unit_vectors(fine.lat.values, fine.lon.values).reshape(-1, 3).sum(0)
        lat0, lon0 = np.rad2deg([np.arctan2(centre[2], np.hypot(*centre[:2])), np.arctan2(centre[1], centre[0])])
        assert abs(lon0) > 179.9  # the date line
        value = linear_around(lat0, lon0)
        np.testing.assert_allclose(ToFine(coarse, fine)(value(coarse)), value(fine), rtol=1e-6, atol=1e-7)

    def test_the_projection_in_a_closed_form(self):
        # at 90 degrees from the centre the radius is sqrt(2), at 60 degrees 2 sin(30) = 1; north and east keep sides
        places = interpolation.unit_vectors(np.array([0.0, 90.0, 60.0, 0.0]), np.array([0.0, 0.0, 0.0, 90.0]))
        found = interpolation.equal_area(places, places[0])
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), [0, 2**0.5, 1, 2**0.5], atol=1e-12)
        np.testing.assert_allclose(found[1] @ found[3], 0, atol=1e-12)

    def test_converges_by_the_square_of_the_cell(self):
        fine = polar_stereographic(np.arange(-30, 31) * 17e3, np.arange(-30, 31) * 17e3)
        errors = []
        for step in (80e3, 40e3, 20e3):
            cells = np.arange(-round(800e3 / step), round(800e3 / step) + 1) * step
            coarse = polar_stereographic(cells, cells, meridian=-20.0)

            def wave(grid):
                xyz = interpolation.unit_vectors(grid.lat.values, grid.lon.values)
                return np.sin(40 * xyz[..., 0]) * np.cos(30 * xyz[..., 1])

            errors.append(np.sqrt(np.mean((ToFine(coarse, fine)(wave(coarse)) - wave(fine)) ** 2)))
        ratio = np.array(errors[:-1]) / errors[1:]
        assert ((ratio > 3.3) & (ratio < 4.8)).all()

    def test_times_and_variables_at_once(self):
        coarse = sphere(np.arange(60.0, 80.0, 2.0), np.arange(0.0, 40.0, 2.0))
        fine = polar_stereographic(np.arange(0, 10) * 60e3, np.arange(-25, -15) * 60e3, meridian=20.0)
        values = np.random.default_rng(0).normal(size=(2, 3, 10, 20))
        values[0, 1, 3:6, 4:9] = np.nan
        to_fine = ToFine(coarse, fine)
        together = to_fine(values)
        for index in np.ndindex(2, 3):
            np.testing.assert_allclose(together[index], to_fine(values[index]), rtol=1e-12)

    def test_over_valid_points_and_near_them_only(self):
        coarse = sphere(np.arange(-5.0, 6.0), np.arange(-5.0, 6.0))
        half = np.where(coarse.lon.values <= 0, 2.0, np.nan) * np.ones((11, 1))
        lat, lon = np.meshgrid(np.arange(-3.0, 3.1, 0.5), np.arange(-4.0, 4.1, 0.25), indexing='ij')
        found = ToFine(coarse, curved(lat, lon))(half)
        np.testing.assert_allclose(found[lon < 1.9], 2.0)
        assert np.isnan(found[lon > 2.1]).all()

    def test_outside(self):
        # half a cell beyond the outermost points, then nothing
        coarse = sphere(np.arange(-5.0, 6.0), np.arange(-5.0, 6.0))
        lat, lon = np.meshgrid(np.zeros(2) + [[0.1], [0.2]][0], [4.9, 5.4, 5.9, 40.0, 175.0], indexing='ij')
        found = ToFine(coarse, curved(lat, lon))(np.full((11, 11), 3.0))
        np.testing.assert_allclose(found[0], [3, 3, np.nan, np.nan, np.nan])

    @pytest.mark.parametrize('missing_places', [False, True])
    def test_gaps_between_swaths_are_not_bridged(self, missing_places):
        lon = np.array([0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0])
        lat, lon = np.meshgrid(np.arange(-4.0, 5.0), lon, indexing='ij')
        if missing_places:
            lat[0, 0] = lon[0, 0] = np.nan
        fine = curved(*np.meshgrid([0.1, 0.6], [1.5, 3.2, 4.5, 5.5, 6.5, 8.5], indexing='ij'))
        found = ToFine(curved(lat, lon), fine)(np.where(lon < 5, 1.0, 2.0))
        np.testing.assert_allclose(found, np.tile([1, 1, np.nan, np.nan, np.nan, 2], (2, 1)))

    def test_another_projection_is_seen_by_its_places(self):
        x = np.arange(-10, 11) * 50e3
        coarse = polar_stereographic(x, x).assign_coords(x=x, y=x)
        turned = polar_stereographic(x[4:-4], x[4:-4], meridian=0.0).assign_coords(x=x[4:-4], y=x[4:-4])
        value = linear_around(90.0, 0.0)
        np.testing.assert_allclose(ToFine(coarse, turned)(value(coarse)), value(turned), rtol=1e-6, atol=1e-7)
        inner = coarse.isel(x=slice(4, -4), y=slice(4, -4))
        field = np.random.default_rng(0).normal(size=(21, 21))
        np.testing.assert_array_equal(ToFine(coarse, inner)(field), field[4:-4, 4:-4])  # along the axes

    def test_identical_places(self):
        grid = polar_stereographic(np.arange(6) * 1e4, np.arange(5) * 1e4)
        values = np.random.default_rng(0).normal(size=(5, 6))
        values[0, 0] = np.nan
        assert ToFine(grid, grid.copy(deep=True))(values) is values

    def test_the_whole_globe(self):
        # more than one plane covers: six around the ends of the axes
        coarse = sphere(np.arange(-88.75, 90.0, 2.5), np.arange(0.0, 360.0, 2.5))
        lat, lon = np.meshgrid(np.arange(-89.0, 90.0, 2.0), np.arange(1.0, 360.0, 3.0), indexing='ij')

        def smooth(lat, lon):
            return interpolation.unit_vectors(lat, lon) @ [1.0, -0.5, 0.25]

        value = smooth(*np.meshgrid(coarse.lat.values, coarse.lon.values, indexing='ij'))
        np.testing.assert_allclose(ToFine(coarse, curved(lat, lon))(value), smooth(lat, lon), atol=2e-3)

    def test_weights_are_made_once(self, monkeypatch):
        made = []
        triangulate = scipy.spatial.Delaunay
        monkeypatch.setattr(scipy.spatial, 'Delaunay', lambda flat: made.append(len(flat)) or triangulate(flat))
        to_fine = ToFine(
            sphere(np.arange(60.0, 80.0), np.arange(0.0, 40.0)),
            polar_stereographic(np.arange(5) * 5e4, np.arange(-45, -35) * 5e4, meridian=20.0),
        )
        for _ in range(3):
            to_fine(np.ones((2, 20, 40)))
        assert len(made) == 1

    def test_a_real_curvilinear_grid(self, shared_data):
        piomas = canonical(store.open_dataset(shared_data / 'piomas_sithick_monthly_2010.nc'), ['sithick'])
        fine = polar_stereographic(np.arange(-40, 41) * 25e3, np.arange(-40, 41) * 25e3)
        value = linear_around(90.0, 0.0)
        # its own pole is a hole in Greenland, up to 81.3 degrees north
        free = fine.lat.values > 82
        np.testing.assert_allclose(ToFine(piomas, fine)(value(piomas))[free], value(fine)[free], rtol=1e-6, atol=1e-7)

    def test_speed(self):
        # measured on a busy machine: 0.01 s; setting up takes 3 s, nearly all of it Delaunay's
        coarse = polar_stereographic(np.arange(-216, 216) * 25e3, np.arange(-216, 216) * 25e3)
        fine = polar_stereographic(np.arange(-200, 200) * 10e3, np.arange(-200, 200) * 10e3, meridian=0.0)
        to_fine, field = ToFine(coarse, fine), np.random.default_rng(0).normal(size=(432, 432)).astype('float32')
        field[100:130, 200:260] = np.nan
        seconds = []
        for _ in range(5):
            start = time.process_time()
            to_fine(field)
            seconds.append(time.process_time() - start)
        assert min(seconds) < 0.1


class TestFullCircle:
    def test_curvilinear(self):
        lat, lon = np.meshgrid(np.arange(60.0, 80.0, 4.0), np.arange(0.0, 360.0, 10.0), indexing='ij')
        lon = lon + lat / 7
        assert interpolation.closes(interpolation.unit_vectors(lat, lon))
        assert not interpolation.closes(interpolation.unit_vectors(lat[:, :-3], lon[:, :-3]))
