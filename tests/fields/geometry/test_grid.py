import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.boxes import box_filter, box_weights
from downscale_jax.fields.geometry.observation import observation_points, observation_shape, observe
from downscale_jax.runtime.errors import UserError


def plane(ny, nx, step=4000.0):
    return xr.Dataset(coords={'y': np.arange(ny) * step, 'x': np.arange(nx) * step})


def sphere(lat, lon):
    return xr.Dataset(coords={'lat': np.asarray(lat, float), 'lon': np.asarray(lon, float)})


def land_field(shape, seed=0):
    """(field with land as NaN, weights with land as zero), a third of it land."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 1.5, shape) * (rng.random(shape) > 1 / 3)
    return np.where(weight > 0, rng.normal(size=shape), np.nan), weight


def overlap(distance, width):
    """Share of a cell at `distance` cells that a centred box of `width` cells covers."""
    return np.clip(width / 2 + 0.5 - abs(distance), 0, 1)


def slow_filter(field, weight, width_y, widths_x, periodic):
    """The definition, cell by cell: sum(f w overlap) / sum(w overlap); each row has its own width in x."""
    h, w = field.shape
    found = np.full((h, w), np.nan)
    for i, j in np.argwhere(weight > 0):
        total = norm = 0.0
        for k, m in np.ndindex(h, w):
            dx = abs(m - j)
            dx = min(dx, w - dx) if periodic else dx
            share = overlap(k - i, width_y) * overlap(dx, widths_x[k]) * weight[k, m]
            total, norm = total + share * np.nan_to_num(field[k, m]), norm + share
        found[i, j] = total / norm
    return found


class TestBoxWeights:
    def test_even_width_has_half_ends(self):
        found = box_weights(30.0)
        assert found.size == 31
        np.testing.assert_array_equal(found, [0.5, *[1.0] * 29, 0.5])

    @pytest.mark.parametrize(
        ('width', 'expected'),
        [(1, [1]), (3, [1, 1, 1]), (2, [0.5, 1, 0.5]), (2.4, [0.7, 1, 0.7]), (3.5, [0.25, 1, 1, 1, 0.25]), (0.3, [1])],
    )
    def test_closed_forms(self, width, expected):
        np.testing.assert_allclose(box_weights(width), expected, atol=1e-12)

    @pytest.mark.parametrize('width', [1.0, 2.0, 5.5, 6.25, 7.0, 29.99])
    def test_sum_is_the_width(self, width):
        found = box_weights(width)
        assert found.size % 2 == 1
        assert found.sum() == pytest.approx(width)


class TestBoxFilter:
    def test_constant_is_kept_next_to_land(self):
        _, weight = land_field((2, 12, 15))
        found = box_filter(np.full((2, 12, 15), 3.7), weight, 5.0, np.full(12, 4.0), False)
        np.testing.assert_array_equal(np.isnan(found), weight == 0)
        np.testing.assert_allclose(found[weight > 0], 3.7, rtol=1e-13)

    @pytest.mark.parametrize('periodic', [False, True])
    @pytest.mark.parametrize(('width_y', 'widths_x'), [(3.0, [5.0] * 6), (2.0, [4.0, 4.0, 2.5, 2.5, 1.0, 1.0])])
    def test_equals_the_definition(self, periodic, width_y, widths_x):
        field, weight = land_field((6, 7))
        found = box_filter(field, weight, width_y, np.array(widths_x), periodic)
        np.testing.assert_allclose(found, slow_filter(field, weight, width_y, widths_x, periodic), rtol=1e-12)

    def test_land_neither_gives_nor_takes(self):
        field, weight = land_field((8, 9))
        widths = 5.0, np.full(8, 5.0), False
        nonsense = np.where(weight > 0, field, 1e20)
        np.testing.assert_array_equal(box_filter(field, weight, *widths), box_filter(nonsense, weight, *widths))
        # what is weighted leaves as much as it enters: the weighted sum over a periodic row is kept
        row, ones = np.random.default_rng(1).normal(size=(1, 8)), np.ones((1, 8))
        assert box_filter(row, ones, 1.0, np.array([4.0]), True).sum() == pytest.approx(row.sum())

    def test_missing_value_is_left_out(self):
        field, weight = np.array([[1.0, np.nan, 5.0]]), np.ones((1, 3))
        found = box_filter(field, weight, 1.0, np.array([3.0]), False)
        np.testing.assert_array_equal(found, [[1.0, np.nan, 5.0]])
        found = box_filter(np.array([[1.0, 3.0, np.nan]]), weight, 1.0, np.array([3.0]), False)
        np.testing.assert_array_equal(found, [[2.0, 2.0, np.nan]])

    def test_mask_that_changes_in_time(self):
        field, weight = land_field((3, 6, 7))
        widths = 3.0, np.full(6, 4.0), False
        together = box_filter(field, weight, *widths)
        for time in range(3):
            np.testing.assert_array_equal(together[time], box_filter(field[time], weight[time], *widths))

    def test_wraps(self):
        field = np.array([[6.0, 0.0, 0.0, 0.0]])
        weight, width = np.ones((1, 4)), np.array([3.0])
        np.testing.assert_allclose(box_filter(field, weight, 1.0, width, True), [[2, 2, 0, 2]])
        np.testing.assert_allclose(box_filter(field, weight, 1.0, width, False), [[3, 2, 0, 0]])

    def test_widths_row_by_row(self):
        field = np.tile([0.0, 0.0, 6.0, 0.0, 0.0], (2, 1))
        found = box_filter(field, np.ones((2, 5)), 1.0, np.array([1.0, 3.0]), False)
        np.testing.assert_allclose(found, [[0, 0, 6, 0, 0], [0, 2, 2, 2, 0]])

    def test_width_beyond_the_domain_is_the_mean(self):
        row = np.random.default_rng(0).normal(size=(1, 6))
        found = box_filter(row, np.ones((1, 6)), 1.0, np.array([1e6]), True)
        np.testing.assert_allclose(found, row.mean(), rtol=1e-12)

    @pytest.mark.parametrize('width', [6.0, 7.0, 6.3])
    def test_no_shift(self, width):
        y, x = np.mgrid[:20, :24]
        ramp = 2.0 * x - 0.5 * y
        found = box_filter(ramp, np.ones((20, 24)), width, np.full(20, width), False)
        np.testing.assert_allclose(found[4:-4, 4:-4], ramp[4:-4, 4:-4], rtol=1e-12)


class TestObserve:
    def sizes(self, rows):
        return np.full(rows, 4.0), np.full(rows, 4.0)

    def test_constant_is_kept_and_land_is_nan(self):
        _, weight = land_field((20, 30))
        weight[:10, :10] = 0
        weight[:4, :4] = 1  # a bay far from the rest of the sea
        found = observe(np.full((2, 20, 30), 1.5), weight, self.sizes(20), 24.0, 12.0, None, False)
        assert np.isnan(found[:, weight == 0]).all()
        np.testing.assert_allclose(found[:, weight > 0], 1.5, rtol=1e-12)

    def test_without_spacing_it_is_the_filter(self):
        field, weight = land_field((12, 14))
        expected = box_filter(field, weight, 3.0, np.full(12, 3.0), False)
        np.testing.assert_array_equal(observe(field, weight, self.sizes(12), 12.0, 0.0, None, False), expected)
        noise = np.random.default_rng(0).normal(size=(12, 14))
        noisy = observe(field, weight, self.sizes(12), 12.0, 0.0, noise, False)
        np.testing.assert_allclose(noisy - expected, np.where(weight > 0, noise, np.nan), atol=1e-12)

    def test_ramp_is_kept_inside(self):
        y, x = np.mgrid[:40, :40]
        ramp = 0.5 * x + 2.0 * y
        found = observe(ramp, np.ones((40, 40)), self.sizes(40), 24.0, 12.0, None, False)
        np.testing.assert_allclose(found[8:-8, 8:-8], ramp[8:-8, 8:-8], rtol=1e-12)

    def test_a_periodic_field_turns_with_the_globe(self):
        # the observation's cells divide the circle, so turning by one of them turns the result
        field = np.random.default_rng(0).normal(size=(8, 24))
        image, turned = (
            observe(f, np.ones((8, 24)), self.sizes(8), 12.0, 12.0, None, True) for f in (field, np.roll(field, 3, 1))
        )
        np.testing.assert_allclose(turned, np.roll(image, 3, 1), atol=1e-12)

    def test_noise_is_on_the_observations_grid(self):
        assert observation_shape((20, 31), self.sizes(20), 12.0) == (7, 11)
        assert observation_shape((20, 31), self.sizes(20), 0.0) == (20, 31)
        np.testing.assert_array_equal(observation_points(6, 3.0), [1, 4])  # centres of 0-2 and 3-5
        noise = np.random.default_rng(0).normal(size=(7, 11))
        found = observe(np.zeros((20, 31)), np.ones((20, 31)), self.sizes(20), 12.0, 12.0, noise, False)
        rows, columns = observation_points(20, 3.0)[:-1], observation_points(31, 3.0)[:-1]
        np.testing.assert_allclose(found[np.ix_(rows.astype(int), columns.astype(int))], noise[:-1, :-1], atol=1e-12)

    def test_no_observation_where_half_is_land(self):
        # points at 1.5 and 5.5: the first between sea and land, the second between cells of sea
        weight = np.array([[1.0, 1, 0, 0, 0, 1, 1, 1]])
        noise = np.array([[10.0, 20.0]])  # tells which observation is seen
        found = observe(np.zeros((1, 8)), weight, (np.full(1, 4.0), np.full(1, 4.0)), 4.0, 16.0, noise, False)
        np.testing.assert_allclose(found, [[20, 20, np.nan, np.nan, np.nan, 20, 20, 20]])

    def test_kernel_below_a_cell(self):
        with pytest.raises(UserError, match=r'3 km is smaller than a cell of 4 km'):
            observe(np.ones((5, 5)), np.ones((5, 5)), self.sizes(5), 3.0, 0.0, None, False)


class TestCellSizes:
    def test_metres(self):
        fine = xr.Dataset(coords={'y': np.arange(3)[::-1] * 5000.0, 'x': np.arange(4) * 4000.0})
        dy, dx = grid.cell_sizes_km(fine)
        np.testing.assert_array_equal(dy, [5, 5, 5])
        np.testing.assert_array_equal(dx, [4, 4, 4])
        fine['mask'] = ('y', 'x'), np.ones((3, 4), bool)
        np.testing.assert_array_equal(grid.cell_areas_km2(fine), np.full((3, 4), 20.0))

    def test_degrees(self):
        dy, dx = grid.cell_sizes_km(sphere([60.0, 0.0, -60.0], [0.0, 1.0, 2.0]))
        degree = 6371 * np.pi / 180  # 111.19 km
        np.testing.assert_allclose(dy, 60 * degree)
        np.testing.assert_allclose(dx, [degree / 2, degree, degree / 2])

    def test_areas_add_up_to_the_earth(self):
        globe = sphere(np.arange(-90.0, 91.0, 2.0), np.arange(0.0, 360.0, 2.0))
        area = grid.cell_areas_km2(globe)
        assert area.shape == (91, 180)
        assert (area > 0).all()
        assert area.sum() == pytest.approx(4 * np.pi * 6371**2, rel=1e-3)

    def test_two_dimensional(self):
        lat, lon = np.meshgrid(np.arange(-1.0, 1.01, 0.25), np.arange(10.0, 12.01, 0.25), indexing='ij')
        dy, dx = grid.cell_sizes_km(xr.Dataset(coords={'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)}))
        np.testing.assert_allclose(dy, 27.8, rtol=1e-3)
        np.testing.assert_allclose(dx, 27.8, rtol=1e-3)

    def test_no_coordinates(self):
        with pytest.raises(UserError, match=r"neither x, y nor lat, lon coordinates, found \['time'\]"):
            grid.cell_sizes_km(xr.Dataset(coords={'time': [0]}))

    def test_a_real_curvilinear_grid(self, shared_data):
        piomas = canonical(store.open_dataset(shared_data / 'piomas_sithick_monthly_2010.nc'), ['sithick'])
        dy, dx = grid.cell_sizes_km(piomas)
        assert dy.shape == dx.shape == (120,)
        # its cells have 22 km in the mean, between 6 and 110
        assert ((dy > 5) & (dy < 120) & (dx > 5) & (dx < 120)).all()
        assert not grid.is_periodic(piomas)


class TestValidArea:
    def test_of_the_cells_that_exist(self):
        mask = np.array([[1, 0, 1], [1, 1, 0]], 'i1')
        found = grid.valid_area(plane(2, 3).assign(mask=(('y', 'x'), mask)))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, 16 * mask)
        lat = np.array([0.0, 60.0])
        found = grid.valid_area(sphere(lat, [0.0, 1, 2]).assign(mask=(('lat', 'lon'), mask)))
        np.testing.assert_array_equal(found == 0, mask == 0)
        assert found[0, 0] / found[1, 0] == pytest.approx(2, rel=1e-6)

    def test_areas_that_are_told_are_taken(self):
        area = np.arange(6.0).reshape(2, 3)
        told = plane(2, 3).assign(mask=(('y', 'x'), np.eye(2, 3, dtype=bool)), cell_area=(('y', 'x'), area))
        np.testing.assert_array_equal(grid.valid_area(told), [[0, 0, 0], [0, 4, 0]])


class TestIsPeriodic:
    @pytest.mark.parametrize(
        ('lon', 'expected'),
        [
            (np.arange(0.0, 360.0, 2.5), True),
            (np.arange(-180.0, 180.0, 1.0), True),
            (np.arange(179.5, -180.0, -1.0), True),
            (np.arange(0.0, 350.0, 2.5), False),
            (np.arange(0.0, 361.0, 2.5), False),  # the last column repeats the first
            (np.array([0.0, 180.0]), False),
        ],
    )
    def test_longitudes(self, lon, expected):
        assert grid.is_periodic(sphere([0.0, 1.0], lon)) is expected

    def test_metres(self):
        assert not grid.is_periodic(plane(3, 3))
