"""Baselines without training: interpolation within the bounds, and the quantile map of the training split."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.fields.geometry.blocks import block_mean, interpolate
from downscale_jax.fields.transforms import quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation

SHAPE, FACTOR, TIMES = (8, 12), 4, 30
BOUNDS = ((-np.inf, np.inf), (0.0, np.inf))


@pytest.fixture
def prepared():
    """Thirty months of temperature and rain; cells of unequal area, one without values."""
    rng = np.random.default_rng(0)
    values = Standardisation(('t', 'r'), ('K', 'mm'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 0.0)
    fields = rng.normal(size=(TIMES, *SHAPE, 2))
    fields[..., 1] = np.maximum(fields[..., 1], 0) ** 2
    fields[:, 2, 3] = np.nan
    area = np.where(np.isfinite(fields[0, ..., :1]), rng.uniform(1, 2, (*SHAPE, 1)), 0).astype('f4')
    seconds = np.arange(TIMES) * 86_400 * 30.5
    records = [{'fine': x, 'time': int(s)} for x, s in zip(fields.astype('f4'), seconds, strict=True)]
    means = BlockMeans(values, FACTOR, 'physical', False, BOUNDS, (1.0, 1.0))
    return SimpleNamespace(
        kind='block_means',
        coarse_input=lambda record: means.coarsen(record['fine'], area),
        transform_as=lambda kind: means,
        field_transform=means,
        area=area,
        periodic=True,
        split={'train': records}.__getitem__,
        meta={'calendar': 'standard'},
    )


def test_interpolation_within_the_bounds(prepared):
    coarse = np.random.default_rng(1).normal(size=(2, 3, 2)).astype('f4')
    found = Baselines(('bicubic', 'linear'), prepared)(coarse, 1)
    assert list(found) == ['bicubic', 'linear']
    for name, kernel in (('bicubic', 'cubic'), ('linear', 'linear')):
        expected = interpolate(coarse, FACTOR, True, kernel)
        assert expected[..., 1].min() < 0
        expected[..., 1] = np.maximum(expected[..., 1], 0)
        np.testing.assert_array_equal(found[name], expected)


def test_the_quantile_map_goes_from_the_interpolated_field_to_the_truth(prepared):
    baselines = Baselines(('quantile_mapping', 'linear'), prepared)
    fine = np.stack([record['fine'] for record in prepared.split('train')])
    smooth = interpolate(block_mean(fine, FACTOR, prepared.area), FACTOR, True, 'linear')
    mapped = np.stack([baselines(block_mean(x, FACTOR, prepared.area), 1)['quantile_mapping'] for x in fine])
    np.testing.assert_array_equal(np.isnan(mapped).any((0, 3)), prepared.area[..., 0] == 0)
    inside = prepared.area[..., 0] > 0
    # the distribution of every cell over time becomes that of the truth
    for v, kind in enumerate((quantile_mapping.ADDITIVE, quantile_mapping.MULTIPLICATIVE)):
        level = np.linspace(0.2, 0.8, 7)
        quantiles = [np.quantile(x[:, inside, v], level, 0) for x in (mapped, fine, smooth)]
        assert np.abs(quantiles[0] - quantiles[1]).mean() < 0.25 * np.abs(quantiles[2] - quantiles[1]).mean(), kind
    assert np.nanmin(mapped[..., 1]) >= 0


def test_the_coarse_field_on_the_fine_grid_is_a_baseline():
    free = SimpleNamespace(limits=np.array([[-np.inf], [np.inf]]))
    prepared = SimpleNamespace(kind='refinement', field_transform=free)
    coarse = np.random.default_rng(1).normal(size=(4, 6, 1))
    found = Baselines(('coarse',), prepared)(coarse, 1)
    assert list(found) == ['coarse']
    np.testing.assert_array_equal(found['coarse'], coarse)
