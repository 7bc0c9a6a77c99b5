"""kill -9 in downscaling, cut chunks, a full disk: the same request again fills the same store, byte for byte.

Run as a program, this file fills the store that its argument names, slowly, to be killed.
"""

import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.models.unet import UNet
from downscale_jax.runtime.errors import UserError
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import Params
from downscale_jax.training.optimizer import Phase
from tests.forked import Forked

SIZE, TIMES, MEMBERS = 32, 4, 3
UNITS = 2 * TIMES  # of two members and of one


@cache
def ensemble() -> Ensemble:
    """Of an untrained generator, from random inputs."""
    rng = np.random.default_rng(0)
    axes = {name: (name, 4e3 * np.arange(SIZE), {'units': 'm'}) for name in 'yx'}
    statics = xr.Dataset({'mask': (('y', 'x'), np.ones((SIZE, SIZE), np.int8))}, axes)
    times = np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(TIMES)
    fields = 1 + rng.normal(size=(TIMES, SIZE, SIZE)).astype(np.float32)
    coarse = xr.Dataset({'sit': (('time', 'y', 'x'), fields, {'units': 'm'})}, {'time': times, **axes})
    network = UNet(1, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=2, tail=8, time='blocks')
    task = Diffusion(network, (Phase('main', 1, 0.1),), CosineSchedule(), regression=None)
    plane = np.zeros((1, 8, 8, 1), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), plane, np.tile(plane, 2), np.zeros(1))
    params = jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)
    transform = RefinementTransform(
        target='sit', units='m', inputs=('sit',), input_units=('m',), anomaly=True, bounds=((0.0, 9.0),),
        input_mean=(1.0,), input_std=(1.0,), target_mean=0.0, target_std=0.3,
    )  # fmt: skip
    sampling = Sampling('dpm_solver_sde', 2, 't', 0.0, correlation_hours=36.0)
    settings = GenerationSettings(Partition(tile=32, overlap=8, members=2), sampling)
    generator = FieldGenerator(task, Params(params, None), transform, settings)
    return Ensemble(generator, open_inputs(coarse, transform, statics), statics, MEMBERS, 0)


def fill(path: Path) -> None:
    to_store(ensemble(), path, Source('coarse.nc'))


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / 'out.zarr'
    fill(path)
    return contents(path)


def marks(path):
    return len(list(path.glob('clipped_share/c/*/*[0-9]')))


def chunks(path):
    return sorted(path.glob('sit/c/*/*/0/0'))


def killed_when(path, ready):
    process = Forked(__file__, path)
    while not ready():
        assert process.poll() is None
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_downscaling_ends_with_the_same_bytes(whole, tmp_path):
    path = tmp_path / 'out.zarr'
    killed_when(path, lambda: marks(path) == 2)
    # in the middle of writing a chunk: its file is still under another name
    killed_when(path, lambda: marks(path) >= 3 and list(path.glob('sit/c/**/*.partial')))
    assert 3 <= marks(path) < UNITS
    fill(path)
    assert contents(path) == whole


def test_independent_processes_with_random_kills_fill_one_store(whole, tmp_path):
    path, rng = tmp_path / 'out.zarr', np.random.default_rng(0)
    running = [Forked(__file__, path) for _ in range(2)]
    for _ in range(2):  # kills
        before = marks(path)
        while marks(path) == before and any(process.poll() is None for process in running):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        victim = running.pop(rng.integers(len(running)))
        victim.kill()
        assert victim.wait() in (0, -signal.SIGKILL)
        running.append(Forked(__file__, path))
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert contents(path) == whole
    assert list(tmp_path.iterdir()) == [path]


def test_a_cut_chunk_without_its_mark_is_computed_again(whole, tmp_path):
    path = tmp_path / 'out.zarr'
    fill(path)
    chunk = chunks(path)[-1]
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])
    (path / 'clipped_share' / 'c' / '1' / str(TIMES - 1)).unlink()
    fill(path)
    assert contents(path) == whole


def test_a_full_disk_keeps_what_is_done(whole, tmp_path):
    """On a file system of its own; where none can be mounted, with a limit to the size of files."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    options = ('mount', '-t', 'tmpfs', 'tmpfs', disk, '-o')
    mounted = shutil.which('mount') and not subprocess.run([*options, 'size=100k'], capture_output=True).returncode
    limits, path = resource.getrlimit(resource.RLIMIT_FSIZE), disk / 'out.zarr'
    try:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))  # Python ignores the signal
        with pytest.raises(
            UserError, match=r'cannot write .*out.zarr: .*(left on device|too large); finished fields are kept'
        ):
            fill(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted:
            assert 0 < marks(path) < UNITS
            subprocess.run([*options, 'remount,size=4m'], check=True)
        fill(path)
        assert contents(path) == whole
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted:
            subprocess.run(['umount', '--lazy', disk], check=True)


if __name__ == '__main__':
    replace = Path.replace

    def slowly(path, target):
        time.sleep(0.2)
        return replace(path, target)

    Path.replace = slowly  # so that zarr is met between writing a file aside and renaming it
    fill(Path(sys.argv[1]))
