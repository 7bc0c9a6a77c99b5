"""Checks of settings: all that can be said about a config before data are prepared or a network is trained.

`before_training` is the one place that a run calls; the `check` of a system covers the sections that it reads, with the
functions below where systems share them. Functions that return `faults` leave it to the caller to report all of them
in one message (`refuse`).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from downscale_jax.evaluation import baselines
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.fields.geometry import places
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.runtime.settings import flatten
from downscale_jax.systems.system import Config, System
from downscale_jax.training.loop import Task
from downscale_jax.training.optimizer import create

DTYPES = ('float32', 'bfloat16')
COUNTS = ('batch_size', 'log_every', 'validate_every', 'validation_batches', 'keep', 'accumulate')


def before_training(system: System[Any, Any], config: Config) -> Mapping[str, Any]:
    """The tasks that `system` builds from a config whose settings it finds valid. Raises UserError."""
    tasks = system.build(config)
    check_training(config, tasks)
    system.check(config, training=True)
    return tasks


def check_training(config: Config, tasks: Mapping[str, Task]) -> None:
    """Raises UserError for settings of `training` that would fail only after a step is compiled, or never learn."""
    training = config['training']
    phases = {phase.name: phase for task in tasks.values() for phase in task.phases}
    rows = len(parallel.local_rows(training['batch_size'])) // jax.local_device_count()
    steps = [f'training.{name}.steps' for name in phases]
    faults = at_least(config, dict.fromkeys([*(f'training.{name}' for name in COUNTS), *steps], 1))
    decay = training.get('ema_decay', 0)
    if not 0 <= decay < 1:
        faults.append(f'training.ema_decay={decay}: 0 (no average) or more and less than 1 is needed')
    faults += [
        f'training.{name}.learning_rate={phase.learning_rate}: more than 0 is needed'
        for name, phase in phases.items()
        if not phase.learning_rate > 0
    ]
    if not faults and rows % training['accumulate']:
        faults.append(
            f'training.accumulate={training["accumulate"]} does not divide the {rows} rows of each device: choose a '
            'divisor of them'
        )
    refuse(faults)
    for phase in phases.values():
        create(phase)  # raises for an unknown optimiser or schedule


def refuse(faults: Sequence[str]) -> None:
    """Raises UserError with all faults, if any."""
    if faults:
        raise UserError('; '.join(faults))


def check_choice(key: str, value: str, valid: Collection[str]) -> None:
    """Raises UserError where a setting has none of the valid values."""
    if value not in valid:
        raise UserError(f"{key}='{value}' is unknown: {suggestion(str(value), valid)}")


def check_multiple(key: str, value: int, divisor: int, what: str) -> None:
    """Raises UserError where a setting is not a multiple of `divisor`, which is `what`."""
    if value % divisor:
        below = value // divisor * divisor
        valid = ' or '.join(str(number) for number in (below, below + divisor) if number)
        raise UserError(f'{key}={value} is not a multiple of {divisor}, {what}: use {valid}')


def at_least(config: Config, smallest: Mapping[str, int]) -> list[str]:
    """Faults of settings below their smallest valid value, {dotted key: value}."""
    settings = flatten(config)
    return [
        f'{key}={settings[key]}: at least {value} is needed' for key, value in smallest.items() if settings[key] < value
    ]


def evaluation_faults(config: Config, targets: int, kind: str) -> list[str]:
    """Faults of the evaluation of a downscaler with so many targets, by its kind of data; some raise UserError."""
    settings = config['evaluation']
    if not settings['measures']:
        raise UserError(f'evaluation.measures is empty: name at least one of {", ".join(MEASURES)}')
    for name in settings['measures']:
        check_choice('evaluation.measures', name, MEASURES)
    baselines.check(settings['baselines'], kind)
    places.read(settings['places'])
    faults = []
    if (records := settings['records']) is not None and records < 1:
        faults.append(f'evaluation.records={records}: at least 1 is needed, or None for all records of the test split')
    if (window := settings['window']) < 4 or window % 2:
        faults.append(f'evaluation.window={window}: an even number of cells, at least 4, is needed')
    if not all(isinstance(number, int) and number >= 1 for number in settings['subsets']):
        faults.append(f'evaluation.subsets={tuple(settings["subsets"])}: numbers of members must be at least 1')
    return faults + [
        f'evaluation.{key}={tuple(settings[key])}: {expected} for each of the {targets} targets, or (), is needed'
        for key, valid, expected in (
            ('regimes', are_edges, 'a tuple of increasing edges'),
            ('zones', is_zone, "(name, threshold), as in ('ice', 0.15), or ()"),
        )
        if settings[key] and (len(settings[key]) != targets or not all(map(valid, settings[key])))
    ]


def are_edges(value: Any) -> bool:
    """Whether a value of the config is a sequence of increasing numbers."""
    return (
        isinstance(value, list | tuple)
        and all(isinstance(edge, int | float) for edge in value)
        and all(low < high for low, high in pairwise(value))
    )


def is_zone(value: Any) -> bool:
    """Whether a value of the config is () or a name and a threshold."""
    if not isinstance(value, list | tuple) or not value:
        return value in ((), [])
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float)


def ensemble_faults(config: Config) -> list[str]:
    """Faults of the settings of ensembles."""
    return at_least(config, {'evaluation.members': 2, 'evaluation.calibration_records': 0})


def block_faults(config: Config) -> list[str]:
    """Faults of settings that all downscalers of block means have in common. Raises UserError for some of them."""
    data, count = config['data'], len(config['data']['variables'])
    low, high = limits(data['bounds'], data['variables'])
    faults = evaluation_faults(config, count, 'block_means')
    faults += at_least(config, {'data.patch': 1, 'data.patches_per_record': 1})
    if config['sampling']['conserve'] and not (np.isin(low, (0, -np.inf)) & (high == np.inf)).all():
        faults.append(
            f'sampling.conserve=True with data.bounds={tuple(data["bounds"])}: block means can be conserved only with '
            'a lower bound of 0 or none, and no upper bound'
        )
    return faults
