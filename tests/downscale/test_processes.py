"""Units shared among devices and processes: the same store, byte for byte; a mistake in one process ends all.

Run as a program, this file is one process that fills the store which its argument names; with `seed=1`, of that seed;
with `few`, of two units around the globe; with `left`, what is left of one, a single unit; with `apart`, the second of
two reads what is left to do only when the first has and waits, or has done its share. What main.py does around it is
done here too.
"""

import shutil
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
import zarr

from downscale_jax.diffusion.discrete import DiscreteSchedule
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import exit_on_user_error
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import FirstGuess, Params
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.optimizer import Phase
from tests.forked import Forked, coordinated, flags_of

NAMES, UNITS, FACTOR = ('a', 'b'), ('K', '1'), 4
TIMES, MEMBERS, FEW = 3, 5, 3
PLANE = {'y': 1e3 * np.arange(24), 'x': 1e3 * np.arange(40)}
MARKS = 9  # units: 3 times and groups of 2, 2 and 1 members, which divide over neither 2 nor 4 devices


def fill(path: Path, seed: int = 0, few: bool = False) -> FieldGenerator:
    """An untrained generator of two variables, in two tiles, with random inputs and a corner missing; `few`: two units
    of a time, in ten tiles of a grid around the globe."""
    rng, zeros, ones = np.random.default_rng(0), (0.0, 0.0), (1.0, 1.0)
    unet = UNet(2, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=2, tail=8, time='blocks')
    phases = (Phase('main', 1, 0.1),)
    regression = Regression(unet.clone(channels=4), phases, hidden=2)
    task = Diffusion(unet, phases, DiscreteSchedule(), regression=regression, hidden=2)
    batch = {'condition': np.zeros((1, 8, 8, 5), np.float32), 'target': np.zeros((1, 8, 8, 2), np.float32)}

    def drawn(init):
        shapes = jax.eval_shape(init, jax.random.key(0), batch).params
        return jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)

    params = Params(drawn(task.init), FirstGuess(drawn(regression.init), np.float32(0.5)))
    values = Standardisation(NAMES, UNITS, zeros, ones, zeros, ones)
    transform = BlockMeans(values, FACTOR, 'physical', True, ((-99.0, 99.0), (0.0, 9.0)), ones)
    sampling = Sampling('dpm_solver_sde', 3, 't', 0.0, correlation_hours=36.0)
    settings = GenerationSettings(Partition(tile=24, overlap=8, members=2), sampling, conserve=True)
    axes = {'lat': 4.0 * np.arange(-20, 20), 'lon': 5.0 * np.arange(72)} if few else PLANE
    times, members = (1, FEW) if few else (TIMES, MEMBERS)
    blocks = {name: at.reshape(-1, FACTOR).mean(1) for name, at in axes.items()}
    mask = np.ones([*map(len, axes.values())], np.int8)
    mask[:6, :9] = 0
    shape = (times, *map(len, blocks.values()))
    fields = {n: (('time', *axes), rng.normal(1, 1, shape), {'units': u}) for n, u in zip(NAMES, UNITS, strict=True)}
    days = np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(times)

    def with_units(at):
        return {name: (name, values, {'units': 'degrees' if few else 'm'}) for name, values in at.items()}

    coarse = xr.Dataset(fields, {'time': days, **with_units(blocks)})
    statics = xr.Dataset({'mask': (tuple(axes), mask)}, with_units(axes))
    generator = FieldGenerator(task, params, transform, settings)
    ensemble = Ensemble(generator, open_inputs(coarse, transform, statics), statics, members, seed)
    to_store(ensemble, path, Source('coarse.nc'))
    return generator


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


def start(path, devices, *settings, env=None):
    """One process with so many simulated devices."""
    # NPROC: XLA has as many threads as there are cores or simulated devices, whichever are more, and Eigen splits
    # the sums of small convolutions among them: other threads, other last bits
    env = {'XLA_FLAGS': flags_of(devices), 'NPROC': '4', **(env or {})}
    errors = path.with_suffix(f'.{env.get("JAX_PROCESS_ID", 0)}.err')
    errors.unlink(missing_ok=True)
    return Forked(__file__, path, *settings, env=env, stderr=errors), errors


def start_two(path, devices, settings=(), of_second=()):
    """Two processes with so many devices each; what only the second is told."""
    both = zip(((), of_second), coordinated(), strict=True)
    return [start(path, devices, *settings, *more, env=env) for more, env in both]


def end(started):
    """[(exit status, what was told on stderr)] of all; none lives on."""
    try:
        return [(process.wait(timeout=120), errors.read_text()) for process, errors in started]
    finally:
        for process, _ in started:
            process.kill()
            process.wait()


@pytest.fixture(scope='module')
def stores(tmp_path_factory):
    """{how: its store}."""
    root = tmp_path_factory.mktemp('processes')
    paths = {how: root / f'{how}.zarr' for how in ('one', 'four', 'two')}
    told = end([start(paths['one'], 1), start(paths['four'], 4), *start_two(paths['two'], 2, ('apart',))])
    assert [status for status, _ in told] == [0] * 4, told
    return paths


@pytest.mark.parametrize('how', ['four', 'two'], ids=['four devices', 'two processes'])
def test_the_split_over_devices_and_processes_does_not_matter(stores, how):
    expected, found = contents(stores['one']), contents(stores[how])
    assert set(found) == set(expected)
    assert sum(name.startswith('clipped_share/c/') for name in found) == MARKS
    with xr.open_zarr(stores['one'], consolidated=False) as one, xr.open_zarr(stores[how], consolidated=False) as other:
        assert np.isfinite(one['clipped_share'].values).all()
        for name in (*NAMES, 'clipped_share'):
            expected_bits, bits = (dataset[name].values.view(np.uint32) for dataset in (one, other))
            np.testing.assert_array_equal(bits, expected_bits, err_msg=name)
        inside = one['a'].values[..., 6:, 9:].reshape(MEMBERS * TIMES, -1)
        assert len(np.unique(inside, axis=0)) == MEMBERS * TIMES
    assert found == expected


def test_devices_that_share_the_tiles_of_a_unit_give_the_same_bytes(tmp_path):
    """Ten tiles, four at a time, around the globe."""
    one, four = (tmp_path / f'{name}.zarr' for name in ('one', 'four'))
    told = end([start(one, 1, 'few'), start(four, 4, 'few')])
    assert [status for status, _ in told] == [0] * 2, told
    expected = contents(one)
    assert sum(name.startswith('clipped_share/c/') for name in expected) == 2
    assert contents(four) == expected
    with xr.open_zarr(four, consolidated=False) as dataset:
        assert np.isfinite(dataset['a'].values[..., 6:, 9:]).all()
        assert dataset['a'].isel(member=0).values[..., 6:, 9:].std() > 0.1


def test_the_unit_that_a_kill_left_is_shared_by_tiles(stores, tmp_path):
    """Two tiles, all at once; the other units were computed each on a device."""
    path = tmp_path / 'out.zarr'
    shutil.copytree(stores['four'], path)
    (path / 'clipped_share' / 'c' / '1' / '2').unlink()
    (path / 'a' / 'c' / '1' / '2' / '0' / '0').unlink()
    told = end([start(path, 4, 'left')])
    assert told[0][0] == 0, told
    assert contents(path) == contents(stores['four'])


@pytest.mark.parametrize(
    ('begun', 'settings', 'of_second'), [(True, ('seed=1',), ()), (False, (), ('seed=1',))], ids=['both', 'second']
)
def test_another_request_ends_all_processes_with_a_line(stores, tmp_path, begun, settings, of_second):
    path = tmp_path / 'out.zarr'
    if begun:
        shutil.copytree(stores['one'], path)
    before = contents(path)
    told = end(start_two(path, 1, settings, of_second))
    assert [status for status, _ in told] == [2, 2], told
    assert all(line.startswith('error: ') and line.count('\n') == 1 for _, line in told), told
    assert any('seed: 0 in the store, 1 requested' in line for _, line in told)
    if begun:
        assert contents(path) == before


def keep_apart(path):
    """Patches this process: the first tells when it meets the other again after opening the store, the second opens it
    only then."""
    opened, told = zarr.open_group, path.with_suffix('.told')
    first, modes = jax.process_index() == 0, []

    def open_group(*args, mode, **options):
        modes.append(mode)
        while mode == 'r+' and not first and not told.exists():
            time.sleep(0.01)
        return opened(*args, mode=mode, **options)

    def telling(meet):
        def meeting(*args):
            if first and 'r+' in modes:
                told.touch()
            return meet(*args)

        return meeting

    patches = {name: telling(getattr(parallel, name)) for name in ('barrier', 'any_process', 'broadcast_from_first')}
    for module, name, patch in [(zarr, 'open_group', open_group), *((parallel, *each) for each in patches.items())]:
        setattr(module, name, patch)


if __name__ == '__main__':
    parallel.initialize()
    if 'apart' in sys.argv:
        keep_apart(Path(sys.argv[1]))
    with exit_on_user_error():
        generator = fill(Path(sys.argv[1]), seed=int('seed=1' in sys.argv), few='few' in sys.argv)
        # the program that ran, and no other
        ((_, split, *_),) = generator._programs
        shared = bool({'few', 'left'} & {*sys.argv}) and jax.local_device_count() > 1
        assert split == ('tiles' if shared else 'units')
