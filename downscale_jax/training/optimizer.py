"""Optimisers by name, and one step of descent on a mean over the global batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.training.state import State, apply_gradients

Loss = Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own optimiser."""

    name: str
    steps: int
    learning_rate: float
    warmup: int = 0  # steps of linear warm-up from zero; after it the rate falls along a cosine to zero
    clip: float = 1.0  # global norm of the gradient; 0: none
    weight_decay: float = 0.0
    optimizer: Literal['adamw', 'sgd'] = 'adamw'


def create(phase: Phase) -> optax.GradientTransformation:
    """Clipping by global norm, then AdamW or SGD with momentum 0.9, under linear warm-up and cosine decay."""
    warmup = min(phase.warmup, phase.steps // 2)
    rate = optax.warmup_cosine_decay_schedule(
        0.0 if warmup else phase.learning_rate, phase.learning_rate, warmup, max(phase.steps, warmup + 1)
    )
    rules = {
        'adamw': lambda: optax.adamw(rate, b2=0.99, weight_decay=phase.weight_decay),
        'sgd': lambda: optax.sgd(rate, momentum=0.9),
    }
    if phase.optimizer not in rules:
        raise UserError(f"there is no optimizer '{phase.optimizer}': {nearest(phase.optimizer, rules)}")
    rule = rules[phase.optimizer]()
    return optax.chain(optax.clip_by_global_norm(phase.clip), rule) if phase.clip else rule


def mean_gradients(loss: Loss, params: Any, rows: Any, accumulate: int) -> tuple[Any, Any]:
    """Inside pmap: (gradients, metrics), averaged over `accumulate` microbatches of the rows and over all devices."""

    def mean_loss(params, rows):
        losses, metrics = loss(params, rows)
        return losses.mean(), jax.tree.map(jnp.mean, metrics)

    def gradients(rows):
        (_, metrics), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, rows)
        return grads, metrics

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
    """Inside pmap: one step of descent on the mean of `loss` over the global batch.

    `loss(params, rows)` gives losses [B] and metrics {name: [B]}; `rows` holds the batch and whatever random numbers
    belong to each row, so that neither devices nor microbatches change the result but for rounding.
    """
    grads, metrics = mean_gradients(loss, state.params, rows, accumulate)
    metrics = {**metrics, 'gradient_norm': optax.tree.norm(grads)}
    return apply_gradients(state, grads, create(phase), ema_decay), metrics
