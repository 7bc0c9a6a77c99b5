"""Training loop shared by all tasks: phases, steps on all devices, validation, checkpoints, resumption, clean stop."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from tqdm import tqdm

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.parallel import REPLICATED, SHARDED_ROWS
from downscale_jax.runtime.signals import SIGNALS
from downscale_jax.training.log import Log
from downscale_jax.training.optimizer import Phase, create
from downscale_jax.training.state import State, enter_phase

Batch = dict[str, np.ndarray]
# (key, batch) -> state at step 0. Trained weights that it starts from are arguments of a `jax.tree_util.Partial`: as
# constants of the program they would be compiled, and kept in the compilation cache, anew in every run
Init = Callable[[jax.Array, Any], State]
VALIDATION = 2**31 - 1  # takes the place of the step in the keys of validation noise
STOP_CHECK_EVERY = 10  # steps between exchanges on whether any process received a signal
STEPS = 'steps'  # entry of the sums that counts the summed steps


class Task(Protocol):
    """The part of a task that the loop depends on: hashable by value. Steps run inside `parallel.sharded`."""

    @property
    def phases(self) -> tuple[Phase, ...]: ...

    def __hash__(self) -> int: ...

    def train_step(
        self, state: State, batch: Any, key: jax.Array, phase: Phase
    ) -> tuple[State, dict[str, jax.Array]]: ...

    def eval_step(self, state: State, batch: Any, key: jax.Array) -> dict[str, jax.Array]: ...


@runtime_checkable
class MonitoredTask(Task, Protocol):
    """A task that checks its own training."""

    def warn(self, step: int, means: Mapping[str, float]) -> str:
        """A warning about the steps up to `step`, '' for none; `means` as in the row of the log."""
        ...


class TrainingData(NamedTuple):
    """Batches for training and validation; every process supplies its rows of the global batches.

    `batches(start, limit)` iterates from step `start` over batches drawn from the first `limit` examples (0: all).
    """

    batches: Callable[[int, int], Iterator[Batch]]
    validation: Callable[[], Iterable[Batch]]  # called at the first validation: the first step does not wait for it


@dataclass(frozen=True)
class LoopSettings:
    """Intervals in steps. Checkpoints are written at validations, which coincide with rows of the log."""

    log_every: int
    validate_every: int
    keep: int  # newest checkpoints kept, besides the best
    seed: int


def train(
    task: Task, name: str, init: Init, data: TrainingData, settings: LoopSettings, directory: Path, log: Log
) -> None:
    """Trains `task` to the end of its last phase, from the newest checkpoint under `directory` if there is any.

    All phases of a task report the same metrics. On SIGINT or SIGTERM to any process the state is saved and all
    processes exit with status 130 or 143. Raises UserError if the loss is not finite, on a disk error, and for a
    damaged record: one of validation is met at the first validation, and the steps until then are lost.
    """
    checkpoints = Checkpoints(directory, settings.keep)
    step = checkpoints.latest() or 0
    log.cut(name, step)
    if step >= sum(phase.steps for phase in task.phases):
        return checkpoints.close()
    trainer = _Trainer(task, name, data, settings, checkpoints, log)
    trainer.start(init, step)
    trainer.run()


def fit(task: Task, state: State, batches: Iterator[Batch], seed: int) -> State:
    """`state` after the only phase of a task, without validation, log and checkpoints: for the small networks that an
    evaluation trains as rivals."""
    (phase,) = task.phases
    advance = train_program(task, phase, seed)
    for batch in islice(batches, phase.steps):
        state, metrics = advance(state, parallel.split_rows(batch))
        jax.block_until_ready(metrics)
    return state


class _Trainer:
    """A training run: its state after `step` steps, the sums since the last row of the log, and the next batch."""

    step: int
    state: State
    sums: dict[str, jax.Array]
    batch: Any  # arrays on the devices

    def __init__(
        self, task: Task, name: str, data: TrainingData, settings: LoopSettings, checkpoints: Checkpoints, log: Log
    ):
        self.task, self.name, self.data, self.settings = task, name, data, settings
        self.checkpoints, self.log = checkpoints, log
        self.ends = np.cumsum([phase.steps for phase in task.phases]).tolist()
        self.evaluate = eval_program(task, settings.seed)

    def start(self, init: Init, step: int) -> None:
        """Initialises the state, or restores the checkpoint of `step`."""
        task, self.step = self.task, step
        self._feed(task.phases[_phase_of(task, self.step + 1)])
        initialise = partial(initialised, init if isinstance(init, Partial) else Partial(init))
        self.sums = zero_sums(task, abstract_state(task, initialise, self.batch, 0), self.batch, self.settings.seed)
        if self.step:
            state = abstract_state(task, initialise, self.batch, self.step)
            self.state, self.sums = self.checkpoints.restore(self.step, state, self.sums)
        else:
            zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.batch)
            self.state = parallel.replicate(initialise(weights_key(self.settings.seed), zeros))
        self.last_row = time.perf_counter(), self.step

    def run(self) -> None:
        total = self.ends[-1]
        bar = tqdm(
            total=total, disable=None, initial=self.step, desc=f'training {self.name}', unit='step',
            dynamic_ncols=True, mininterval=1,
        )  # fmt: skip
        # a signal during the last save is heeded after it
        with _Termination() as termination, closing(self.checkpoints), bar:
            for index, (phase, end) in enumerate(zip(self.task.phases, self.ends, strict=True)):
                if index and self.step == self.ends[index - 1]:
                    self._enter(index, phase)
                if self.step < end and phase.examples != self.fed.examples:
                    self._feed(phase)
                self._run_phase(phase, end, bar, termination)

    def _run_phase(self, phase: Phase, end: int, bar: tqdm, termination: '_Termination') -> None:
        advance, previous = train_program(self.task, phase, self.settings.seed), None
        while self.step < end:
            self.state, metrics = advance(self.state, self.batch)
            self.sums = add_metrics(self.sums, metrics)
            self.step += 1
            if self.step < self.ends[-1]:
                self.batch = next(self.feed)
            jax.block_until_ready(previous)  # the host stays one step ahead of the devices, no more
            previous = metrics['loss']
            bar.update()
            if self.step % self.settings.log_every == 0 or self.step == end:
                bar.set_postfix(loss=f'{self._write_row(phase):.4g}', refresh=False)
            stop = termination.requested(self.step, self.step == end)  # number of the signal, 0 for none
            if self.step % self.settings.validate_every == 0 or self.step == end:
                self._validate(phase)
            elif stop:
                self._check_finite(_means(jax.device_get(self.sums)))
                self.checkpoints.save(self.step, self.state, self.sums, None)
            if stop:
                self.checkpoints.wait()
                messages.warning(
                    f'stopped by {signal.Signals(stop).name}, saved at step {self.step} of {self.name}: run the same '
                    'command to resume'
                )
                raise SystemExit(128 + stop)

    def _feed(self, phase: Phase) -> None:
        """Starts the batches of a phase at the current step."""
        self.feed = map(parallel.split_rows, self.data.batches(self.step, phase.examples))
        self.batch, self.fed = next(self.feed), phase

    def _enter(self, index: int, phase: Phase) -> None:
        def enter(state: State) -> State:
            return enter_phase(state, index, create(phase), phase.keep_moments)

        self.state = jax.jit(enter, donate_argnums=0)(self.state)

    def _write_row(self, phase: Phase) -> float:
        """Writes the mean metrics since the last row; returns the mean loss."""
        means = _means(jax.device_get(self.sums))
        self._check_finite(means)
        self.sums = jax.tree.map(jnp.zeros_like, self.sums)
        speed = (self.step - self.last_row[1]) / (time.perf_counter() - self.last_row[0])
        self.last_row = time.perf_counter(), self.step
        self.log.row(self.name, phase.name, self.step, means, steps_per_second=speed)
        if isinstance(self.task, MonitoredTask) and (warning := self.task.warn(self.step, means)):
            messages.warning(f'{self.name}, step {self.step}: {warning}')
        return means['train/loss']

    @cached_property
    def validation(self) -> list[Any]:
        """Batches on the devices."""
        return [parallel.split_rows(rows) for rows in self.data.validation()]

    def _validate(self, phase: Phase) -> None:
        """Logs the validation metrics and saves a checkpoint."""
        metrics = [jax.device_get(self.evaluate(self.state, rows, n)) for n, rows in enumerate(self.validation)]
        means = {f'validation/{name}': float(np.mean([values[name] for values in metrics])) for name in metrics[0]}
        self._check_finite(means)
        self.log.row(self.name, phase.name, self.step, means)
        loss = means['validation/loss']
        messages.info(f'{self.name}, step {self.step} of {self.ends[-1]}: validation loss {loss:.4g}')
        self.checkpoints.save(self.step, self.state, self.sums, loss)

    def _check_finite(self, means: dict[str, float]) -> None:
        if not all(math.isfinite(value) for value in means.values()):
            saved = self.checkpoints.latest()
            kept = f'the checkpoint of step {saved} is kept' if saved else 'no checkpoint was written yet'
            raise UserError(
                f'training {self.name}: the loss is not finite at step {self.step} ({means}); {kept}: '
                'lower the learning rate or the clipping threshold (clip) of this phase'
            )


@jax.jit  # traced once for shapes and values
def initialised(init: Partial, key: jax.Array, batch: Batch) -> State:
    """The state at step 0."""
    return init(key, batch)


def weights_key(seed: int) -> jax.Array:
    """The key of initial weights, for the hardware's generator: threefry over all shapes compiles 10 s longer."""
    return jax.random.key(seed, impl='unsafe_rbg')


def abstract_state(task: Task, init: Init, batch: Batch, step: int) -> State:
    """Shapes and shardings of the state after `step`, into which a checkpoint is restored."""
    unsharded = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
    state, last = jax.eval_shape(init, weights_key(0), unsharded), _phase_of(task, step)
    if last:
        state = jax.eval_shape(lambda state: enter_phase(state, last, create(task.phases[last])), state)
    return parallel.abstract(state)


def _phase_of(task: Task, step: int) -> int:
    """Index of the phase of a step."""
    ends = np.cumsum([phase.steps for phase in task.phases])
    return int(np.searchsorted(ends, max(step, 1)))


@lru_cache(maxsize=16)  # the description of a run and its training share what they trace and compile
def train_program(task: Task, phase: Phase, seed: int) -> Any:
    """Training step (state, batch) -> (state, metrics) on all devices."""
    key = jax.random.key(seed)

    def advance(state, batch):
        return task.train_step(state, batch, jax.random.fold_in(key, state.step), phase)

    return parallel.sharded(advance, (REPLICATED, SHARDED_ROWS), REPLICATED, donate=(0,))


@partial(jax.jit, donate_argnums=0)
def add_metrics(sums: dict[str, jax.Array], metrics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Sums on the devices, fetched once per row of the log, with those of one more step."""
    return jax.tree.map(jnp.add, sums, {**metrics, STEPS: jnp.ones(())})


def zero_sums(task: Task, state: State, batch: Any, seed: int) -> dict[str, jax.Array]:
    """The sums before the first step; the arguments may be abstract."""
    _, metrics = jax.eval_shape(train_program(task, task.phases[0], seed), state, batch)
    return parallel.replicate(
        {name: np.zeros(m.shape, m.dtype) for name, m in metrics.items()} | {STEPS: np.float32(0)}
    )


def _means(sums: dict[str, np.ndarray]) -> dict[str, float]:
    return {f'train/{k}': float(v / max(sums[STEPS], 1)) for k, v in sums.items() if k != STEPS}


@lru_cache(maxsize=16)  # training a task again in the same process does not trace it again
def eval_program(task: Task, seed: int) -> Callable:
    """Validation step (state, batch, batch index) -> {name: mean over the global batch}; the index fixes the noise."""
    key = jax.random.fold_in(jax.random.key(seed), VALIDATION)

    def evaluate(state, batch, index):
        metrics = task.eval_step(state, batch, jax.random.fold_in(key, index))
        return jax.lax.pmean(jax.tree.map(jnp.mean, metrics), parallel.AXIS)

    return parallel.sharded(evaluate, (REPLICATED, SHARDED_ROWS, REPLICATED), REPLICATED)


class _Termination:
    """Records SIGINT or SIGTERM to this process instead of ending it; a second signal has its usual effect."""

    def __enter__(self) -> '_Termination':
        self._received = 0
        self._previous: dict[int, Any] = {}
        with suppress(ValueError):  # not the main thread, for example in a notebook's worker
            self._previous = {number: signal.signal(number, self._record) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._received and kind is None:  # it came after the last step: the task is done, the run is not
            signal.raise_signal(self._received)

    def requested(self, step: int, last: bool) -> int:
        """The signal that any process received, 0 for none; several processes exchange this at certain steps only."""
        if jax.process_count() == 1:
            return self._received
        return parallel.max_over_processes(self._received) if last or step % STOP_CHECK_EVERY == 0 else 0

    def _record(self, number: int, frame: Any) -> None:
        if self._received and callable(handler := self._previous[number]):
            handler(number, frame)
        self._received = number
