"""Segmentation: the probability of a class in each cell, from labels of which some cells are masked."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from downscale_jax.diffusion.loss import masked_mean
from downscale_jax.models.resnet import ResNetUNet
from downscale_jax.models.unet import UNet
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # image [B, H, W, C] normalised; label [B, H, W, 1] 0 or 1; valid [B, H, W, 1] bool


@dataclass(frozen=True)
class Segmentation:
    """Minimises the binary cross-entropy over the valid cells of each example.

    `network` has one output channel, the logit. `inference_params` returns all that use needs: the averaged parameters
    and, for networks with batch normalisation, the running statistics.
    """

    network: UNet | ResNetUNet
    phases: tuple[Phase, ...]
    accumulate: int = 1
    ema_decay: float = 0.99

    def init(self, key: jax.Array, batch: Batch) -> State:
        variables = self.network.init(key, None, jnp.zeros_like(batch['image'][:1]))
        return states.create(variables['params'], create(self.phases[0]), stats=variables.get('batch_stats'))

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple:
        """Inside `sharded`: the loss [B], metrics [B] and, with batch normalisation, its updated running averages."""
        variables = {'params': params}
        if stats is None:
            metrics = self.metrics(self.network.apply(variables, None, rows['image']), rows)
            return metrics['loss'], metrics
        logits, updated = self.network.apply(
            {**variables, 'batch_stats': stats}, None, rows['image'], train=True, mutable=['batch_stats']
        )
        metrics = self.metrics(logits, rows)
        return metrics['loss'], metrics, updated['batch_stats']

    @staticmethod
    def metrics(logits: Any, rows: Batch) -> dict[str, jax.Array]:
        """Cross-entropy and accuracy over the valid cells of each example, [B]."""
        entropy = optax.sigmoid_binary_cross_entropy(logits, rows['label'])
        hit = (logits > 0) == (rows['label'] > 0.5)
        return {
            'loss': masked_mean(entropy, rows['valid']),
            'accuracy': masked_mean(hit.astype(jnp.float32), rows['valid']),
        }

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        def losses(params, rows):
            return self.losses(params, state.stats, rows)

        return gradient_step(losses, state, batch, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], with averaged parameters."""
        return self.metrics(self.logits(self.inference_params(state), batch['image']), batch)

    def inference_params(self, state: State) -> dict[str, Any]:
        variables = {'params': state.ema_params}
        return variables if state.stats is None else {**variables, 'batch_stats': state.stats}

    def logits(self, variables: dict[str, Any], image: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, 1]."""
        return jnp.asarray(self.network.apply(variables, None, image))

    def probability(self, variables: dict[str, Any], image: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, 1] in [0, 1]."""
        return jax.nn.sigmoid(self.logits(variables, image))
