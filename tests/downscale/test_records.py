"""Records as coarse data sets: values, attributes, and how often records are read."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from tests.counted import Counted

SHAPE, TIMES = (6, 8), np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(4)


def prepared(transform):
    """Four days with `fine` [H, W, 2] and `coarse` [H, W, 2] of random values, on cells of unequal area."""
    rng = np.random.default_rng(0)
    records = [{name: rng.normal(size=(*SHAPE, 2)).astype('f4') for name in ('fine', 'coarse')} for _ in TIMES]
    axes = {name: (name, 4e3 * np.arange(size), {'units': 'm'}) for name, size in zip('yx', SHAPE, strict=True)}
    area = rng.uniform(1, 2, SHAPE).astype('f4')
    mask = np.ones(SHAPE, bool)
    statics = xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), area)}, axes)
    found = SimpleNamespace(field_transform=transform, statics=statics, mask=mask, area=area[..., None], meta={})
    return found, Counted(records)


@pytest.fixture
def block_means():
    zeros, ones = (0.0, 0.0), (1.0, 1.0)
    values = Standardisation(('a', 'b'), ('K', 'm'), zeros, ones, zeros, ones, 0.0)
    return BlockMeans(values, 2, 'physical', True, ((-np.inf, np.inf),) * 2, ones)


def test_coarse_fields_of_a_refinement(transform):
    data, split = prepared(transform)
    found = coarse_dataset(data, split, TIMES, [3, 1])
    assert found['sit'].dims == ('time', 'y', 'x')
    assert {name: found[name].attrs['units'] for name in found} == {'sit': 'm', 'sic': '1'}
    np.testing.assert_array_equal(found['time'], TIMES[[3, 1]])
    for channel, name in enumerate(('sit', 'sic')):
        assert found[name].dtype == np.float32
        expected = [list.__getitem__(split, index)['coarse'][..., channel] for index in (3, 1)]
        np.testing.assert_array_equal(found[name], expected)


def test_block_means(block_means):
    data, split = prepared(block_means)
    found = coarse_dataset(data, split, TIMES, [2]).load()
    fine, area = list.__getitem__(split, 2)['fine'], data.area
    weighted, weight = ((fine * area).reshape(3, 2, 4, 2, 2).sum((1, 3)), area.reshape(3, 2, 4, 2, 1).sum((1, 3)))
    np.testing.assert_allclose(found['b'].values[0], (weighted / weight)[..., 1], rtol=1e-5)


@pytest.mark.parametrize('kind', ['refinement', 'block_means'])
def test_a_record_is_read_once_for_all_variables(transform, block_means, kind):
    data, split = prepared(transform if kind == 'refinement' else block_means)
    coarse = coarse_dataset(data, split, TIMES, [0, 1, 3])
    assert split.read == []
    coarse.isel(time=2).load()
    assert split.read == [3]
    coarse.isel(time=slice(0, 2)).load()
    assert sorted(split.read) == [0, 1, 3]
