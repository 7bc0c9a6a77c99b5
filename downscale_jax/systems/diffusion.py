"""Super-resolution by diffusion beside, and from, a regression (docs/systems/sea_ice.md)."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.workdir import Config, Init, Trained
from downscale_jax.tasks.diffusion import Diffusion, FirstGuess
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.loop import evaluation_with
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

Tasks = dict[str, Regression | Diffusion]
CALIBRATION = 'calibration.json'  # the noise temperature fitted on the validation split


def build(config: Config) -> Tasks:
    """The tasks in the order in which they are trained. Raises UserError for values that do not go together."""
    training, diffusion, model = config['training'], config['diffusion'], config['model']
    for key, valid in {'time': ('input', 'blocks'), 'dtype': ('float32', 'bfloat16')}.items():
        if model[key] not in valid:
            raise UserError(f"model.{key}='{model[key]}': {nearest(model[key], valid)}")
    common = {
        'network': UNet(channels=1, **{**model, 'widths': tuple(model['widths'])}),
        'phases': phases(training),
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


def shapes(config: Config) -> dict[str, tuple[tuple[int, ...], Any]]:
    """(shape, dtype) of an example's arrays."""
    data = config['data']
    patch = (data['patch'], data['patch'])
    return {
        'target': ((*patch, 1), np.float32),
        'condition': ((*patch, len(data['inputs']) + 1), np.float32),
        'mask': ((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """What batches are drawn from; flipped in training only."""
    data = config['data']
    flips = data['flips'] and split == 'train'
    return Patches(prepared, split, data['patch'], data['patches_per_record'], flips, config['seed'])


def initialiser(name: str, tasks: Tasks, trained: Trained | None = None) -> Init:
    """The task's `init(key, batch)`; a diffusion is handed the best regression that was trained before it.

    What that regression's errors in batches of training data are beside what it expects of them sets the unit of the
    residual, so that the diffusion learns to generate fields of unit variance. Without `trained` the first guess is
    untrained: for shapes and costs.
    """
    task = tasks[name]
    if isinstance(task, Regression) or task.regression is None:
        return task.init
    first = task.regression
    if trained is None:
        return lambda key, batch: task.init(key, batch, FirstGuess(first.init(key, batch).params, np.float32(1)))
    state, evaluate = trained.restored('regression'), evaluation_with(first, jax.random.key(0))
    ratios = [evaluate(state, parallel.split_rows(batch), n)['calibration'] for n, batch in enumerate(trained.batches)]
    guess = FirstGuess(jax.device_get(state.ema_params), np.sqrt(np.float32(np.mean(jax.device_get(ratios)))))
    return lambda key, batch: task.init(key, batch, guess)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by the name of the network, the main one last."""
    return {'regression': states['regression'].params, 'unet': states['diffusion'].params}


def check(config: Config, training: bool = False) -> None:
    """Raises UserError for values of data, sampling and evaluation that would fail only after training."""
    data, evaluation = config['data'], config['evaluation']
    sampling_of(config)
    limits(data['bounds'], (data['target'],))  # raises
    wrong = []
    if data['patches_per_record'] < 1:
        wrong.append(f'data.patches_per_record={data["patches_per_record"]}: at least 1 is needed')
    if evaluation['window'] < 4 or evaluation['window'] % 2:
        wrong.append(f'evaluation.window={evaluation["window"]}: an even number of cells, at least 4, is needed')
    if evaluation['members'] < 2:
        wrong.append(f'evaluation.members={evaluation["members"]}: an ensemble has at least 2')
    if list(evaluation['regimes']) != sorted(set(evaluation['regimes'])):
        wrong.append(f'evaluation.regimes={evaluation["regimes"]}: rising edges are needed')
    if min(evaluation['days'], evaluation['fit_days']) < 0:
        wrong.append(f'evaluation.days={evaluation["days"]}, fit_days={evaluation["fit_days"]}: 0 or more are needed')
    if wrong:
        raise UserError('; '.join(wrong))


def sampling_of(config: Config) -> Sampling:
    """Raises UserError for values that make no sense. A temperature that is left open counts as 1."""
    values = config['sampling']
    return Sampling(**{**values, 'temperature': values['temperature'] or 1.0})


def fit_request(generator: Generator) -> dict[str, Any]:
    """What a fitted temperature belongs to: network and solver. Tiles and the noise's memory leave the spread alone."""
    kept = ('sampler', 'steps', 'spacing', 'eta')
    return {'model': generator.identity, **{k: getattr(generator.sampling, k) for k in kept}}


class Calibrated(Downscaler):
    """A trained diffusion, at the noise temperature fitted to it."""

    def fitted(self) -> Generator | None:
        """The last task at the noise temperature fitted to it; None where the config gives one or none was fitted.

        Raises UserError where one was fitted to another network or to other values of `sampling`.
        """
        generator, path = self.generator(self.last), self.workdir / CALIBRATION
        if self.config['sampling']['temperature'] or not path.exists():
            return None
        fit = json.loads(path.read_text())
        if fit_request(generator).items() - fit['request'].items():
            raise UserError(
                f'the noise temperature in {path} was fitted to another network or with other values of sampling: '
                'fit it anew (--mode=calibrate) or give one (--config.sampling.temperature=1)'
            )
        return generator.changed(temperature=fit['temperature'])

    def best(self) -> Generator:
        """What downscales: the last task, calibrated where that was done."""
        return self.fitted() or self.generator(self.last)


Opened = Calibrated
