"""Super-resolution by a generator trained to the squared error, the start of every SRGAN (docs/systems/srgan.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.models.srgan import GeneratorNetwork
from downscale_jax.tasks.content import squared_error
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # target [B, H, W, V], condition [B, H, W, V + ..], mask [B, H, W, 1] bool
NO_AVERAGE = 0.0


@dataclass(frozen=True)
class SuperResolution:
    """Minimises the mean squared error: sharp where the fine field is predictable, smooth elsewhere."""

    network: GeneratorNetwork
    phases: tuple[Phase, ...]
    accumulate: int = 1

    draws = False  # deterministic: a single field

    def init(self, key: jax.Array, batch: Batch) -> State:
        condition = self.whole(batch)['condition'][:1]
        return states.create(self.network.init(key, self.coarse(condition)), create(self.phases[0]))

    def whole(self, batch: Batch) -> Batch:
        """Examples [B, H, W, ..] without the last rows and columns that do not fill a block."""
        stride = self.network.stride
        h, w = (n // stride * stride for n in batch['condition'].shape[1:3])
        return {name: x[:, :h, :w] if x.ndim > 2 else x for name, x in batch.items()}

    def coarse(self, condition: jax.Array) -> jax.Array:
        """The coarse field [B, h, w, V] of a condition [B, H, W, V + ..], where each value fills its block."""
        return condition[:, :: self.network.stride, :: self.network.stride, : self.network.channels]

    def generate(self, params: Any, condition: jax.Array) -> jax.Array:
        """The normalised fine field, [B, H, W, V]."""
        return jnp.asarray(self.network.apply(params, self.coarse(condition)))

    def filled(self, params: Any, rows: Batch) -> jax.Array:
        """`generate`, zero where the target is missing, as the target is."""
        return jnp.where(rows['mask'], self.generate(params, rows['condition']), 0)

    def losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        rows = self.whole(rows)
        loss = squared_error(self.filled(params, rows), rows['target'])
        return loss, {'loss': loss}

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        return gradient_step(self.losses, state, batch, phase, self.accumulate, NO_AVERAGE)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B]."""
        return self.losses(state.params, batch)[1]

    def inference_params(self, state: State) -> Any:
        return state.params

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver | None
    ) -> jax.Array:
        """The normalised field over a whole domain, [1, H, W, V]; `apply(network, condition)` runs a network there."""
        return apply(lambda tile: self.generate(params, tile), condition)
