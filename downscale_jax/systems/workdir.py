"""`WorkDirectory`: an opened work directory with its config, its tasks and their trained states."""

import json
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import NotProvidedError, UserError
from downscale_jax.runtime.files import RESTORE, Section, read_json, reading
from downscale_jax.runtime.settings import flatten
from downscale_jax.settings.check import check
from downscale_jax.systems.storage.migration import migrate
from downscale_jax.systems.system import Config, Given, Shapes, System, TaskT
from downscale_jax.training.loop import abstract_state
from downscale_jax.training.state import State

METHODS = {  # of some kinds of model only
    'downscale': 'models of diffusion, dpdm, pairs and srgan',
    'distance': 'models of atmodist and cloud_vae',
    'embed': 'models of atmodist, cloud_vae and crystal_vae',
    'map': 'models of glaciers',
    'predict': 'models of rosettes',
}
PATHS = ('path', 'coarse', 'fine', 'outlines')  # settings of `data` that name the training data
REPLACEABLE = ('sampling', 'evaluation')  # sections that may differ from those of training


class WorkDirectory(Generic[TaskT]):
    """A work directory trained by `system`, with the settings `given` in place of its own.

    Raises UserError where it holds no config, where a given setting is one of training and differs, and for settings
    that the system does not allow.
    """

    def __init__(self, system: System[TaskT, Any], workdir: str | Path, given: Given | None = None):
        self.system = system
        self.workdir = Path(workdir)
        self.config = replaced(read_config(self.workdir), given or {}, self.workdir)
        check(system.settings, self.config)
        self.tasks: Mapping[str, TaskT] = system.build(self.config)
        # cached: finding the best step reads every file of every checkpoint, to see whether it is complete
        self.best_step: Callable[[str], int] = cache(lambda name: best_step(self.workdir / 'checkpoints' / name))

    if not TYPE_CHECKING:  # type checkers would accept any attribute

        def __getattr__(self, name: str) -> Any:
            if name in METHODS:
                raise NotProvidedError(
                    f"{self.workdir} was made by system '{self.config['system']}', which has no method '{name}': it is "
                    f'provided by {METHODS[name]}'
                )
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")

    @cached_property
    def prepared(self) -> Prepared:
        """Transform and grid, copied beside the checkpoints: using a model needs no training data."""
        return Prepared(self.workdir)

    @property
    def last(self) -> str:
        """Name of the task that the others lead up to."""
        return list(self.tasks)[-1]

    def restored(self, name: str) -> State:
        """The best state of a task. Raises UserError where none was saved."""
        init, batch = self.system.initialise(name, self.tasks), zeros(self.system.shapes(self.config), 1)
        step = self.best_step(name)
        saved = Checkpoints(self.workdir / 'checkpoints' / name, read_only=True)
        return saved.restore_state(step, abstract_state(self.tasks[name], init, batch, step))

    def provenance(self, name: str) -> str:
        """Checkpoint and training data of a task, in words."""
        files = [self.config['data'][key] for key in PATHS if self.config['data'].get(key)]
        data = 'idealised, simulated data' if self.prepared.meta['idealised'] else ' and '.join(files)
        return f'{name}, step {self.best_step(name)}, trained on {data}'


def read_config(workdir: Path) -> Config:
    """The config of a work directory in today's form. Raises UserError where it has none or an unreadable version."""
    path = workdir / 'config.json'
    if not path.exists():
        raise UserError(f'{workdir} is not a work directory (no config.json): train first, or check --workdir')
    stored = read_json(path, RESTORE)
    with reading(path, RESTORE):
        return Section(migrate(stored, workdir), path, RESTORE)


def replaced(config: Config, given: Given, workdir: Path) -> Config:
    """`config` with the settings `given`. Raises UserError where one belongs to training and differs."""
    settings = flatten(config)
    for key, value in given.items():
        section, _, name = key.partition('.')
        if section in REPLACEABLE:
            config = {**config, section: {**config[section], name: value}}
        elif settings.get(key) != json.loads(json.dumps(value)):
            raise UserError(
                f'{key}={value!r}, but {workdir} was made with {settings.get(key)!r}: only settings of '
                f'{" and ".join(REPLACEABLE)} may change after training; leave this one out or train again'
            )
    return config


def zeros(shapes: Shapes, rows: int) -> Batch:
    """A batch of `rows` examples of these shapes and dtypes, to build networks from."""
    return {name: np.zeros((rows, *array.shape), array.dtype) for name, array in shapes.items()}


def best_step(directory: Path) -> int:
    """The step of the complete checkpoint with the lowest validation loss. Raises UserError where none exists."""
    if not directory.exists():
        raise UserError(f'no checkpoint in {directory}: train first (--mode=train, the same --workdir)')
    step = Checkpoints(directory, read_only=True).best()
    if step is None:
        raise UserError(f'no complete checkpoint in {directory}: train first (--mode=train)')
    return step
