"""Semivariograms against closed forms, on spheres and planes."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import bootstrap, total
from downscale_jax.evaluation.statistics.semivariogram import choose, day_sums, summarise
from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM, cell_areas_km2
from downscale_jax.runtime.errors import UserError

RNG = np.random.default_rng(0)


def sphere(lat, lon):
    shape = (len(lat), len(lon))
    return xr.Dataset(
        {'mask': (('lat', 'lon'), np.ones(shape, bool))}, {'lat': np.asarray(lat), 'lon': np.asarray(lon)}
    )


def plane(ny, nx, step=10_000.0):
    coords = {'y': np.arange(ny, 0, -1) * step, 'x': np.arange(nx) * step}
    return xr.Dataset({'mask': (('y', 'x'), np.ones((ny, nx), bool))}, coords)


GLOBES = {
    'with poles': sphere(np.arange(90, -90.1, -2.5), np.arange(0, 360, 2.5)),
    'without': sphere(np.arange(-88.75, 90, 2.5), np.arange(-180, 180, 2.5)),
}


def kilometres(grid, pairs):
    """Great-circle distance of the pairs by the haversine formula, or in the plane."""
    names = ('y', 'x') if 'x' in grid.coords else ('lat', 'lon')
    y, x = (v.ravel() for v in np.meshgrid(*(grid[name].values for name in names), indexing='ij'))
    if names[0] == 'y':
        return np.hypot(y[pairs.first] - y[pairs.second], x[pairs.first] - x[pairs.second]) / 1000
    (a, b), (c, d) = (np.deg2rad([y[i], x[i]]) for i in (pairs.first, pairs.second))
    return (
        2
        * EARTH_RADIUS_KM
        * np.arcsin(np.sqrt(np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2))
    )


def gamma(field, grid, pairs, truth=None):
    return summarise(day_sums(field, field if truth is None else truth, cell_areas_km2(grid), pairs))['semivariogram']


@pytest.mark.parametrize('grid', [*GLOBES.values(), plane(150, 150, 8000.0)], ids=[*GLOBES, 'plane'])
def test_pairs_have_their_distance(grid):
    pairs = choose(grid, cell_areas_km2(grid), count=2000)
    # cells are 278 km or 8 km wide
    expected = [300, 500, 1000] if 'lat' in grid.coords else [25, 50, 100, 200, 300, 500, 1000]
    np.testing.assert_array_equal(pairs.kilometres, expected)
    apart, wanted = kilometres(grid, pairs), pairs.kilometres[pairs.at]
    assert (np.abs(apart - wanted) <= 0.1 * wanted + 1e-3).all()
    assert (np.bincount(pairs.at) > 1200).all()
    means = np.bincount(pairs.at, apart) / np.bincount(pairs.at)
    np.testing.assert_allclose(means, pairs.kilometres, rtol=0.06)


@pytest.mark.parametrize('name', GLOBES)
def test_pairs_cover_the_sphere_by_area(name):
    grid = GLOBES[name]
    pairs = choose(grid, cell_areas_km2(grid), (1000.0,), count=20_000)
    rows, columns = np.unravel_index([pairs.first, pairs.second], grid['mask'].shape)
    lat = grid['lat'].values[rows]
    np.testing.assert_allclose(np.mean(np.abs(lat) < 30, 1), 0.5, atol=0.02)  # half of the sphere
    np.testing.assert_allclose(np.mean(lat > 60, 1), (1 - np.sqrt(0.75)) / 2, atol=0.01)
    east = np.abs(np.diff(columns, axis=0)[0])
    assert np.mean(east > 72) > 0.02  # across the seam
    step = np.diff(lat, axis=0)[0]
    assert abs(np.mean(step > 0) - np.mean(step < 0)) < 0.03  # bearings have no preference


def test_equal_seeds_give_equal_pairs():
    grid = GLOBES['without']
    weight = cell_areas_km2(grid)
    first, second, other = (choose(grid, weight, count=300, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.first[:200], other.first[:200])


def test_white_noise_is_one_everywhere():
    for grid in (GLOBES['without'], plane(100, 100)):
        pairs = choose(grid, cell_areas_km2(grid))
        times = [
            day_sums(field, field, cell_areas_km2(grid), pairs) for field in RNG.normal(3, 2, (10, *grid['mask'].shape))
        ]
        np.testing.assert_allclose(summarise(total(times))['semivariogram'], 1, atol=0.02)


def test_a_smooth_field_on_the_sphere():
    # z = sin(lat): E[(z(p) - z(q))^2] = |p - q|^2 / 3 by symmetry, variance 1/3, so gamma = |p - q|^2 / 2 = 1 - cos d
    grid = sphere(np.arange(89.5, -90, -1), np.arange(0, 360))
    field = np.repeat(np.sin(np.deg2rad(grid['lat'].values))[:, None], 360, 1)
    pairs = choose(grid, cell_areas_km2(grid), (1000.0, 5000.0, 12_000.0))
    apart = kilometres(grid, pairs) / EARTH_RADIUS_KM
    expected = np.bincount(pairs.at, 1 - np.cos(apart)) / np.bincount(pairs.at)
    np.testing.assert_allclose(gamma(field, grid, pairs), expected, rtol=0.03)


def test_a_ramp_in_the_plane():
    grid = plane(60, 60)
    ramp = 2.0 * np.repeat(grid['x'].values[None] / 1000, 60, 0)  # 2 per km
    pairs = choose(grid, cell_areas_km2(grid), (50.0, 100.0))
    # isotropic bearings: E[(dx)^2] = d^2/2; variance of 60 values 20 apart: 20^2 (60^2 - 1)/12
    expected = 4 * np.array([50, 100]) ** 2 / 2 / (2 * 400 * (60**2 - 1) / 12)
    np.testing.assert_allclose(gamma(ramp, grid, pairs), expected, rtol=0.08)
    np.testing.assert_allclose(gamma(0.5 * ramp, grid, pairs, ramp), 0.25 * gamma(ramp, grid, pairs))


def test_a_region_loses_the_pairs_that_leave_it():
    region = sphere(np.arange(40, 50, 0.25), np.arange(355, 365, 0.25) % 360)
    pairs = choose(region, cell_areas_km2(region), count=1000)
    np.testing.assert_array_equal(pairs.kilometres, [50, 100, 200, 300, 500, 1000])
    assert np.abs(kilometres(region, pairs) / pairs.kilometres[pairs.at] - 1).max() <= 0.1 + 1e-6
    small = sphere(np.arange(40, 43, 0.25), np.arange(0, 3, 0.25))
    np.testing.assert_array_equal(choose(small, cell_areas_km2(small)).kilometres, [50, 100, 200, 300])
    tiny = choose(small, cell_areas_km2(small), (1000.0,))
    assert tiny.first.size == tiny.kilometres.size == 0
    assert gamma(RNG.normal(size=(12, 12)), small, tiny).shape == (0,)


def test_cells_without_weight_or_truth_do_not_count():
    grid = plane(40, 40)
    weight = cell_areas_km2(grid) * (np.arange(40) < 20)
    pairs = choose(grid, weight, (50.0,), count=1000)
    assert (np.concatenate([pairs.first, pairs.second]) % 40 < 20).all()
    truth = RNG.normal(size=(40, 40))
    field = np.where(weight > 0, truth, np.nan)  # a method on fewer cells, where nothing is judged
    sums = day_sums(field, np.where(weight > 0, truth, 1e3), weight, pairs)
    assert sums['truth_square'] == pytest.approx(100 * np.sum(truth[:, :20] ** 2))
    assert sums['squared_difference'] == day_sums(truth, truth, weight, pairs)['squared_difference']
    field[:10] = np.nan
    with pytest.raises(ValueError, match='not finite'):
        day_sums(field, truth, weight, pairs)
    gap = np.where(np.arange(40)[:, None] < 10, np.nan, truth)
    sums = day_sums(field, gap, weight, pairs)
    assert sums['weight'] == 30 * 20 * 100
    assert sums['pairs'][0] == np.sum((pairs.first >= 400) & (pairs.second >= 400))


def test_times_are_added_before_the_ratio():
    grid = plane(40, 40)
    pairs = choose(grid, cell_areas_km2(grid), (50.0, 100.0), count=500)
    fields = RNG.normal(size=(12, 40, 40)) * np.arange(1, 13)[:, None, None]
    times = [day_sums(field, field, cell_areas_km2(grid), pairs) for field in fields]
    pooled = summarise(total(times))['semivariogram']
    flat = fields.reshape(12, -1)
    for i in range(2):
        at = pairs.at == i
        squared = np.mean((flat[:, pairs.first[at]] - flat[:, pairs.second[at]]) ** 2)
        assert pooled[i] == pytest.approx(squared / (2 * fields.var()))
    assert bootstrap(times, summarise, samples=20)['semivariogram'].shape == (2, 2)


def test_a_grid_without_coordinates():
    grid = xr.Dataset({'mask': (('y', 'x'), np.ones((4, 4)))})
    with pytest.raises(UserError, match='lat and lon, or x and y'):
        choose(grid, np.ones((4, 4)))
