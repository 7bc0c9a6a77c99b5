"""Regression of numbers and classification from one image by one network (docs/systems/rosettes.md)."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from downscale_jax.models.properties import PropertyNetwork, Variables
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # image [B, H, W, C], values [B, K], standardised; label [B] int32


@dataclass(frozen=True)
class Properties:
    """Minimises the mean squared error of the standardised numbers plus `class_weight` times the cross-entropy."""

    network: PropertyNetwork
    phases: tuple[Phase, ...]
    class_weight: float = 1.0
    accumulate: int = 1
    ema_decay: float = 0.0  # 0 for networks with batch statistics, which would not match averaged parameters

    def init(self, key: jax.Array, batch: Batch) -> State:
        variables = self.network.init(key, jnp.zeros_like(batch['image'][:1]))
        return states.create(variables['params'], create(self.phases[0]), stats=variables.get('batch_stats'))

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """Inside `sharded`: the loss [B], metrics [B], and the updated running statistics."""
        (numbers, logits), updated = self.network.apply(
            variables(params, stats), rows['image'], train=True, mutable=['batch_stats']
        )
        metrics = self.metrics(numbers, logits, rows)
        return metrics['loss'], metrics, updated.get('batch_stats')

    def metrics(self, numbers: jax.Array, logits: jax.Array, rows: Batch) -> dict[str, jax.Array]:
        """Metrics per example, [B]."""
        squared_error = jnp.square(numbers - rows['values']).mean(-1)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, rows['label'])
        return {
            'loss': squared_error + self.class_weight * cross_entropy,
            'squared_error': squared_error,
            'cross_entropy': cross_entropy,
            'accuracy': (logits.argmax(-1) == rows['label']).astype(jnp.float32),
        }

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        def losses(params, rows):
            return self.losses(params, state.stats, rows)

        return gradient_step(losses, state, batch, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], with averaged parameters and running statistics."""
        outputs: Any = self.network.apply(self.inference_params(state), batch['image'])
        numbers, logits = outputs
        return self.metrics(numbers, logits, batch)

    def inference_params(self, state: State) -> Variables:
        return variables(state.ema_params, state.stats)

    def predict(self, params: Variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Standardised numbers [B, K] and probabilities of the classes [B, classes] of images [B, H, W, C]."""
        outputs: Any = self.network.apply(params, images)
        numbers, logits = outputs
        return numbers, jax.nn.softmax(logits)


def variables(params: Any, stats: Any) -> Variables:
    """Of a network with or without batch statistics."""
    return {'params': params} if stats is None else {'params': params, 'batch_stats': stats}
