"""A new system, added as CONTRIBUTING.md says: a task, a `System`, its settings, a config, one line in the table."""

import copy
import json
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax import run
from downscale_jax.describe import memory_of
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import memory
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.settings.kinds import Count, Section, about
from downscale_jax.settings.training import Training
from downscale_jax.systems import SYSTEMS, checks, load
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.storage.migration import versioned
from downscale_jax.systems.system import System
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step, phases

# --- tasks/line.py


@dataclass(frozen=True)
class Line:
    """Least-squares fit of y = slope x."""

    phases: tuple[Phase, ...]

    def init(self, key, batch):
        return states.create({'params': {'line': {'slope': jnp.zeros(())}}}, create(self.phases[0]))

    def losses(self, params, rows):
        loss = jnp.square(params['params']['line']['slope'] * rows['x'] - rows['y'])
        return loss, {'loss': loss}

    def train_step(self, state, batch, key, phase):
        return gradient_step(self.losses, state, batch, phase, 1, 0.0)

    def eval_step(self, state, batch, key):
        return self.losses(state.params, batch)[1]


# --- systems/line.py


class Points:
    """Examples y = slope x, in memory."""

    count = 64

    def __init__(self, slope, seed):
        self.slope, self.seed = slope, seed

    def batch(self, epochs, indices):
        x = (np.asarray(indices) / self.count).astype(np.float32)
        return {'x': x, 'y': self.slope * x}


class FittedLine(WorkDirectory[Line]):
    @property
    def slope(self):
        return float(self.restored('line').params['params']['line']['slope'])


class LineData(Section):
    path: str = about('not used')
    slope: float = about('slope of the line')


class LineEvaluation(Section):
    records: Count = about('records of the test split')


class LineSettings(Section):
    system: str = about('the system')
    seed: int = about('seed')
    data: LineData
    training: Training
    evaluation: LineEvaluation


def evaluate(opened, prepared):
    error = abs(opened.slope - prepared.meta['slope'])
    scores = {'zero': {'error': prepared.meta['slope']}, 'line': {'error': error}}
    write_json(opened.workdir / 'scores.json', scores)
    return scores


number = jax.ShapeDtypeStruct((), np.float32)
SYSTEM: System[Line, FittedLine] = System(
    settings=LineSettings,
    build=lambda config: {'line': Line(phases(config['training']))},
    check=lambda config, training=False: None,
    shapes=lambda config: {'x': number, 'y': number},
    examples=lambda config, prepared, split: Points(np.float32(prepared.meta['slope']), config['seed']),
    initialise=lambda name, tasks, trained=None: tasks[name].init,
    networks=lambda by_task: {'line': by_task['line'].params},
    opened=FittedLine,
    evaluate=evaluate,
)

# --- configs/line.py

CONFIG = {
    'system': 'line',
    'seed': 0,
    'data': {'slope': 2.0, 'path': ''},
    'training': {
        'phases': ('main',),
        'main': {'steps': 40, 'learning_rate': 0.3, 'optimizer': 'sgd', 'schedule': 'constant'},
        **{'batch_size': 8, 'accumulate': 1, 'log_every': 10, 'validate_every': 20, 'validation_batches': 1, 'keep': 1},
    },
    'evaluation': {'records': 3},
}


@pytest.fixture(autouse=True)
def line_in_the_table(monkeypatch):
    monkeypatch.setitem(SYSTEMS, 'line', SYSTEM)


def prepare(data, seed, root):
    """The data of the toy are their slope; a grid is there because work directories hold it."""
    directory = root / 'line'
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / 'prepared.json', {'name': 'line', 'slope': data['slope'], 'idealised': True})
    xr.Dataset({name: (('y', 'x'), np.ones((2, 2))) for name in ('mask', 'cell_area')}).to_netcdf(
        directory / 'statics.nc'
    )
    return Prepared(directory)


def test_a_new_system_is_trained_opened_and_evaluated(tmp_path):
    workdir = tmp_path / 'run'
    run.train(CONFIG, workdir, prepare)
    scores = json.loads((workdir / 'scores.json').read_text())
    assert scores['zero']['error'] == 2
    assert scores['line']['error'] < 0.1
    opened = load(workdir, kind=FittedLine)
    assert opened.slope == pytest.approx(2, abs=0.1)
    assert opened.provenance('line') == 'line, step 40, trained on idealised, simulated data'
    assert json.loads((workdir / 'describe.json').read_text())['parameters'] == {'line': 1}
    (workdir / 'scores.json').unlink()
    run.evaluate(workdir, {'evaluation.records': 1}, prepare)
    assert json.loads((workdir / 'scores.json').read_text()) == scores
    for use in (
        lambda: load(workdir, kind=Downscaler),
        lambda: run.downscale(workdir, {}, run.Downscaling('x.nc', str(tmp_path / 'y.nc'))),
    ):
        with pytest.raises(UserError, match="made by system 'line', which provides no Downscaler"):
            use()
    with pytest.raises(UserError, match='deterministic: there is nothing to calibrate'):
        run.calibrate(workdir, {}, prepare)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('system', 'lime', "system='lime' is unknown: did you mean 'line'"),
        ('evaluation', {'records': 0}, r'evaluation\.records=0: .*at least 1'),
        ('training', {**CONFIG['training'], 'keep': 0}, r'training\.keep=0: .*at least 1'),
    ],
)
def test_settings_are_checked_before_data_are_prepared(tmp_path, key, value, message):
    with pytest.raises(UserError, match=message):
        run.train({**copy.deepcopy(CONFIG), key: value}, tmp_path / 'run', prepare)
    assert not list(tmp_path.iterdir())


def test_a_step_larger_than_memory_is_refused_before_the_work_directory_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, 'check_batch', lambda *_: None)
    monkeypatch.setattr(memory, 'available', lambda: -1)
    with pytest.raises(UserError, match=r'training\.batch_size=8: a step of line needs .* but .* are free'):
        run.train(CONFIG, tmp_path / 'run', prepare)
    assert not (tmp_path / 'run').exists()


def test_the_memory_of_a_step_includes_state_and_batch():
    state, batch = (jax.ShapeDtypeStruct((count,), np.float32) for count in (1000, 500))
    step = jax.jit(lambda state, batch: state + batch.sum(), donate_argnums=0).lower(state, batch).compile()
    temporary, needed = memory_of(step)
    assert needed - temporary == 4 * 1500  # the new state takes the place of the old one


def test_a_description_needs_a_work_directory_of_the_same_settings(tmp_path, monkeypatch):
    workdir, file = tmp_path / 'run', tmp_path / 'file'
    run.describe(CONFIG, workdir)
    write_json(workdir / 'config.json', versioned(CONFIG))
    before = (workdir / 'describe.json').read_bytes()
    file.touch()
    with pytest.raises(UserError, match=r'cannot create the work directory .*: Not a directory'):
        run.describe(CONFIG, file / 'run')
    monkeypatch.setattr(
        sys.modules['downscale_jax.describe'],
        'described',
        lambda config: pytest.fail('described before it was checked'),
    )
    with pytest.raises(UserError, match=r'seed was 0, is now 1'):
        run.describe({**CONFIG, 'seed': 1}, workdir)
    assert (workdir / 'describe.json').read_bytes() == before
    with pytest.raises(UserError, match='is a file'):
        run.describe(CONFIG, file)


def test_only_settings_of_use_may_be_given(tmp_path):
    run.train(CONFIG, tmp_path / 'run', prepare)
    assert load(tmp_path / 'run', {'evaluation.records': 7, 'seed': 0}).config['evaluation'] == {'records': 7}
    with pytest.raises(UserError, match=r'seed=1, but .* was made with 0'):
        load(tmp_path / 'run', {'seed': 1})
    with pytest.raises(UserError, match=r'seed was 0, is now 1'):
        run.train({**CONFIG, 'seed': 1}, tmp_path / 'run', prepare)
