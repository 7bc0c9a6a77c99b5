"""Phases of training with their optimisers, and one gradient step on the mean over the global batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.training.muon import muon
from downscale_jax.training.state import State, apply_gradients

Loss = Callable[[Any, Any], tuple]


@dataclass(frozen=True)
class Phase:
    """A phase of training with its own optimiser and learning-rate schedule."""

    name: str
    steps: int
    learning_rate: float
    warmup: int = 0  # steps of linear warm-up from zero
    schedule: Literal['cosine', 'constant'] = 'cosine'  # after the warm-up
    final_rate: float = 0.0  # learning rate to which cosine decays
    clip: float = 1.0  # norm of the gradient; 0: no clipping
    clip_each: bool = False  # whether the norm is that of each tensor; False: the global norm
    weight_decay: float = 0.0
    beta2: float = 0.99  # decay of AdamW's second moments
    optimizer: Literal['adamw', 'muon', 'sgd'] = 'adamw'
    momentum: float = 0.9  # of SGD
    nesterov: bool = False  # whether SGD looks ahead along its momentum
    keep_moments: bool = False  # start from the optimiser's moments at the end of the phase before
    examples: int = 0  # size of a fixed subset of the training split; 0: all
    plateau_every: int = 0  # steps per average of the loss in the plateau rule; 0: no rule
    plateau_patience: int = 8  # consecutive averages without a new minimum before the rate falls
    plateau_delta: float = 0.04  # by which an average must undercut the minimum so far
    plateau_factor: float = 0.1  # that multiplies the rate after a plateau
    plateau_floor: float = 1e-5  # lower bound of the rate
    per_network: bool = False  # a separate optimiser state for each entry of {network: parameters}


def phases(training: Mapping[str, Any], per_network: bool = False) -> tuple[Phase, ...]:
    """The phases listed in the training section of a config, in order. Raises UserError for moments that differ."""
    listed = tuple(Phase(name, **training[name], per_network=per_network) for name in training['phases'])
    for before, phase in pairwise((None, *listed)):
        if phase and phase.keep_moments and (before is None or before.optimizer != phase.optimizer):
            raise UserError(
                f'training.{phase.name}.keep_moments=True needs a phase with optimizer={phase.optimizer!r} before it, '
                f'found {before.optimizer if before else "none"}: set keep_moments=False'
            )
    return listed


def create(phase: Phase) -> optax.GradientTransformationExtraArgs:
    """Clipping by norm, then AdamW, Muon or SGD with momentum, with linear warm-up and the schedule of the phase.

    The plateau rule, if any, scales the updates last. It is that of Keras (ReduceLROnPlateau) with a threshold in units
    of the loss, which `update` takes as `value`.
    """
    warmup = min(phase.warmup, phase.steps // 2)
    start = 0.0 if warmup else phase.learning_rate
    schedules = {
        'cosine': lambda: optax.warmup_cosine_decay_schedule(
            start, phase.learning_rate, warmup, max(phase.steps, warmup + 1), phase.final_rate
        ),
        'constant': lambda: optax.warmup_constant_schedule(start, phase.learning_rate, warmup),
    }
    rules = {
        'adamw': lambda rate: optax.adamw(rate, b2=phase.beta2, weight_decay=phase.weight_decay),
        'muon': lambda rate: muon(rate, phase.weight_decay, phase.beta2),
        'sgd': lambda rate: optax.sgd(rate, momentum=phase.momentum, nesterov=phase.nesterov),
    }
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
    if phase.clip:
        clip = clip_each_by_norm if phase.clip_each else optax.clip_by_global_norm
        rule = optax.chain(clip(phase.clip), rule)
    rule = optax.with_extra_args_support(rule)
    return _per_network(rule) if phase.per_network else rule


def clip_each_by_norm(norm: float) -> optax.GradientTransformation:
    """Shortens every tensor whose norm exceeds `norm` to it, as Keras does (`clipnorm`)."""

    def clip(grad):
        return grad * (norm / jnp.maximum(jnp.linalg.norm(jnp.ravel(grad)), norm))

    return optax.stateless(lambda grads, params: jax.tree.map(clip, grads))


def _per_network(rule: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """`rule` applied separately to each entry of {network: parameters}; an update needs gradients for some only."""

    def update(grads, state, params=None, **extra):
        results = {name: rule.update(grads[name], state[name], params and params[name], **extra) for name in grads}
        return {name: updates for name, (updates, _) in results.items()}, {
            name: own for name, (_, own) in results.items()
        }

    return optax.GradientTransformationExtraArgs(
        lambda params: {name: rule.init(own) for name, own in params.items()}, update
    )


def mean_gradients(loss: Loss, params: Any, rows: Any, accumulate: int) -> tuple[Any, Any, list]:
    """Inside `sharded`: (gradients, metrics, batch statistics if any), averaged over microbatches and devices.

    Each device splits its rows into `accumulate` microbatches.
    """
    params = parallel.varying(params)

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
        zeros = parallel.varying(jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))
        total, _ = jax.lax.scan(lambda sums, rows: (jax.tree.map(jnp.add, sums, gradients(rows)), None), zeros, parts)
        total = jax.tree.map(lambda x: x / accumulate, total)
    return jax.lax.pmean(total, parallel.AXIS)


def gradient_step(
    loss: Loss, state: State, rows: Any, phase: Phase, accumulate: int, ema_decay: float
) -> tuple[State, dict[str, jax.Array]]:
    """Inside `sharded`: one gradient step on the mean of `loss` over the global batch.

    `loss(params, rows)` returns losses [B], metrics {name: [B]} with an entry `loss` and, if the network has batch
    statistics, their new running averages. `rows` holds the batch and the random numbers of each row. The numbers of
    devices and microbatches therefore change the result by rounding only, except for batch statistics, which are those
    of a microbatch.
    """
    grads, metrics, stats = mean_gradients(loss, state.params, rows, accumulate)
    metrics = {**metrics, 'gradient_norm': optax.tree.norm(grads)}
    state = state.replace(stats=stats[0] if stats else state.stats)
    return apply_gradients(state, grads, metrics['loss'], create(phase), ema_decay), metrics
