"""Lines between tiles by hand; a generator whose tiles show, and one whose tiles do not."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.ensemble import unit_of
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation import seams, tile_seams
from downscale_jax.evaluation.bootstrap import total
from downscale_jax.evaluation.evaluate import coarse_dataset
from downscale_jax.fields.block_means import BlockMeans
from downscale_jax.fields.grid import cell_areas_km2
from downscale_jax.fields.log_transform import LogTransform

FACTOR, NAMES = 2, ('a', 'b')
TIMES = np.array(['2001-01-15', '2001-02-15', '2001-03-15'], 'datetime64[ns]')
SAMPLING = Sampling('ddim', 3, 't', 0.0, temperature=1.0, correlation_hours=0.0, tile=256, overlap=64, members=5)


@dataclass(frozen=True)
class Task:
    """Noise, and `step` times the place within the tile: a jump where one tile hands over to the next."""

    step: float
    network: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stride=4, channels=2))
    draws: bool = True

    def sample(self, params, condition, valid, noise, apply, solver):
        def ramp(x):
            return x + self.step * jnp.arange(x.shape[-2])[:, None] + self.step * jnp.arange(x.shape[-3])[:, None, None]

        return jnp.where(valid, apply(ramp, noise(0)), 0)


def grid(rows, columns, step=0.1):
    coords = {'lat': 30 + step * np.arange(rows), 'lon': step * np.arange(columns)}
    found = xr.Dataset({'mask': (('lat', 'lon'), np.ones((rows, columns), bool))}, coords)
    return found.assign(cell_area=(('lat', 'lon'), cell_areas_km2(found)))


def generator(step=0.0, **sampling):
    values = LogTransform(NAMES, ('K', 'm'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 0.0)
    means = BlockMeans(values, FACTOR, 'physical', False, (-np.inf, np.inf), (1.0, 1.0))
    one = Generator(Task(step), np.float32(0), means, SAMPLING)
    return one.changed(**sampling) if sampling else one


def world(rows=48, columns=64):
    """Prepared data and their records."""
    statics, rng, means = grid(rows, columns), np.random.default_rng(0), generator().transform
    records = [{'fine': rng.normal(size=(rows, columns, 2)).astype('f4')} for _ in TIMES]
    area = statics['cell_area'].values[..., None].astype('f4')
    mask = statics['mask'].values
    return SimpleNamespace(block_means=means, refinement=means, statics=statics, mask=mask, area=area), records


def test_lines_of_a_periodic_grid():
    """48 columns continued by 4 on either side: tiles of 16 begin at -4, 4, 16, 28, 36 of the grid's own columns."""
    one = Generator(Task(0), np.float32(0), generator().transform, Sampling(
        'ddim', 3, 't', 0.0, temperature=1.0, correlation_hours=0.0, tile=16, overlap=4, members=5))  # fmt: skip
    globe, part = grid(12, 48, 7.5), grid(12, 48, 1.0)
    rows, columns = tile_seams.lines_of(one, globe).borders
    assert rows.size == 0
    # they overlap from 4 to 12, 16 to 20, 28 to 32, 36 to 44
    assert columns.tolist() == [4, 8, 12, 16, 18, 20, 28, 30, 32, 36, 40, 44]
    # elsewhere at 0, 12, 20, 32: they overlap from 12 to 16, 20 to 28, 32 to 36
    assert tile_seams.lines_of(one, part).borders[1].tolist() == [12, 14, 16, 20, 24, 28, 32, 34, 36]


def test_a_store_tells_its_tile():
    """Made with less memory, in tiles of 136 of 160 columns and rows; a store that does not tell has that of 256."""

    def lines(**attrs):
        return tile_seams.lines_of(generator().changed(**unit_of(attrs)), grid(160, 160))

    found = lines(unit='{"tile": 136, "members": 2}')
    assert [borders.tolist() for borders in found.borders] == [[24, 80, 136]] * 2
    for unit in ('{}', '{"tile": 256, "members": 2}'):
        assert not np.concatenate(lines(unit=unit).borders).size
    assert not np.concatenate(lines().borders).size


@pytest.mark.parametrize(
    ('stride', 'patch', 'tile', 'overlap'),
    [(16, 80, 80, 16), (8, 40, 40, 8), (8, 128, 128, 32), (16, 128, 128, 32), (16, 70, 80, 16), (8, 16, 32, 8)],
)
def test_tiles_as_large_as_a_patch(stride, patch, tile, overlap):
    one = generator()
    one.task.network.stride = stride
    found = tile_seams.in_patches(one, patch).sampling
    assert (found.tile, found.overlap, found.members) == (tile, overlap, tile_seams.MEMBERS)


def test_tiles_of_any_patch_are_valid():
    one = generator()
    for stride in (1, 2, 4, 8, 16, 32):
        one.task.network.stride = stride
        for patch in range(1, 300):
            found = tile_seams.in_patches(one, patch).sampling
            Tiling((1000, 1000), stride, found.tile, found.overlap)  # raises
            assert found.tile >= patch


def test_parts_are_shifted_by_half_a_tile():
    assert tile_seams.parts((160, 240), 80, 10) == [
        (slice(0, 120), slice(0, 200)), (slice(40, 160), slice(40, 240))
    ]  # fmt: skip
    # of 60 rows less 20 there would be one tile of 40
    assert tile_seams.parts((60, 80), 40, 10) == [(slice(0, 60), slice(0, 60)), (slice(0, 60), slice(20, 80))]
    assert tile_seams.parts((50, 40), 40, 10) == [(slice(0, 50), slice(0, 40))]
    # whole blocks: half of 40 is 16 or 24 in blocks of 8
    assert {part[0].start % 8 for part in tile_seams.parts((160, 240), 40, 8)} == {0}


def test_tiles_that_show_and_tiles_that_do_not():
    prepared, records = world()
    fused, apart = (
        tile_seams.look(generator(step), prepared, records, TIMES, [0, 2], 16, 0) for step in (0.0, 4.0)
    )  # fmt: skip
    for found in (fused, apart):
        assert {key: found[key] for key in ('tile', 'overlap', 'times', 'members')} == {
            'tile': 16, 'overlap': 4, 'times': 2, 'members': 2
        }  # fmt: skip
        assert [part['begins'] for part in found['parts']] == [[0, 0], [8, 8]]
    np.testing.assert_allclose([fused['seam'], *(part['seam'] for part in fused['parts'])], 1, atol=0.06)
    for seam in (apart['seam'], *(part['seam'] for part in apart['parts'])):
        assert (seam > 1.3).all()
    # the truth along the same lines, by the origins of the tiles in 40 rows and 56 columns
    weight, sums = prepared.area[..., 0].astype(float), []
    for begin in (0, 8):
        here = slice(begin, begin + 40), slice(begin, begin + 56)
        origins = [(r, c) for r in (0, 12, 24) for c in (0, 8, 20, 32, 40)]
        lines = seams.lines((40, 56), np.array(origins), (16, 16))
        sums.append([seams.day_sums(records[i]['fine'][here][..., 0], weight[here], lines) for i in (0, 2)])
    expected = [float(seams.summarise(total(one))['seam']) for one in (sums[0], sums[1], [*sums[0], *sums[1]])]
    found = [part['truth'][0] for part in apart['parts']] + [apart['truth'][0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fields_are_those_of_downscaling():
    prepared, records = world()
    one, coarse = tile_seams.in_patches(generator(1.0), 16), coarse_dataset(prepared, records, TIMES, [0, 2])
    found = tile_seams.generated(one, coarse, prepared.statics, 3)
    assert found.shape == (2, 2, 48, 64, 2)
    expected = ensemble.in_memory(one, coarse, prepared.statics, 2, 3, {})
    for v, name in enumerate(NAMES):
        np.testing.assert_array_equal(found[..., v].swapaxes(0, 1), expected[name].values)
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1


def test_a_domain_as_small_as_a_patch_has_no_tiles():
    prepared, records = world(16, 16)
    assert tile_seams.look(generator(), prepared, records, TIMES, [0], 16, 0) == {}
