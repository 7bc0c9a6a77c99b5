"""One loop for every task: phases, steps over all devices, validation, checkpoints, resume, a clean stop."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.training.log import Log
from downscale_jax.training.optimizer import Phase, create
from downscale_jax.training.state import State, enter_phase

Batch = dict[str, np.ndarray]
VALIDATION = 2**31 - 1  # stands in the place of a step in the keys of validation noise
AGREE = 10  # steps between the questions of several processes to each other whether one was told to stop
STEPS = 'steps'  # entry of the sums that counts what was added


class Task(Protocol):
    """All that the loop knows of a system. Steps run inside `parallel.sharded`."""

    @property
    def phases(self) -> tuple[Phase, ...]: ...

    def train_step(self, state: State, batch: Any, key: jax.Array, phase: Phase) -> tuple[State, dict]: ...

    def eval_step(self, state: State, batch: Any, key: jax.Array) -> dict[str, jax.Array]: ...


@dataclass(frozen=True)
class Schedule:
    """How often, in steps. Checkpoints fall on validations, validations on rows of the log."""

    log_every: int
    validate_every: int
    keep: int  # newest checkpoints kept, besides the best

    def __post_init__(self):
        if self.validate_every % self.log_every:
            raise UserError(
                f'training.validate_every={self.validate_every} is not a multiple of '
                f'training.log_every={self.log_every}: choose one that is'
            )


def train(
    task: Task,
    name: str,
    init: Callable[[jax.Array, Batch], State],
    batches: Callable[[int, int], Iterator[Batch]],
    validation: Iterable[Batch],
    schedule: Schedule,
    seed: int,
    directory: Path,
    log: Log,
) -> None:
    """Trains `task` to the end of its last phase, from the newest checkpoint under `directory` if there is one.

    `batches(start, limit)` gives this process's rows of the global batches from step `start` on, drawn from
    `limit` examples (0: all), of which a phase may want few; `init(key, batch)` a state at step 0. All phases of a task
    report the same metrics. On SIGTERM, in whichever process, the state is saved and all exit with status 143. Raises
    UserError where the loss is not finite or the disk is full.
    """
    total = sum(phase.steps for phase in task.phases)
    checkpoints = Checkpoints(directory, schedule.keep)
    step = checkpoints.latest() or 0
    log.cut(name, step)
    if step >= total:
        return checkpoints.close()
    key = jax.random.key(seed)
    done = np.cumsum([phase.steps for phase in task.phases]).tolist()
    current = task.phases[_phase_of(task, step + 1)]
    feed = map(parallel.split_rows, batches(step, current.examples))
    batch = next(feed)
    sums = zero_sums(task, abstract_state(task, init, batch, 0), batch, key)
    if step:
        state, sums = checkpoints.restore(step, abstract_state(task, init, batch, step), sums)
    else:
        # initial weights by the hardware's generator: threefry over all those shapes takes 10 s longer to compile
        weights_key = jax.random.key(seed, impl='unsafe_rbg')
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), batch)
        state = parallel.replicate(jax.jit(init)(weights_key, zeros))
    held_out = [parallel.split_rows(rows) for rows in validation]
    evaluate = evaluation_with(task, key)
    bar = tqdm(
        total=total, disable=None, initial=step, desc=f'training {name}', unit='step', dynamic_ncols=True, mininterval=1
    )
    tick, running, alone = (time.perf_counter(), step), None, jax.process_count() == 1
    with closing(checkpoints), bar, _Termination() as termination:
        for i, (phase, end) in enumerate(zip(task.phases, done, strict=True)):
            if i and step == done[i - 1]:
                state = _enter(state, i, phase)
            if step < end and phase.examples != current.examples:
                feed = map(parallel.split_rows, batches(step, phase.examples))
                batch, current = next(feed), phase
            advance = advance_with(task, phase, key)
            while step < end:
                state, sums, loss = advance(state, sums, batch)
                step += 1
                if step < total:
                    batch = next(feed)
                jax.block_until_ready(running)  # the step before this one: the device has work, the host no lead
                running = loss
                bar.update()
                if step % schedule.log_every == 0 or step == end:
                    means = _means(jax.device_get(sums))
                    _check_finite(means, name, step, checkpoints)
                    sums = jax.tree.map(jnp.zeros_like, sums)
                    speed = (step - tick[1]) / (time.perf_counter() - tick[0])
                    tick = time.perf_counter(), step
                    log.row(name, phase.name, step, means, steps_per_second=speed)
                    bar.set_postfix(loss=f'{means["train/loss"]:.4g}', refresh=False)
                    _warn(task, name, step, means)
                stop = termination.asked if alone else step % AGREE == 0 and parallel.in_any(termination.asked)
                if step % schedule.validate_every == 0 or step == end:
                    losses = [jax.device_get(evaluate(state, rows, n)) for n, rows in enumerate(held_out)]
                    means = {f'validation/{k}': float(np.mean([loss[k] for loss in losses])) for k in losses[0]}
                    _check_finite(means, name, step, checkpoints)
                    log.row(name, phase.name, step, means)
                    messages.info(f'{name}, step {step} of {total}: validation loss {means["validation/loss"]:.4g}')
                    checkpoints.save(step, state, sums, means['validation/loss'])
                elif stop:
                    _check_finite(_means(jax.device_get(sums)), name, step, checkpoints)
                    checkpoints.save(step, state, sums, None)
                if stop:
                    checkpoints.wait()
                    messages.warning(
                        f'stopped by SIGTERM, saved at step {step} of {name}: run the same command to resume'
                    )
                    raise SystemExit(143)


def abstract_state(task: Task, init: Callable[[jax.Array, Batch], State], batch: Batch, step: int) -> State:
    """Shapes of the state after `step`, laid out over the devices: what a checkpoint is restored into."""

    def make(key, batch):
        state, last = init(key, batch), _phase_of(task, step)
        return enter_phase(state, last, create(task.phases[last])) if last else state

    return parallel.abstract(jax.eval_shape(make, jax.random.key(0), batch))


def _phase_of(task: Task, step: int) -> int:
    """Index of the phase in which a step was done."""
    ends = np.cumsum([phase.steps for phase in task.phases])
    return int(np.searchsorted(ends, max(step, 1)))


def _enter(state: State, index: int, phase: Phase) -> State:
    return jax.jit(lambda s: enter_phase(s, index, create(phase)), donate_argnums=0)(state)


def advance_with(task: Task, phase: Phase, key: jax.Array) -> Any:
    """(state, sums, batch) -> (state, sums, loss) on all devices.

    Metrics are summed there and fetched once a row of the log; the loss is there to be waited for.
    """

    def advance(state, sums, batch):
        state, metrics = task.train_step(state, batch, jax.random.fold_in(key, state.step), phase)
        return state, jax.tree.map(jnp.add, sums, {**metrics, STEPS: jnp.ones(())}), metrics['loss']

    whole, rows = parallel.WHOLE, parallel.ROWS
    return parallel.sharded(advance, (whole, whole, rows), (whole, whole, whole), donate=(0, 1))


def zero_sums(task: Task, state: State, batch: Any, key: jax.Array) -> dict[str, jax.Array]:
    """The sums before the first step; arguments may be abstract."""

    def metrics(state, batch):
        return {**task.train_step(state, batch, key, task.phases[0])[1], STEPS: jnp.ones(())}

    shapes = jax.eval_shape(parallel.sharded(metrics, (parallel.WHOLE, parallel.ROWS), parallel.WHOLE), state, batch)
    return parallel.replicate(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes))


def _means(sums: dict[str, np.ndarray]) -> dict[str, float]:
    return {f'train/{k}': float(v / max(sums[STEPS], 1)) for k, v in sums.items() if k != STEPS}


def evaluation_with(task: Task, key: jax.Array) -> Callable:
    """(state, batch, index of the batch) -> {name: mean over the global batch}; the same noise at every validation."""

    def evaluate(state, batch, index):
        metrics = task.eval_step(state, batch, jax.random.fold_in(jax.random.fold_in(key, VALIDATION), index))
        return jax.lax.pmean(jax.tree.map(jnp.mean, metrics), parallel.AXIS)

    return parallel.sharded(evaluate, (parallel.WHOLE, parallel.ROWS, parallel.WHOLE), parallel.WHOLE)


def _warn(task: Task, name: str, step: int, means: dict[str, float]) -> None:
    """Passes on what a task that watches its own training makes of a row of the log."""
    if warning := task.warn(step, means) if hasattr(task, 'warn') else '':
        messages.warning(f'{name}, step {step}: {warning}')


def _check_finite(means: dict[str, float], name: str, step: int, checkpoints: Checkpoints) -> None:
    if not all(math.isfinite(value) for value in means.values()):
        saved = checkpoints.latest()
        kept = f'the checkpoint of step {saved} is kept' if saved else 'no checkpoint was written yet'
        raise UserError(
            f'training {name}: the loss is not finite at step {step} ({means}); {kept}: '
            'lower the learning rate or the gradient clipping of this phase'
        )


class _Termination:
    """Notes a SIGTERM instead of dying of it."""

    def __enter__(self) -> '_Termination':
        self.asked = False
        try:
            self._previous = signal.signal(signal.SIGTERM, lambda *_: setattr(self, 'asked', True))
        except ValueError:  # not the main thread: a notebook's worker, say
            self._previous = None
        return self

    def __exit__(self, *_) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
