"""Optimisers by name, and one step of descent on a mean over the global batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.training.state import State, apply_gradients

Loss = Callable[[Any, Any], tuple]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own optimiser."""

    name: str
    steps: int
    learning_rate: float
    warmup: int = 0  # steps of linear warm-up from zero
    schedule: Literal['cosine', 'constant'] = 'cosine'  # after the warm-up: down to zero, or as it is
    clip: float = 1.0  # global norm of the gradient; 0: none
    weight_decay: float = 0.0
    optimizer: Literal['adamw', 'sgd'] = 'adamw'
    examples: int = 0  # how many of the training split are drawn, always the same ones; 0: all
    plateau_every: int = 0  # steps over which the loss is averaged to look for a plateau; 0: never
    plateau_patience: int = 8  # such averages in a row without a new lowest one, until the rate falls
    plateau_delta: float = 0.04  # by how much an average must lie under the lowest so far
    plateau_factor: float = 0.1  # of the rate after a plateau to that before
    plateau_floor: float = 1e-5  # the rate does not fall below
    apart: bool = False  # each of several networks, {name: parameters}, has an optimiser state of its own


def phases(training: Mapping[str, Any], apart: bool = False) -> tuple[Phase, ...]:
    """Those that the training section of a config names, in order. Raises UserError for none and for unknown ones."""
    known = [name for name, values in training.items() if isinstance(values, Mapping)]
    if not training['phases']:
        raise UserError(f'training.phases is empty: name one or several of {", ".join(known)}')
    for name in training['phases']:
        if name not in known:
            raise UserError(f"training.phases: there is no phase '{name}': {nearest(name, known)}")
    return tuple(Phase(name, **training[name], apart=apart) for name in training['phases'])


def create(phase: Phase) -> optax.GradientTransformationExtraArgs:
    """Clipping by global norm, then AdamW or SGD with momentum 0.9, under linear warm-up, the schedule and, last, a
    factor that falls where the loss, given to `update` as `value`, stays on a plateau.

    The rule of the plateau is that of Keras (ReduceLROnPlateau), with a threshold in units of the loss.
    """
    warmup = min(phase.warmup, phase.steps // 2)
    start = 0.0 if warmup else phase.learning_rate
    schedules = {
        'cosine': lambda: optax.warmup_cosine_decay_schedule(
            start, phase.learning_rate, warmup, max(phase.steps, warmup + 1)
        ),
        'constant': lambda: optax.warmup_constant_schedule(start, phase.learning_rate, warmup),
    }
    rules = {
        'adamw': lambda rate: optax.adamw(rate, b2=0.99, weight_decay=phase.weight_decay),
        'sgd': lambda rate: optax.sgd(rate, momentum=0.9),
    }
    if phase.schedule not in schedules:
        raise UserError(f"there is no schedule '{phase.schedule}': {nearest(phase.schedule, schedules)}")
    if phase.optimizer not in rules:
        raise UserError(f"there is no optimizer '{phase.optimizer}': {nearest(phase.optimizer, rules)}")
    rule = rules[phase.optimizer](schedules[phase.schedule]())
    if phase.plateau_every:
        rule = optax.chain(
            rule,
            optax.contrib.reduce_on_plateau(
                phase.plateau_factor,
                phase.plateau_patience,
                rtol=0.0,
                atol=max(phase.plateau_delta, 1e-12),  # optax refuses zero
                accumulation_size=phase.plateau_every,
                min_scale=min(1.0, phase.plateau_floor / phase.learning_rate),
            ),
        )
    rule = optax.chain(optax.clip_by_global_norm(phase.clip), rule) if phase.clip else rule
    rule = optax.with_extra_args_support(rule)
    return _apart(rule) if phase.apart else rule


def _apart(rule: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The rule for each of {name: parameters}; an update moves those that have gradients."""

    def update(grads, state, params=None, **extra):
        found = {name: rule.update(grads[name], state[name], params and params[name], **extra) for name in grads}
        return {name: one for name, (one, _) in found.items()}, {name: own for name, (_, own) in found.items()}

    return optax.GradientTransformationExtraArgs(
        lambda params: {name: rule.init(own) for name, own in params.items()}, update
    )


def mean_gradients(loss: Loss, params: Any, rows: Any, accumulate: int) -> tuple[Any, Any, list]:
    """Inside `sharded`: (gradients, metrics, batch statistics if there are any), averaged over `accumulate`
    microbatches of the rows and over all devices."""

    def mean_loss(params, rows):
        losses, metrics, *stats = loss(params, rows)
        return losses.mean(), (jax.tree.map(jnp.mean, metrics), stats)

    def gradients(rows):
        (_, (metrics, stats)), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, rows)
        return grads, metrics, stats

    if accumulate == 1:
        total = gradients(rows)
    else:
        parts = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), rows)
        shapes = jax.eval_shape(gradients, jax.tree.map(lambda x: x[0], parts))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        total, _ = jax.lax.scan(lambda sums, rows: (jax.tree.map(jnp.add, sums, gradients(rows)), None), zeros, parts)
        total = jax.tree.map(lambda x: x / accumulate, total)
    return jax.lax.pmean(total, parallel.AXIS)


def gradient_step(
    loss: Loss, state: State, rows: Any, phase: Phase, accumulate: int, ema_decay: float
) -> tuple[State, dict[str, jax.Array]]:
    """Inside `sharded`: one step of descent on the mean of `loss` over the global batch.

    `loss(params, rows)` gives losses [B], metrics {name: [B]}, `loss` among them, and, where the network has batch
    statistics, their new running averages; `rows` holds the batch and whatever random numbers belong to each row, so
    that neither devices nor microbatches change the result but for rounding (batch statistics are those of a
    microbatch).
    """
    grads, metrics, stats = mean_gradients(loss, state.params, rows, accumulate)
    metrics = {**metrics, 'gradient_norm': optax.tree.norm(grads)}
    state = state.replace(stats=stats[0] if stats else state.stats)
    return apply_gradients(state, grads, metrics['loss'], create(phase), ema_decay), metrics
