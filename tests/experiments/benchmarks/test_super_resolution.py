import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from downscale_jax.downscale.tiles import Tiling
from experiments.benchmarks import super_resolution as benchmark

ROOT = Path(__file__).parents[3]
SHAPE = (72, 104)


@pytest.fixture(scope='module')
def config():
    found = runpy.run_path(str(ROOT / 'configs' / 'srgan.py'))['get_config']('smoke').to_dict()
    return {**found, 'sampling': {**found['sampling'], 'tile': 64, 'overlap': 16}}


def test_tiles_give_the_field_of_one_piece_where_no_edge_of_a_tile_is_seen(config):
    found = benchmark.compare(config, SHAPE)
    assert found['elsewhere'] < 1e-5 < found['typical'] < found['overlaps']


def test_memory_of_a_program_holds_its_field_at_least(config):
    found = benchmark.measure(config, SHAPE, rounds=1)
    assert found['tiles'] == 4
    assert found['peak_mib'] > found['program_mib'] > SHAPE[0] * SHAPE[1] * 2 * 4 / 2**20
    assert found['fields_a_second'] > 0 < found['lift_seconds']


def test_the_network_sees_no_farther_than_told(config):
    generator = benchmark.untrained(config)
    network, reach = generator.task.network, benchmark.sight(generator)
    # ones everywhere, so that nothing cancels
    params = jax.tree.map(np.ones_like, generator.host_params)
    coarse = np.ones((1, 24, 24, 2), np.float32)
    other = coarse.copy()
    other[0, 12, 12] = 2
    apply = jax.jit(network.apply)
    changed = np.argwhere(np.any(apply(params, coarse) != apply(params, other), axis=(0, -1)))
    first, last = 4 * 12, 4 * 12 + 3  # fine cells of the coarse one
    farthest = max(last - changed.min(), changed.max() - first)  # from its far side
    assert reach - 4 < farthest <= reach


def test_inner_edges_are_those_that_the_domain_has_not():
    tiling = Tiling((20, 12), stride=4, tile=12, overlap=0)
    assert tiling.origins.tolist() == [[0, 0], [8, 0]]  # rows 0 to 11 and 8 to 19, all columns
    found = benchmark.inner_edges(tiling, 3)
    np.testing.assert_array_equal(np.flatnonzero(found.all(1)), [8, 9, 10, 11])
    np.testing.assert_array_equal(found.any(1), found.all(1))
