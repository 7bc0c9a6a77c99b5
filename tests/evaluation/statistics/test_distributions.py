"""Percentiles, bias maps, total variation and errors against NumPy and closed forms."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.distributions import (
    PERCENTILES,
    bias_maps,
    choose_cells,
    frame_scores,
    frame_sums,
    gradient,
    map_sums,
    percentiles,
)
from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM, cell_areas_km2

RNG = np.random.default_rng(0)
DEGREE = EARTH_RADIUS_KM * np.pi / 180


def sphere(lat, lon):
    shape = (len(lat), len(lon))
    return xr.Dataset({'mask': (('lat', 'lon'), np.ones(shape))}, {'lat': np.asarray(lat), 'lon': np.asarray(lon)})


def plane(ny, nx, step=4000.0):
    coords = {'y': np.arange(ny) * step, 'x': np.arange(nx) * step}
    return xr.Dataset({'mask': (('y', 'x'), np.ones((ny, nx)))}, coords)


class TestPercentiles:
    def test_by_hand(self):
        values, weight = np.array([[3.0, 1.0, np.nan], [2.0, 4.0, 9.0]]), np.array([1.0, 2.0, 1.0])
        # in order 1 (2), 2 (1), 3 (1), 4 (2), 9 (1): shares 2/7, 3/7, 4/7, 6/7, 1
        found = percentiles(values, weight, (0, 28, 29, 50, 60, 86, 100))
        np.testing.assert_array_equal(found, [1, 1, 2, 3, 4, 9, 9])
        np.testing.assert_array_equal(percentiles(np.array([4.0, 3, 2, 1]), np.ones(4), (25, 50)), [1, 2])
        assert np.isnan(percentiles(np.full(3, np.nan), weight)).all()

    def test_of_a_normal_distribution_on_drawn_cells(self):
        weight = np.repeat(np.cos(np.linspace(-1.5, 1.5, 60))[:, None], 80, 1)
        weight[:, :10] = 0
        cells = choose_cells(weight, 2000)
        assert cells.size == np.unique(cells).size == 2000
        assert (np.diff(cells) > 0).all()
        assert (weight.ravel()[cells] > 0).all()
        np.testing.assert_array_equal(cells, choose_cells(weight, 2000))
        values = RNG.normal(size=(50, 4800))[:, cells]
        found = percentiles(values, weight.ravel()[cells])
        np.testing.assert_allclose(found, scipy.stats.norm.ppf(np.array(PERCENTILES) / 100), atol=0.03)

    def test_all_cells_where_they_fit(self):
        weight = np.ones((5, 6))
        weight[2, 3] = 0
        np.testing.assert_array_equal(choose_cells(weight, 29), np.delete(np.arange(30), 15))

    def test_weights_are_areas(self):
        # 1 on the fifth of the sphere north of asin(0.6): a cap has the share (1 - sin(lat))/2 of the sphere
        grid = sphere(np.arange(-89.5, 90, 1), np.arange(0, 360, 10))
        field = np.repeat(np.sin(np.deg2rad(grid['lat'].values))[:, None] > 0.6, 36, 1).astype(float)
        weight = cell_areas_km2(grid).ravel()
        np.testing.assert_array_equal(percentiles(field.ravel(), weight, (79, 81)), [0, 1])


class TestBiasMaps:
    def test_closed_form(self):
        truth = RNG.normal(5, 1, (40, 4, 6)).astype('f4')
        field = 1.5 * truth + 2
        sums = map_sums(field[0], truth[0])
        for x, y in zip(field[1:], truth[1:], strict=True):
            sums = total([sums, map_sums(x, y)])  # a running sum
        maps = bias_maps(sums)
        double = truth.astype(float)
        np.testing.assert_allclose(maps['mean'], 0.5 * double.mean(0) + 2, rtol=1e-5)
        np.testing.assert_allclose(maps['standard_deviation'], 0.5 * double.std(0), rtol=1e-5)

    def test_gaps(self):
        truth, fields = RNG.normal(size=(2, 9, 2, 3))
        truth[:3, 0, 0] = truth[:, 1, 1] = np.nan
        fields[0, 0, 0] = np.nan  # where the truth is missing
        maps = bias_maps(total([map_sums(x, y) for x, y in zip(fields, truth, strict=True)]))
        assert maps['mean'][0, 0] == pytest.approx(fields[3:, 0, 0].mean() - truth[3:, 0, 0].mean())
        expected = fields[:, 1, 2].std() - truth[:, 1, 2].std()
        assert maps['standard_deviation'][1, 2] == pytest.approx(expected)
        assert np.isnan(maps['mean'][1, 1])
        assert np.isnan(maps['standard_deviation'][1, 1])
        fields[5, 1, 2] = np.nan
        with pytest.raises(ValueError, match='1 of 5 valid cells'):
            map_sums(fields[5], truth[5])

    def test_a_constant_has_no_deviation(self):
        field = np.full((2, 2), 101_325.7, 'f4')
        maps = bias_maps(total([map_sums(field, field)] * 100))
        np.testing.assert_array_equal(maps['standard_deviation'], 0)


class TestTotalVariation:
    def test_of_a_ramp_is_its_slope(self):
        grid = plane(7, 9)
        y, x = np.meshgrid(grid['y'] / 1000, grid['x'] / 1000, indexing='ij')
        np.testing.assert_allclose(gradient(3 * x - 4 * y + 1, grid), 5)  # per km, at the edges too
        weight = RNG.uniform(1, 2, (7, 9))
        sums = frame_sums(0.5 * x, 2 * x, weight, grid)
        assert sums['gradient'] == pytest.approx(0.5 * weight.sum())
        assert frame_scores(sums)['total_variation'] == pytest.approx(-0.75)
        assert frame_scores(frame_sums(0 * x, x, weight, grid))['total_variation'] == -1

    def test_of_latitude(self):
        for lat in (np.arange(-80, 81, 4.0), np.arange(80, -81, -4.0)):
            grid = sphere(lat, np.arange(0, 360, 5))
            np.testing.assert_allclose(gradient(np.repeat(lat[:, None], 72, 1), grid), 1 / DEGREE)

    def test_of_longitude_across_the_date_line(self):
        lat, lon = np.arange(-60, 61, 4.0), np.arange(-180, 180, 3.0)
        wave = np.cos(np.deg2rad(lon)) + 0 * lat[:, None]
        # |cos(a + h) - cos(a)| = 2 sin(h/2) |sin(a + h/2)|, at any a, the seam included
        step = np.deg2rad(3)
        zonal = 2 * np.sin(step / 2) * np.abs(np.sin(np.deg2rad(lon) + step / 2))
        expected = zonal / (3 * DEGREE * np.cos(np.deg2rad(lat))[:, None])
        np.testing.assert_allclose(gradient(wave, sphere(lat, lon)), expected, atol=1e-15)
        part = gradient(wave[:, :60], sphere(lat, lon[:60]))
        np.testing.assert_allclose(part[:, :-1], expected[:, :59], atol=1e-15)
        np.testing.assert_allclose(part[:, -1], expected[:, 58], atol=1e-15)

    def test_of_a_wave_on_the_globe(self):
        # |grad sin(lat)| = cos(lat)/R, whose mean over the sphere is pi/4
        grid = sphere(np.arange(90, -90.1, -1), np.arange(0, 360))
        field = np.repeat(np.sin(np.deg2rad(grid['lat'].values))[:, None], 360, 1)
        found = frame_sums(field, field, cell_areas_km2(grid), grid)
        assert found['gradient'] / found['weight'] == pytest.approx(np.pi / 4 / EARTH_RADIUS_KM, rel=1e-3)


class TestFrames:
    def test_error_is_weighted(self):
        grid = plane(2, 2)
        field, weight = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 2.0], [3.0, 0.0]])
        assert frame_scores(frame_sums(field, np.zeros((2, 2)), weight, grid))['mse'] == (1 + 8 + 27) / 6

    def test_frames_side_by_side_and_together(self):
        grid = plane(5, 6)
        truth, field = RNG.normal(size=(2, 3, 5, 6))
        frames = [frame_sums(x, y, np.ones((5, 6)), grid) for x, y in zip(field, truth, strict=True)]
        beside = frame_scores({name: np.stack([frame[name] for frame in frames]) for name in frames[0]})
        np.testing.assert_allclose(beside['mse'], ((field - truth) ** 2).mean((1, 2)))
        assert frame_scores(total(frames))['mse'] == pytest.approx(beside['mse'].mean())

    def test_what_is_missing_in_the_truth_counts_for_nobody(self):
        grid = plane(6, 6, 1000.0)
        truth = np.repeat(np.arange(6.0)[None], 6, 0)
        field = 2 * truth
        truth[2, 2], field[2, 2] = np.nan, 1e6
        weight = np.ones((6, 6))
        weight[4, 4], field[4, 4] = 0, np.nan
        scores = frame_scores(frame_sums(field, truth, weight, grid))
        assert scores['total_variation'] == pytest.approx(1)
        valid = np.isfinite(truth) & (weight > 0)
        assert scores['mse'] == pytest.approx(np.mean(truth[valid] ** 2))
        field[0, 0] = np.nan
        with pytest.raises(ValueError, match='1 of 34 valid cells'):
            frame_sums(field, truth, weight, grid)
