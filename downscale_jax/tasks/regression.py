"""Deterministic regression: the network trained to the conditional mean. The standing baseline of every generator."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.loss import masked_mean
from downscale_jax.models.unet import UNet
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # target [B, H, W, C], condition [B, H, W, Cc], mask [B, H, W, 1] bool


@dataclass(frozen=True)
class Regression:
    """Minimises the squared error of `generate(params, condition)` against the normalised target."""

    network: UNet
    phases: tuple[Phase, ...]
    accumulate: int = 1
    ema_decay: float = 0.999

    def init(self, key: jax.Array, batch: Batch) -> State:
        params = self.network.init(key, None, jnp.zeros((1, *batch['condition'].shape[1:])))
        return states.create(params, create(self.phases[0]))

    def losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean squared error over the valid cells of each example, [B]."""
        error = jnp.square(self.generate(params, rows['condition']) - rows['target'])
        loss = masked_mean(error, rows['mask'])
        return loss, {'loss': loss}

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        return gradient_step(self.losses, state, batch, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B]: the loss of the running average."""
        return self.losses(state.ema_params, batch)[1]

    def inference_params(self, state: State) -> Any:
        return state.ema_params

    def generate(self, params: Any, condition: jax.Array) -> jax.Array:
        """Normalised target [B, H, W, C] from the condition."""
        return jnp.asarray(self.network.apply(params, None, condition))
