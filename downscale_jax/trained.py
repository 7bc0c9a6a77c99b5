"""A work directory, opened: the tasks of its config, their trained networks, and downscaling from Python."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.downscale.inputs import fine_grid
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.normalize import Transform
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.runtime.settings import flat
from downscale_jax.tasks.diffusion import Diffusion, FirstGuess
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.loop import abstract_state, evaluation_with
from downscale_jax.training.optimizer import Phase
from downscale_jax.training.state import State

Config = dict[str, Any]
Task = Regression | Diffusion
CALIBRATION = 'calibration.json'  # the noise temperature fitted on the validation split
AFTERWARDS = ('sampling', 'evaluation')  # sections that may differ from those a work directory was trained with


def build(config: Config) -> dict[str, Task]:
    """The tasks of a config in the order in which they are trained, later ones building on earlier ones."""
    training, diffusion, model = config['training'], config['diffusion'], config['model']
    for key, valid in {'time': ('input', 'blocks'), 'dtype': ('float32', 'bfloat16')}.items():
        if model[key] not in valid:
            raise UserError(f"model.{key}='{model[key]}': {nearest(model[key], valid)}")
    common = {
        'network': UNet(channels=1, **{**model, 'widths': tuple(model['widths'])}),
        'phases': tuple(Phase(name, **training[name]) for name in training['phases']),
        'accumulate': training['accumulate'],
        'ema_decay': training['ema_decay'],
    }
    stride, patch = common['network'].stride, config['data']['patch']
    if patch % stride:
        raise UserError(
            f'data.patch={patch} is not a multiple of {stride}, the stride of the network: choose one that is'
        )
    Tiling((patch, patch), stride, config['sampling']['tile'], config['sampling']['overlap'])  # raises if they clash
    regression = Regression(**{**common, 'network': common['network'].clone(channels=2)})
    return {
        'regression': regression,
        'diffusion': Diffusion(
            **common,
            schedule=CosineSchedule(tuple(diffusion['signal_rates'])),
            prediction=diffusion['prediction'],
            weighting=diffusion['weighting'],
            regression=regression if diffusion['first_guess'] else None,
        ),
    }


def example_batch(config: Config, transform: Transform) -> dict[str, np.ndarray]:
    """A batch of zeros of the shapes that the pipeline gives, to build networks from."""
    patch = (1, config['data']['patch'], config['data']['patch'])
    return {
        'target': np.zeros((*patch, 1), np.float32),
        'condition': np.zeros((*patch, len(transform.inputs) + 1), np.float32),
        'mask': np.ones((*patch, 1), bool),
    }


def initialiser(
    name: str, tasks: dict[str, Task], checkpoints: Path, examples: Sequence[dict[str, np.ndarray]]
) -> Callable[..., State]:
    """The task's `init(key, batch)`; a diffusion is handed the best regression that was trained before it.

    What that regression's errors in `examples`, batches of training data, are beside what it expects of them sets the
    unit of the residual, so that the diffusion learns to generate fields of unit variance.
    """
    task = tasks[name]
    if isinstance(task, Regression) or task.regression is None:
        return task.init
    state = restore('regression', tasks, checkpoints, examples[0])
    evaluate = evaluation_with(tasks['regression'], jax.random.key(0))
    losses = [evaluate(state, parallel.split_rows(batch), n)['calibration'] for n, batch in enumerate(examples)]
    guess = FirstGuess(jax.device_get(state.ema_params), np.sqrt(np.float32(np.mean(jax.device_get(losses)))))
    return lambda key, batch: task.init(key, batch, guess)


def untrained_initialiser(name: str, tasks: dict[str, Task]) -> Callable[..., State]:
    """As `initialiser`, with an untrained first guess: for shapes and costs."""
    task = tasks[name]
    if isinstance(task, Regression) or task.regression is None:
        return task.init
    first = tasks['regression']
    return lambda key, batch: task.init(key, batch, FirstGuess(first.init(key, batch).params, np.float32(1)))


def restore(name: str, tasks: dict[str, Task], checkpoints: Path, batch: dict[str, np.ndarray]) -> State:
    """State of the checkpoint with the lowest validation loss, UserError where there is none."""
    if not (checkpoints / name).exists():
        raise UserError(f'no checkpoint in {checkpoints / name}: train first (--mode=train, the same --workdir)')
    saved = Checkpoints(checkpoints / name, read_only=True)
    step = saved.best()
    if step is None:
        raise UserError(f'no complete checkpoint in {checkpoints / name}: train first (--mode=train)')
    return saved.restore_state(step, abstract_state(tasks[name], untrained_initialiser(name, tasks), batch, step))


def sampling_of(config: Config) -> Sampling:
    """Raises UserError for values that make no sense. A temperature that is left open counts as 1."""
    values = config['sampling']
    return Sampling(**{**values, 'temperature': values['temperature'] or 1.0})


def fit_request(generator: Generator) -> dict[str, Any]:
    """What a fitted temperature belongs to: network and sampling, but for the split into tiles and members."""
    kept = ('sampler', 'steps', 'spacing', 'eta', 'correlation_hours')
    return {'model': generator.identity, **{k: getattr(generator.sampling, k) for k in kept}}


class Trained:
    """What a work directory holds, with values `given` ('sampling.steps': 20, say) in place of its config's.

    Raises UserError where it holds no trained model, or was trained with another value than one given.
    """

    def __init__(self, workdir: str | Path, given: Mapping[str, Any] | None = None):
        self.workdir = Path(workdir)
        if not (self.workdir / 'config.json').exists():
            raise UserError(f'{workdir} is no work directory (no config.json): train first, or check --workdir')
        self.config: Config = json.loads((self.workdir / 'config.json').read_text())
        for key, value in (given or {}).items():
            section, _, name = key.partition('.')
            there = flat(self.config)[key]
            if section in AFTERWARDS:
                self.config[section][name] = value
            elif there != json.loads(json.dumps(value)):
                raise UserError(f'{workdir} was made with another config ({key} is {there!r} there, {value!r} here)')
        self.tasks = build(self.config)
        self.sampling = sampling_of(self.config)
        self.generator = cache(self._generator)  # restored and compiled once

    @cached_property
    def prepared(self) -> Prepared:
        """Transform and grid, copied beside the checkpoints: the training data are not needed."""
        return Prepared(self.workdir)

    def _generator(self, name: str) -> Generator:
        """The task of that name with its best parameters, at the noise temperature of the config, or 1."""
        transform = self.prepared.transform
        batch = example_batch(self.config, transform)
        state = restore(name, self.tasks, self.workdir / 'checkpoints', batch)
        task = self.tasks[name]
        return Generator(task, task.inference_params(jax.device_get(state)), transform, self.sampling)

    @property
    def last(self) -> str:
        """Name of the task that the others lead up to: the one that downscales."""
        return list(self.tasks)[-1]

    def fitted(self) -> Generator | None:
        """The last task at the noise temperature fitted to it; None where the config gives one or none was fitted.

        Raises UserError where one was fitted to another network or to other values of `sampling`.
        """
        generator, path = self.generator(self.last), self.workdir / CALIBRATION
        if self.config['sampling']['temperature'] or not path.exists():
            return None
        fit = json.loads(path.read_text())
        if fit['request'] != fit_request(generator):
            raise UserError(
                f'the noise temperature in {path} was fitted to another network or with other values of sampling: '
                'fit it anew (--mode=calibrate) or give one (--config.sampling.temperature=1)'
            )
        return generator.at(fit['temperature'])

    def best(self) -> Generator:
        """What downscales: the last task, calibrated where that was done."""
        return self.fitted() or self.generator(self.last)

    def attributes(self, name: str) -> dict[str, Any]:
        """Provenance for what this model generates."""
        meta = self.prepared.meta
        told = (
            'trained on idealised, simulated data' if meta['idealised'] else f'trained on {self.config["data"]["path"]}'
        )
        step = Checkpoints(self.workdir / 'checkpoints' / name, read_only=True).best()
        return {
            'title': f'{self.prepared.transform.target} downscaled by {name}',
            'history': f'{name}, step {step}, {told}',
            'variable': {k: v for k, v in meta['attributes'].items() if k in ('standard_name', 'long_name')},
        }

    def downscale(
        self, dataset: xr.Dataset, members: int = 8, seed: int = 0, statics: xr.Dataset | None = None
    ) -> xr.Dataset:
        """An ensemble of fine fields (member, time, y, x) for every time of a coarse data set.

        `dataset` holds the inputs of training on any grid (`fields.interpolation.ToFine` says how it is brought to
        the fine one); `statics` another fine grid with a `mask`, by default that of training. The same seed gives the
        same members. Raises UserError for missing variables, units that do not convert, grids that do not overlap.
        """
        return ensemble.in_memory(
            self.best(),
            dataset,
            self.prepared.statics if statics is None else fine_grid(statics, 'statics'),
            members,
            seed,
            self.attributes(self.last),
        )
