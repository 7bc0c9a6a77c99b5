"""
Extending: a system
===================

A system is a learning problem with data, training and evaluation. What it must provide stands in one record, `System`;
everything else, such as the loop, checkpoints, logs, resuming and checks of settings, exists already. This page adds
the smallest system that learns something: the lapse rate of a mountain climate.
"""

# %%
# The task
# --------
#
# A task is a frozen dataclass of pure functions. This one fits temperature = offset + slope * height by gradient
# descent; losses stay per example, as everywhere.

import json
import shutil
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from shared_runs import RUNS

import downscale_jax
from data_prep.simulators import mountains
from downscale_jax import run
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.files import write_json
from downscale_jax.settings.kinds import Count, Section, about
from downscale_jax.settings.training import Training
from downscale_jax.systems import SYSTEMS
from downscale_jax.systems.system import System
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step, phases


@dataclass(frozen=True)
class LapseRate:
    """Least-squares fit of temperature against height, both standardised."""

    phases: tuple[Phase, ...]

    def init(self, key, batch):
        line = {'offset': jnp.zeros(()), 'slope': jnp.zeros(())}
        return states.create({'params': {'line': line}}, create(self.phases[0]))

    def losses(self, params, rows):
        line = params['params']['line']
        loss = jnp.square(line['offset'] + line['slope'] * rows['height'] - rows['temperature'])
        return loss, {'loss': loss}

    def train_step(self, state, batch, key, phase):
        return gradient_step(self.losses, state, batch, phase, 1, 0.0)

    def eval_step(self, state, batch, key):
        return self.losses(state.params, batch)[1]


# %%
# The data
# --------
#
# Preparation writes what training and use need into a folder. Examples come from a source with a `count` and a function
# of epochs and indices, so that a resumed run sees the batches that it would have seen.


def prepare(data, seed, root):
    """One month over mountains: cells on land, their height and temperature, and the statistics of both."""
    folder = root / 'lapse_rate'
    folder.mkdir(parents=True, exist_ok=True)
    month = mountains.simulate(seed, rows=60, columns=80, months=1).isel(time=0)
    cells = {'height': month['topography'].values.ravel(), 'temperature': month['t2m'].values.ravel()}
    statistics = {name: [float(values.mean()), float(values.std())] for name, values in cells.items()}
    scaled = {name: (values - values.mean()) / values.std() for name, values in cells.items()}
    np.savez(folder / 'cells.npz', **scaled)
    write_json(folder / 'prepared.json', {'name': 'lapse_rate', 'idealised': True, 'statistics': statistics})
    grid = {name: (('lat', 'lon'), np.ones(month['t2m'].shape)) for name in ('mask', 'cell_area')}
    xr.Dataset(grid, month['t2m'].drop_vars('time').coords).to_netcdf(folder / 'statics.nc')
    return Prepared(folder)


class Cells:
    """Cells as examples, in memory."""

    def __init__(self, folder, seed):
        with np.load(folder / 'cells.npz') as archive:
            self.columns = {name: archive[name].astype(np.float32) for name in archive.files}
        self.count, self.seed = len(self.columns['height']), seed

    def batch(self, epochs, indices):
        return {name: values[np.asarray(indices)] for name, values in self.columns.items()}


# %%
# Settings
# --------
#
# Every key of a config has a type and a meaning. A mistake in it ends in one line, before data are prepared.


class Data(Section):
    path: str = about('not used')


class Evaluation(Section):
    records: Count = about('records of the test split')


class Settings(Section):
    system: str = about('the system')
    seed: int = about('seed')
    data: Data
    training: Training
    evaluation: Evaluation


# %%
# The system
# ----------


class FittedLine(WorkDirectory[LapseRate]):
    """A work directory as its users see it."""

    @property
    def kelvin_per_km(self):
        slope = self.restored('line').params['params']['line']['slope']
        statistics = self.prepared.meta['statistics']
        return 1000 * float(slope) * statistics['temperature'][1] / statistics['height'][1]


def evaluate(opened, prepared):
    """Scores on the test split; here the result itself."""
    scores = {'line': {'kelvin_per_km': opened.kelvin_per_km}}
    write_json(opened.workdir / 'scores.json', scores)
    return scores


number = jax.ShapeDtypeStruct((), np.float32)
SYSTEMS['lapse_rate'] = System(
    settings=Settings,
    build=lambda config: {'line': LapseRate(phases(config['training']))},
    check=lambda config, training=False: None,
    shapes=lambda config: {'height': number, 'temperature': number},
    examples=lambda config, prepared, split: Cells(prepared.directory, config['seed']),
    initialise=lambda name, tasks, trained=None: tasks[name].init,
    networks=lambda by_task: {'line': by_task['line'].params},
    opened=FittedLine,
    evaluate=evaluate,
)

# %%
# Train
# -----

config = {
    'system': 'lapse_rate',
    'seed': 0,
    'data': {'path': ''},
    'training': {
        'batch_size': 64, 'accumulate': 1, 'log_every': 10, 'validate_every': 50, 'validation_batches': 4, 'keep': 2,
        'phases': ('main',),
        'main': {'steps': 200, 'learning_rate': 0.05, 'optimizer': 'sgd', 'schedule': 'constant'},
    },
    'evaluation': {'records': 1},
}  # fmt: skip
workdir = RUNS / 'lapse_rate'
shutil.rmtree(workdir, ignore_errors=True)
run.train(config, workdir, prepare)
model = downscale_jax.load(workdir, FittedLine)
print(f'{model.kelvin_per_km:.2f} K/km,', model.provenance('line'))

# %%
# Look
# ----

cells = Cells(RUNS / 'data' / 'lapse_rate', 0).columns
line = model.restored('line').params['params']['line']
rows = [json.loads(row) for row in (workdir / 'metrics.jsonl').read_text().splitlines()]
steps = [(row['step'], row['train/loss']) for row in rows if 'train/loss' in row]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout='constrained')
left.plot(cells['height'], cells['temperature'], '.', markersize=2, alpha=0.4)
ends = np.array([cells['height'].min(), cells['height'].max()])
left.plot(ends, line['offset'] + line['slope'] * ends, color='#d55e00', label=f'{model.kelvin_per_km:.1f} K/km')
left.set(xlabel='height (standardised)', ylabel='temperature (standardised)')
left.legend(frameon=False)
right.plot(*zip(*steps, strict=True))
right.set(xlabel='step', ylabel='training loss')

# %%
# The slope is not that of the free atmosphere, since high cells also lie elsewhere than low ones. What matters here is
# that the loop trained it, kept checkpoints, and would resume it.
#
# Read on: :doc:`/design` for the rooms of the code, :doc:`/about/contributing` for the steps that make this a part of
# the package: one file each for task, system, settings and config, and one line in the table.
