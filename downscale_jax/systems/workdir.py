"""A work directory, opened: its config, its tasks and their trained states. What all systems share."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.settings import flat
from downscale_jax.training.loop import Task, abstract_state
from downscale_jax.training.state import State

Config = dict[str, Any]
Init = Callable[[Any, Any], State]  # key, batch -> state at step 0
AFTERWARDS = ('sampling', 'evaluation')  # sections that may differ from those a work directory was trained with


class Trained(NamedTuple):
    """What a task that is begun may be handed of the run that it is part of."""

    restored: Callable[[str], State]  # the best state of a task that was trained before
    batches: Sequence[Batch]  # a few, of training
    prepared: Prepared
    config: Config


class WorkDirectory:
    """What a work directory holds, with values `given` ('sampling.steps': 20, say) in place of its config's.

    Raises UserError where it holds no config, or was made with another value than one given.
    """

    def __init__(self, system: ModuleType, workdir: str | Path, given: Mapping[str, Any] | None = None):
        self.system = system
        self.workdir = Path(workdir)
        self.config = read_config(self.workdir)
        for key, value in (given or {}).items():
            section, _, name = key.partition('.')
            there = flat(self.config)[key]
            if section in AFTERWARDS:
                self.config[section][name] = value
            elif there != json.loads(json.dumps(value)):
                raise UserError(f'{workdir} was made with another config ({key} is {there!r} there, {value!r} here)')
        self.tasks: dict[str, Any] = system.build(self.config)
        # asked for once: every file of a checkpoint is read to see whether it is whole
        self.best_step = cache(lambda name: best_step(self.workdir / 'checkpoints' / name))

    @cached_property
    def prepared(self) -> Prepared:
        """Transform and grid, copied beside the checkpoints: the training data are not needed."""
        return Prepared(self.workdir)

    @property
    def last(self) -> str:
        """Name of the task that the others lead up to."""
        return list(self.tasks)[-1]

    def restored(self, name: str) -> State:
        """The best state of a task. Raises UserError where there is none."""
        init, batch = self.system.initialiser(name, self.tasks), zeros(self.system.shapes(self.config), 1)
        step = self.best_step(name)
        return restore(self.tasks[name], init, self.workdir / 'checkpoints' / name, step, batch)

    def provenance(self, name: str) -> str:
        """Which checkpoint of a task is used, and what it was trained on."""
        data = 'idealised, simulated data' if self.prepared.meta['idealised'] else self.config['data']['path']
        return f'{name}, step {self.best_step(name)}, trained on {data}'


def read_config(workdir: Path) -> Config:
    """Raises UserError where there is none, or one of a version whose states have another form."""
    path = workdir / 'config.json'
    if not path.exists():
        raise UserError(f'{workdir} is no work directory (no config.json): train first, or check --workdir')
    config = json.loads(path.read_text())
    if 'system' not in config:
        raise UserError(f'{workdir} was made by an older version of downscale_jax: train anew in another --workdir')
    return config


def zeros(shapes: Mapping[str, tuple[tuple[int, ...], Any]], rows: int) -> Batch:
    """A batch of `rows` examples of these shapes and dtypes, to build networks from."""
    return {name: np.zeros((rows, *shape), dtype) for name, (shape, dtype) in shapes.items()}


def best_step(directory: Path) -> int:
    """The step of the whole checkpoint with the lowest validation loss. Raises UserError where there is none."""
    if not directory.exists():
        raise UserError(f'no checkpoint in {directory}: train first (--mode=train, the same --workdir)')
    step = Checkpoints(directory, read_only=True).best()
    if step is None:
        raise UserError(f'no complete checkpoint in {directory}: train first (--mode=train)')
    return step


def restore(task: Task, init: Init, directory: Path, step: int, batch: Batch) -> State:
    """The state that was saved at `step`; `batch` tells shapes."""
    return Checkpoints(directory, read_only=True).restore_state(step, abstract_state(task, init, batch, step))
