"""Scripts in processes of their own that are forked from one that has imported almost everything.

Imports take most of the time of a small process. What a forked one does from there on is what `python SCRIPT` does: it
has its own streams, signals, devices and exit status, and may be killed. Use a new process where the imports matter.
"""

import atexit
import gc
import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path

# TensorFlow after the package, which sees to it that its copy of zstd is not that of Zarr
IMPORTED = (
    'numpy', 'jax', 'tensorflow_datasets', 'data_prep.choices', 'data_prep.prepare', 'downscale_jax.run', 'tensorflow',
    # imported by the program when they are used
    *(f'downscale_jax.systems.{name}' for name in ('atmodist', 'diffusion', 'dpdm', 'pairs', 'srgan')),
    'downscale_jax.downscale.output.filling', 'downscale_jax.evaluation.fields',
    'downscale_jax.evaluation.lags.evaluate',
    *(f'data_prep.records.{name}' for name in ('block_means', 'lag_pairs', 'pairs')),
    *(f'downscale_jax.evaluation.measures.{name}' for name in ('examples', 'pointwise', 'spectra')),
    'dask.array', 'distributed', 'netCDF4', 'orbax.checkpoint', 'pint', 'scipy.ndimage', 'scipy.sparse',
    'scipy.spatial', 'tensorboardX',
)  # fmt: skip
DEVICES = '--xla_force_host_platform_device_count'
INSIDE = 'forked'  # the name under which this file runs in a forked process
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(list(IMPORTED))


class Forked:
    """A process as of `subprocess.Popen([python, script, *arguments])`; streams go to files, by default nowhere."""

    def __init__(self, script, *arguments, cwd=None, env=None, stdout=os.devnull, stderr=os.devnull):
        self.args = [str(script), *map(str, arguments)]
        request = {
            'args': self.args,
            'cwd': str(cwd or Path.cwd()),
            'env': {**os.environ, 'JAX_PLATFORMS': 'cpu', **(env or {})},
            'streams': [str(stdout), str(stderr)],
        }
        self.process = CONTEXT.Process(target=runpy.run_path, args=(__file__, {'request': request}, INSIDE))
        self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=None):
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.process.exitcode

    def send_signal(self, number):
        if self.process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)


def flags_of(devices):
    """XLA_FLAGS of a process with so many simulated devices."""
    return f'{os.environ.get("XLA_FLAGS", "")} {DEVICES}={devices}'


def coordinated():
    """The environments of two processes of one distributed run."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    several = {'JAX_COORDINATOR_ADDRESS': address, 'JAX_NUM_PROCESSES': '2'}
    return [{**several, 'JAX_PROCESS_ID': str(index)} for index in (0, 1)]


def measured_beside(script, devices, folder, measure):
    """(what `measure` gives in this process, what the script prints last, as JSON, on so many simulated devices)."""
    out, errors = folder / 'out', folder / 'err'
    process = Forked(script, env={'XLA_FLAGS': flags_of(devices)}, stdout=out, stderr=errors)
    one = measure()
    assert process.wait(timeout=240) == 0, errors.read_text()
    return one, json.loads(out.read_text().splitlines()[-1])


def run_script(args, cwd, env, streams):
    """What the forked process does."""
    for descriptor, name in enumerate(streams, 1):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    gc.freeze()  # what was imported is never searched for garbage
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    import jax

    jax.config.update('jax_platforms', env['JAX_PLATFORMS'])  # all else is as it was when JAX was imported
    if env.get('BLANK_FIGURES'):
        from downscale_jax.evaluation.drawing import style
        from tests.blank import blank_save

        style.save = blank_save()
    sys.argv = args
    sys.path.insert(0, str(Path(args[0]).resolve().parent))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        runpy.run_path(args[0], run_name='__main__')
    finally:
        atexit._run_exitfuncs()


if __name__ == INSIDE:
    run_script(**request)  # noqa: F821  (given by runpy)
