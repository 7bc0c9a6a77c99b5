"""Shared fixtures and settings of all tests: strict JAX, compilation cache, real files, the command line."""

import gc
import json
import logging
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from scipy.special import sph_harm_y_all

from tests.blank import blank_save
from tests.bucket import bucket
from tests.forked import Forked, flags_of

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
# in the environment, so that subprocesses inherit it
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
# tests spend their time compiling: compile fast, each program in one piece (in 32, that is a third slower), and keep
# compiled programs; without the emitters of fusions, which compile a piece of code for each of them, a training step
# compiles in half the time. Later versions of JAX have no such flag and end where they meet it
EMITTERS = ' --xla_cpu_use_fusion_emitters=false' if version('jaxlib').startswith('0.10.') else ''
os.environ.setdefault(
    'XLA_FLAGS', f'--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1{EMITTERS}'
)
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(Path.home() / '.cache' / 'downscale_jax' / 'xla-tests'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
ROOT = Path(__file__).parents[1]
# scripts started by tests import this checkout, whichever one is installed
os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH'))))
REAL = ROOT.parent / 'shared' / 'data'
# slowest files first, so that two workers finish together
SLOW = (
    'test_main.py',
    'test_grids.py',
    'test_main_systems.py',
    'test_dpdm_main.py',
    'test_pairs_main.py',
    'test_processes.py',
    'test_latents_main.py',
    'models/test_dpdm.py',
    'downscale/output/test_filling.py',
    'downscale/test_restart.py',
    'data_prep/simulators/cirrus/test_cirrus.py',
    'downscale/test_processes.py',
    'test_glaciers_main.py',
    'evaluation/test_fields.py',
    'experiments/test_reconstruction.py',
    'tasks/test_tasks.py',
    'data_prep/test_choices.py',
    'diffusion/test_samplers.py',
    'experiments/cordex_bench/test_predict.py',
    'downscale/test_block_means.py',
    'downscale/test_ensemble.py',
    'experiments/benchmarks/test_devices.py',
    'test_restart.py',
    'fields/datasets/test_forms.py',
    'evaluation/lags/test_evaluate.py',
    'test_rosettes_main.py',
    'data_prep/readers/test_series.py',
    'data_prep/simulators/test_atmosphere.py',
)


def pytest_collection_modifyitems(items):
    """Runs slow files first and the others in their order."""
    slow = {ROOT / 'tests' / name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: slow.get(item.path, len(slow)))


def pytest_collection_finish():
    """Searches for garbage rarely, and never in what the imports of all tests have made, which stays to the end."""
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder of real data files beside the checkout; in CI its absence is a failure."""
    if not REAL.is_dir():
        if os.environ.get('CI') == 'true':
            pytest.fail(f'the real data are missing: {REAL}')
        pytest.skip('no real data beside the checkout')
    return REAL


@pytest.fixture(scope='session')
def start():
    """start(*arguments, devices=1, **streams) -> running process of main.py with simulated devices, blank figures."""

    def call(*arguments, devices=1, **streams):
        env = {'XLA_FLAGS': flags_of(devices), 'BLANK_FIGURES': '1'}
        return Forked('main.py', *arguments, cwd=ROOT, env=env, **streams)

    return call


@pytest.fixture(scope='session')
def run(start, tmp_path_factory):
    """run(*arguments, devices=1) -> finished process of main.py, with its output."""

    def call(*arguments, devices=1):
        folder = tmp_path_factory.mktemp('streams')
        out, errors = folder / 'out', folder / 'err'
        process = start(*arguments, devices=devices, stdout=out, stderr=errors)
        process.wait()
        return subprocess.CompletedProcess(process.args, process.returncode, out.read_text(), errors.read_text())

    return call


@pytest.fixture(scope='session')
def run_anew():
    """run_anew(*arguments) -> finished process of main.py that imports everything itself, as a user's does."""

    def call(*arguments, devices=1):
        command = [sys.executable, 'main.py', *map(str, arguments)]
        env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags_of(devices)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)

    return call


@pytest.fixture(scope='session')
def error_line(run):
    """error_line(*arguments, devices=1) -> the only line that main.py prints to stderr for a user's mistake."""

    def call(*arguments, devices=1):
        done = run(*arguments, devices=devices)
        assert done.returncode == 2, (done.returncode, done.stderr)
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith('error: ')
        return lines[0]

    return call


@pytest.fixture
def objects(monkeypatch):
    """The objects of s3://bucket, a bucket on a local server."""
    with bucket(monkeypatch) as held:
        yield held


@pytest.fixture
def blank_figures(monkeypatch):
    """Figures of this test are empty."""
    from downscale_jax.evaluation.drawing import style

    monkeypatch.setattr(style, 'save', blank_save())


SINCE_THE_FIRST_VERSION = (
    'training.joint', 'diffusion.level', 'model.unet.turns', 'model.biases', 'content.scale', 'generator', 'one_pass',
    'distillation', 'diffusion.cross_fitting', 'diffusion.regression_steps_share',
)  # fmt: skip


@pytest.fixture(scope='session')
def harmonic_sum():
    """SciPy as an oracle for spherical harmonics: `sum_of_harmonics`."""
    return sum_of_harmonics


def sum_of_harmonics(coefficients: np.ndarray, theta: np.ndarray, lam: np.ndarray) -> tuple[np.ndarray, ...]:
    """(f, df/dtheta, df/dlambda / sin theta) [H, W] of a real field, from complex coefficients [m, l] for m >= 0.

    theta [H] are colatitudes other than 0 and pi, lam [W] longitudes, in radians.
    """
    top = coefficients.shape[1] - 1
    values, slopes = sph_harm_y_all(top, top, theta[:, None], lam[None], diff_n=1)  # [l, m, H, W], [.., 2]
    twice = np.where(np.arange(top + 1) > 0, 2, 1)[:, None] * coefficients  # -m is the conjugate of m

    def real_sum(basis):
        return np.einsum('ml,lm...->...', twice, basis[:, : top + 1]).real

    return real_sum(values), real_sum(slopes[..., 0]), real_sum(slopes[..., 1]) / np.sin(theta)[:, None]


@pytest.fixture(scope='session')
def first_version():
    """first_version(config) -> what config.json of version 0.1.0 held for one like those of configs/."""

    def call(config):
        config = json.loads(json.dumps(config))
        old = {key: value for key, value in config.items() if key != 'version'}
        data, new = old['data'], config['evaluation']
        for path in SINCE_THE_FIRST_VERSION:
            *sections, name = path.split('.')
            section = old
            for inner in sections:
                section = section.get(inner, {})
            section.pop(name, None)
        for phase in old['training'].values():
            if isinstance(phase, dict) and phase.get('optimizer') == 'adamw':
                phase.pop('beta2', None)
        if 'bounds' in data:
            data['bounds'] = one_pair(data['bounds'])
        if 'temperature' in old.get('sampling', {}):
            old['sampling']['temperature'] = old['sampling']['temperature'] or 0.0
        records = new.get('records') or 0
        of_ensemble = {'members': new.get('members'), 'fit_days': new.get('calibration_records')}
        if config['system'] == 'diffusion':
            own = {'days': records, 'window': new['window'], 'regimes': new['regimes'][0], 'ice': new['zones'][0][1]}
            old['evaluation'] = {**own, **of_ensemble}
        if config['system'] == 'dpdm':
            old['evaluation'] = {**of_ensemble, 'times': records, **{key: new[key] for key in ('baselines', 'places')}}
        if config['system'] == 'srgan':
            old['evaluation'] = {'times': records, 'places': new['places']}
        return old

    return call


@pytest.fixture(scope='session')
def as_first_version(first_version):
    """as_first_version(workdir) rewrites config.json and prepared.json as version 0.1.0 wrote them."""

    def call(workdir):
        config, prepared = (json.loads((workdir / f'{name}.json').read_text()) for name in ('config', 'prepared'))
        prepared['transform']['bounds'] = one_pair(prepared['transform']['bounds'])
        (workdir / 'config.json').write_text(json.dumps(first_version(config)))
        (workdir / 'prepared.json').write_text(json.dumps(prepared))

    return call


def one_pair(bounds):
    """Bounds that all variables share, as version 0.1.0 held them."""
    return bounds[0] if bounds[1:] == bounds[:-1] else bounds


@pytest.fixture(autouse=True)
def package_logger():
    """Undoes `messages.to_terminal`, so that the log of every test can be captured."""
    yield
    logger = logging.getLogger('downscale_jax')
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
