"""`System`: everything a run needs to know about one kind of model.

A run (`downscale_jax.run`) is the same for every system: it checks the config, prepares data, trains the tasks of the
system in order, calibrates, and evaluates. What differs stands in one `System` per file of this package, listed in the
table `downscale_jax.systems.SYSTEMS` under the name that `config.system` selects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax

from downscale_jax.pipeline.batches import Batch, Source
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.files import RESTORE, reading
from downscale_jax.settings.kinds import Section
from downscale_jax.training.loop import Init as Init
from downscale_jax.training.loop import Task
from downscale_jax.training.state import State

Config = dict[str, Any]  # nested settings, as get_config of configs/NAME.py returns them or config.json holds them
Given = Mapping[str, Any]  # settings by dotted key ('sampling.steps': 20) that replace those of a work directory
Shapes = dict[str, jax.ShapeDtypeStruct]  # of one example's arrays, without the batch axis
Scores = dict[str, dict[str, float]]  # {method: {score: value}}

TaskT = TypeVar('TaskT', bound=Task)
TaskIn = TypeVar('TaskIn', bound=Task, contravariant=True)
OpenedT = TypeVar('OpenedT')


class Trained(NamedTuple):
    """What earlier stages of a run provide for the initial state of a task."""

    restored: Callable[[str], State]  # best state of a task trained before
    batches: Callable[[], Sequence[Batch]]  # a few training batches
    prepared: Prepared
    config: Config


class Check(Protocol):
    """Raises UserError for settings that would otherwise fail only after data are prepared or a network is trained,
    as far as their description does not say so.

    Called whenever a work directory is trained or used (`systems.checks`); `training` includes the settings that only
    training reads.
    """

    def __call__(self, config: Config, training: bool = False) -> None: ...


class Initialise(Protocol[TaskIn]):
    """The `init(key, batch)` of the task `name`.

    A task may start from the best state of an earlier one. Without `trained` it starts from untrained networks of the
    same shapes, which is enough to count parameters or to restore a checkpoint.
    """

    def __call__(self, name: str, tasks: Mapping[str, TaskIn], trained: Trained | None = None) -> Init: ...


@dataclass(frozen=True)
class System(Generic[TaskT, OpenedT]):
    """One kind of model: its tasks (`TaskT`) and its opened work directory (`OpenedT`)."""

    settings: type[Section]  # description of its config: functions below are handed a config that it allows
    # (config) -> tasks by name, in training order, the one the others lead up to last. Raises UserError for settings
    # that contradict each other.
    build: Callable[[Config], Mapping[str, TaskT]]
    check: Check
    # (config) -> shapes and dtypes of one example
    shapes: Callable[[Config], Shapes]
    # (config, prepared, split) -> the source from which batches are drawn
    examples: Callable[[Config, Prepared, str], Source]
    initialise: Initialise[TaskT]
    # (states by task) -> variables by network, the main network last, for describe.json
    networks: Callable[[Mapping[str, State]], dict[str, Any]]
    # (system, work directory, settings that replace its own) -> the opened work directory: usually a class
    opened: 'Callable[[System[TaskT, OpenedT], str | Path, Given | None], OpenedT]'
    # (opened, prepared) -> scores on the test split, also written to scores.json with figures and report.html
    evaluate: Callable[[OpenedT, Prepared], Scores]
    # (opened, prepared): writes the noise temperature fitted on the validation split; None: members do not differ
    calibrate: Callable[[OpenedT, Prepared], None] | None = None

    def open(self, workdir: str | Path, given: Given | None = None) -> OpenedT:
        """A work directory trained by this system, opened, with the settings `given` in place of its own.

        Raises UserError where it is damaged.
        """
        with reading(Path(workdir) / 'config.json', RESTORE):
            return self.opened(self, workdir, given)
