"""Super-resolution by a generator, a diffusion or in fewer evaluations, from a regression as first guess
(docs/systems/sea_ice.md)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from downscale_jax.diffusion.schedule import CosineSchedule, Schedule
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.settings.diffusion import SeaIceSettings
from downscale_jax.systems.calibrated import Calibrated, calibrate
from downscale_jax.systems.checks import check_multiple, check_places
from downscale_jax.systems.downscaler import evaluate
from downscale_jax.systems.system import Config, Init, Shapes, System, Trained
from downscale_jax.tasks.cross_fitted import CrossFitted
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.distilled import Distilled
from downscale_jax.tasks.first_guess import FirstGuess
from downscale_jax.tasks.one_pass import OnePass
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.loop import eval_program
from downscale_jax.training.optimizer import Phase, phases
from downscale_jax.training.state import State

GeneratorTask = Diffusion | OnePass
DiffusionTask = Regression | GeneratorTask


def build(config: Config) -> dict[str, DiffusionTask]:
    """The regression and then the generator. Raises UserError for settings that contradict."""
    return tasks_of(config, targets=1)


def tasks_of(config: Config, targets: int) -> dict[str, DiffusionTask]:
    """`build` for so many target variables."""
    training, diffusion, model = config['training'], config['diffusion'], config['model']
    common = {
        'network': UNet(channels=targets, **{**model, 'widths': tuple(model['widths'])}),
        'phases': phases(training),
        'accumulate': training['accumulate'],
        'ema_decay': training['ema_decay'],
    }
    stride, patch = common['network'].stride, config['data']['patch']
    check_multiple('data.patch', patch, stride, 'the stride of the network')
    Tiling((patch, patch), stride, config['sampling']['tile'], config['sampling']['overlap'])  # raises if they clash
    regression = regression_of(diffusion, {**common, 'network': common['network'].clone(channels=2 * targets)})
    schedule = CosineSchedule(tuple(diffusion['signal_rates']), diffusion['level'])
    return {'regression': regression, **generators_of(config, regression, schedule, common)}


def regression_of(section: Mapping[str, Any], fields: Mapping[str, Any]) -> Regression:
    """The regression that the section `diffusion` of the config describes."""
    parts, steps = section['cross_fitting'], shortened(fields['phases'], section['regression_steps_share'])
    if parts == 1:
        return Regression(**{**fields, 'phases': steps})
    apart = tuple(replace(phase, per_network=True) for phase in steps)
    return CrossFitted(**{**fields, 'phases': apart}, parts=parts)


def generators_of(
    config: Config, regression: Regression, schedule: Schedule, common: Mapping[str, Any], name: str = 'diffusion'
) -> dict[str, GeneratorTask]:
    """The generator that `config.generator` names, last, after the diffusion `name` where that is its teacher; `common`
    are the fields that they share with the regression."""
    if config['generator'] == 'one_pass':
        options = dict(config['one_pass'])
        shorter = shortened(common['phases'], options.pop('steps_share'))
        return {'one_pass': OnePass(**{**common, 'phases': shorter}, regression=regression, **options)}
    section = config['diffusion']
    learnt = {
        'schedule': schedule,
        'prediction': section['prediction'],
        'weighting': section['weighting'],
        'regression': regression if section['first_guess'] else None,
    }
    generators: dict[str, GeneratorTask] = {name: Diffusion(**common, **learnt)}
    if config['generator'] == 'distilled':
        numbers = dict(config['distillation'])
        shorter = shortened(common['phases'], numbers.pop('steps_share'))
        generators['distilled'] = Distilled(**{**common, 'phases': shorter}, **learnt, **numbers)
    return generators


def shortened(given: tuple[Phase, ...], share: float) -> tuple[Phase, ...]:
    """Phases of training with a share of their steps."""
    return tuple(replace(phase, steps=max(1, round(share * phase.steps))) for phase in given)


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    check_places(config)


def shapes(config: Config) -> Shapes:
    """A normalised fine field, the inputs on its grid with a mask channel, and the mask of valid cells."""
    data = config['data']
    patch = (data['patch'], data['patch'])
    return {
        'target': jax.ShapeDtypeStruct((*patch, 1), np.float32),
        'condition': jax.ShapeDtypeStruct((*patch, len(data['inputs']) + 1), np.float32),
        'mask': jax.ShapeDtypeStruct((*patch, 1), bool),
        **part_shape(config),
    }


def part_shape(config: Config) -> Shapes:
    """The part of the training split that an example belongs to, where the first guess depends on it."""
    return {'part': jax.ShapeDtypeStruct((), np.int32)} if config['diffusion']['cross_fitting'] > 1 else {}


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """Patches of one split, flipped in training only."""
    return patches(config, prepared, split, flips=config['data']['flips'] and split == 'train')


def patches(config: Config, prepared: Prepared, split: str, flips: bool) -> Patches:
    """Patches of one split, with the part that each belongs to where the first guess depends on it."""
    data, parts = config['data'], config['diffusion']['cross_fitting']
    return Patches(prepared, split, data['patch'], data['patches_per_record'], flips, config['seed'], parts)


def initialise(name: str, tasks: Mapping[str, DiffusionTask], trained: Trained | None = None) -> Init:
    """See `system.Initialise`: a generator starts from the best state of the regression, its first guess, and one that
    is distilled from that of the diffusion.

    The unit of the residual is the regression's expected error times a scale, the root of the mean ratio of squared to
    expected squared error in batches of training data: the model then learns to generate fields of unit variance.
    """
    task = tasks[name]
    if isinstance(task, Distilled):
        return distilled_from(task, list(tasks)[list(tasks).index(name) - 1], tasks, trained)
    if isinstance(task, Regression) or task.regression is None:
        return task.init
    first = task.regression
    if trained is None:
        return lambda key, batch: task.init(key, batch, FirstGuess(first.init(key, batch).params, np.float32(1)))
    state, evaluate = trained.restored('regression'), eval_program(first, 0)
    ratios = [
        evaluate(state, parallel.split_rows(batch), n)['calibration'] for n, batch in enumerate(trained.batches())
    ]
    guess = FirstGuess(jax.device_get(state.ema_params), np.sqrt(np.float32(np.mean(jax.device_get(ratios)))))
    return Partial(lambda guess, key, batch: task.init(key, batch, guess), guess)


def distilled_from(task: Distilled, teacher: str, tasks: Mapping[str, DiffusionTask], trained: Trained | None) -> Init:
    """`initialise` of a task that is distilled from the task `teacher`."""
    other = tasks[teacher]
    if trained is None:
        init = initialise(teacher, tasks)
        return lambda key, batch: task.begin(other.inference_params(init(key, batch)))
    params = jax.device_get(other.inference_params(trained.restored(teacher)))
    return Partial(lambda params, key, batch: task.begin(params), params)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by network, the U-Net of the generator last."""
    return {'regression': states['regression'].params, 'unet': list(states.values())[-1].params}


SYSTEM: System[DiffusionTask, Calibrated] = System(
    settings=SeaIceSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=Calibrated,
    evaluate=evaluate,
    calibrate=calibrate,
)
