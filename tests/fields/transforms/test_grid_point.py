"""Each grid point by its own climate: against NumPy over the whole series, with gaps and points that never change."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.fields.geometry.blocks import block_mean, repeat
from downscale_jax.fields.transforms import grid_point
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation

T, H, W, V = 30, 4, 6, 2
CLIMATE = np.random.default_rng(0).normal(280, 10, (H, W, V))
SERIES = (CLIMATE + np.random.default_rng(1).normal(size=(T, H, W, V)) * [1, 0.2]).astype('f4')
GAPS = np.where(np.random.default_rng(2).random(SERIES.shape) < 0.3, np.float32(np.nan), SERIES)
VALUES = Standardisation(('a', 'b'), ('K', 'K'), (280.0,) * V, (10.0,) * V, (0.0,) * V, (1.0,) * V, 0.0)


@pytest.mark.parametrize('series', [SERIES, GAPS], ids=['whole', 'gaps'])
def test_fitted_in_one_pass(series):
    offset, scale = np.split(grid_point.moments(iter(series)).planes('standard'), 2, -1)
    np.testing.assert_allclose(offset, np.nanmean(series.astype('f8'), 0), rtol=1e-6)
    np.testing.assert_allclose(scale, np.nanstd(series.astype('f8'), 0), rtol=1e-5)
    offset, scale = np.split(grid_point.moments(iter(series)).planes('range'), 2, -1)
    np.testing.assert_array_equal(offset, np.nanmin(series, 0))
    np.testing.assert_allclose(scale, np.nanmax(series, 0) - np.nanmin(series, 0), rtol=1e-6)


def test_a_z_score_and_then_its_range_are_the_range():
    z = (SERIES - SERIES.mean(0)) / SERIES.std(0)
    published = (z - z.min(0)) / (z.max(0) - z.min(0))
    offset, scale = np.split(grid_point.moments(iter(SERIES)).planes('range'), 2, -1)
    np.testing.assert_allclose((SERIES - offset) / scale, published, atol=1e-4)


@pytest.mark.parametrize('kind', ['standard', 'range'])
def test_points_that_never_change_and_points_without_values(kind):
    series = SERIES.copy()
    series[:, 0, 0], series[:, 1, 1] = 5, np.nan
    offset, scale = np.split(grid_point.moments(iter(series)).planes(kind), 2, -1)
    np.testing.assert_array_equal(offset[[0, 1], [0, 1]], [[5, 5], [0, 0]])
    np.testing.assert_array_equal(scale[1, 1], 1)
    assert (scale[0, 0] > 0).all()
    np.testing.assert_allclose(scale[0, 0], 0.1 * np.median(scale[scale[..., 0] != 1][1:], 0), rtol=0.2)
    dead = grid_point.moments(iter(np.zeros((3, H, W, V), 'f4'))).planes(kind)
    np.testing.assert_array_equal(dead[..., V:], 1)


@pytest.mark.parametrize('kind', ['standard', 'range'])
def test_where_most_points_never_change_the_others_are_normalised(kind):
    series = 0.01 * SERIES
    series[:, :, 1:] = 0
    offset, scale = np.split(grid_point.moments(iter(series)).planes(kind), 2, -1)
    found = (series[:, :, 0] - offset[:, 0]) / scale[:, 0]
    measure = np.std if kind == 'standard' else np.ptp
    np.testing.assert_allclose(measure(found, 0), 1, rtol=1e-2)
    np.testing.assert_allclose(
        scale[:, 1:], np.broadcast_to(0.1 * np.median(scale[:, 0], 0), scale[:, 1:].shape), rtol=1e-5
    )


@pytest.mark.parametrize('xp', [np, jnp], ids=['numpy', 'jax'])
@pytest.mark.parametrize('anomaly', [False, True])
def test_what_a_network_sees(xp, anomaly):
    """Fine and interpolated fields by point, the repeated one by block; and back."""
    points = grid_point.moments(map(VALUES.encode, SERIES)).planes('standard')
    names = grid_point.names(('a', 'b'))
    assert names == ('offset_a', 'offset_b', 'scale_a', 'scale_b')
    one = BlockMeans(
        VALUES, 2, 'physical', anomaly, (-np.inf, np.inf), (1.0,) * V, context=('height',),
        context_mean=(0.0,), context_std=(1.0,), points=names,
    )  # fmt: skip
    around = np.concatenate([np.ones((H, W, 1), 'f4'), points], -1)
    lifted = np.stack([one.lift(one.coarsen(x, np.ones((H, W, 1), 'f4')), around, False) for x in SERIES])
    mask = np.ones((T, H, W, 1), bool)
    target = np.asarray(one.encode(xp.asarray(SERIES), xp.asarray(lifted)))
    shown = np.asarray(one.condition(xp.asarray(lifted), xp.asarray(mask)))
    assert shown.shape == (T, H, W, 2 * V + 1 + 1)
    smooth = (VALUES.encode(lifted[..., V : 2 * V]) - points[..., :V]) / points[..., V:]
    np.testing.assert_allclose(shown[..., V : 2 * V], smooth, atol=1e-4)
    offset, scale = np.split(repeat(block_mean(points, 2), 2), 2, -1)
    np.testing.assert_allclose(shown[..., :V], (VALUES.encode(lifted[..., :V]) - offset) / scale, atol=1e-4)
    z = (SERIES - SERIES.mean(0)) / SERIES.std(0)
    np.testing.assert_allclose(target, z - smooth if anomaly else z, atol=1e-3)
    np.testing.assert_allclose(one.decode(xp.asarray(target), xp.asarray(lifted)), SERIES, rtol=1e-5)
    assert one.planes == ('height', *names)
    plain = dataclasses.replace(one, points=())
    assert plain.condition(lifted[..., : 2 * V + 1], mask).shape == shown.shape


@pytest.mark.parametrize('kind', ['standard', 'range'])
def test_parts_of_a_series_merge_to_the_whole(kind):
    series = SERIES.copy()
    series[:4, 0, 0], series[3:, 1, 1], series[:, 0, 1] = np.nan, np.nan, np.nan
    parts = [grid_point.moments(iter(part)) for part in (series[:3], series[3:4], series[4:])]
    merged = parts[0].merged(parts[1].merged(parts[2])).planes(kind)
    np.testing.assert_allclose(merged, grid_point.moments(iter(series)).planes(kind), rtol=1e-6)
