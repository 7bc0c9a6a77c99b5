"""Lines between tiles by hand; a generator whose tiles show, and one whose tiles do not."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.downscale.tiles import Domain, Tiling
from downscale_jax.evaluation import retiling
from downscale_jax.evaluation.measures import seams
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation

FACTOR, NAMES = 2, ('a', 'b')
TIMES = np.array(['2001-01-15', '2001-02-15', '2001-03-15'], 'datetime64[ns]')
SETTINGS = GenerationSettings(Partition(tile=256, overlap=64, members=5), Sampling('ddim', 3, 't', 0.0))


@dataclass(frozen=True)
class Task:
    """Noise, and `step` times the place within the tile: a jump where one tile hands over to the next."""

    step: float
    network: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stride=4, channels=2))
    draws: bool = True

    def sample(self, params, condition, valid, noise, apply, solver):
        def ramp(x):
            rows, columns = (jax.lax.broadcasted_iota('float32', x.shape, x.ndim - axis) for axis in (3, 2))
            return x + self.step * (rows + columns)

        return jnp.where(valid, apply(ramp, noise(0)), 0)


def grid(rows, columns, step=0.1):
    coords = {'lat': 30 + step * np.arange(rows), 'lon': step * np.arange(columns)}
    found = xr.Dataset({'mask': (('lat', 'lon'), np.ones((rows, columns), bool))}, coords)
    return found.assign(cell_area=(('lat', 'lon'), cell_areas_km2(found)))


def generator(step=0.0):
    values = Standardisation(NAMES, ('K', 'm'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 0.0)
    means = BlockMeans(values, FACTOR, 'physical', False, ((-np.inf, np.inf),) * 2, (1.0, 1.0))
    return FieldGenerator(Task(step), np.float32(0), means, SETTINGS)


def world(rows=48, columns=64):
    """Prepared data and their records."""
    statics, rng, means = grid(rows, columns), np.random.default_rng(0), generator().transform
    records = [{'fine': rng.normal(size=(rows, columns, 2)).astype('f4')} for _ in TIMES]
    area = statics['cell_area'].values[..., None].astype('f4')
    mask = statics['mask'].values
    return SimpleNamespace(
        meta={}, transform_as=lambda kind: means, field_transform=means, statics=statics, mask=mask, area=area
    ), records


def test_borders_of_a_periodic_grid():
    """48 columns continued by 4 on either side: tiles of 16 begin at -4, 4, 16, 28, 36 of the grid's own columns."""
    one = generator().with_partition(tile=16, overlap=4)
    rows, columns = retiling.borders_of(one, Domain((12, 48), 4, periodic=True))
    assert rows.size == 0
    # they overlap from 4 to 12, 16 to 20, 28 to 32, 36 to 44
    assert columns.tolist() == [4, 8, 12, 16, 18, 20, 28, 30, 32, 36, 40, 44]
    # elsewhere at 0, 12, 20, 32: they overlap from 12 to 16, 20 to 28, 32 to 36
    assert retiling.borders_of(one, Domain((12, 48), 4))[1].tolist() == [12, 14, 16, 20, 24, 28, 32, 34, 36]


@pytest.mark.parametrize(('own', 'overlap', 'least'), [(480, 80, 2 / 3), (128, 32, 2 / 3), (80, 16, 0.8)])
def test_the_control_ends_elsewhere(own, overlap, least):
    """Also where the next smaller tiles would end at the same lines, as 720 cells in tiles of 480 and of 288 do."""
    one = generator().with_partition(tile=own, overlap=overlap)
    one.task.network.stride = 16
    for n in range(own + 16, 4 * own, 40):
        domain = Domain((n, n), 4)
        made, control = retiling.tilings(one, domain, 70)
        assert made is one
        assert control.partition.tile <= max(own, 256)
        lines = [retiling.borders_of(each, domain) for each in (made, control)]
        assert seams.own_share(*lines) >= least - 1e-9
    tiles, whole = retiling.tilings(one, Domain((own, own), 4), 70)
    assert (tiles.partition.tile, tiles.partition.overlap) == (80, 16)
    assert whole is one


def test_tiles_of_any_size_are_valid():
    one = generator()
    for stride in (1, 2, 4, 8, 16, 32):
        one.task.network.stride = stride
        for strides in range(1, 100):
            found = retiling.in_tiles(one, strides).partition
            Tiling((1000, 1000), stride, found.tile, found.overlap)  # raises
            assert found.tile >= strides * stride


@pytest.mark.parametrize('own', [256, 28])
def test_tiles_that_show_and_tiles_that_do_not(own):
    """Against one piece, and against tiles of the generator's own that end elsewhere."""
    prepared, records = world()
    fused, apart = (
        retiling.retile(generator(step).with_partition(tile=own, overlap=8), prepared, records, TIMES, [0, 2], 16, 0)
        for step in (0.0, 4.0)
    )
    for found in (fused, apart):
        assert found.fields.shape == found.control.shape == (2, 2, 48, 64, 2)
        tiles = ((16, 16), 4, (48, 64)) if own == 256 else ((28, 28), 8, (48, 64))
        assert (found.sizes, found.overlap, found.control_sizes) == tiles
    fused, apart = seams.scored(fused), seams.scored(apart)
    # the network is local: the same noise, so the same field, whatever the tiles
    np.testing.assert_allclose(fused['seam'], 1, atol=1e-4)
    assert (fused['step'] < 1e-4).all()
    assert (apart['step'] > 0.5).all()
    assert (apart['seam'] > (1.15 if own == 256 else 1.05)).all()


def test_cells_without_truth_do_not_count():
    prepared, records = world()
    expected = seams.scored(retiling.retile(generator(4.0), prepared, records, TIMES, [0], 16, 0))['seam']
    records[0]['fine'][10:30, 20:40, 0] = np.nan
    # of the variable that lacks them, and of what the coarse field then lacks
    found = seams.scored(retiling.retile(generator(4.0), prepared, records, TIMES, [0], 16, 0))['seam']
    assert np.isfinite(found).all()
    assert (found != expected).all()


def test_fields_are_those_of_downscaling():
    prepared, records = world()
    one, coarse = retiling.in_tiles(generator(1.0), 4), coarse_dataset(prepared, records, TIMES, [0, 2])
    one = one.with_partition(members=2)
    ensemble = Ensemble(one, open_inputs(coarse, one.transform, prepared.statics), prepared.statics, 2, 3)
    found = retiling.generated(ensemble)
    assert found.shape == (2, 2, 48, 64, 2)
    expected = in_memory(ensemble)
    for v, name in enumerate(NAMES):
        np.testing.assert_array_equal(found[..., v].swapaxes(0, 1), expected[name].values)
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1


def test_a_domain_as_small_as_a_patch_has_no_tiles():
    prepared, records = world(16, 16)
    assert retiling.retile(generator(), prepared, records, TIMES, [0], 16, 0) is None
