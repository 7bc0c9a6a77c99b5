"""Deterministic regression: the network trained to the conditional mean. The standing baseline of every generator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.loss import masked_mean
from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # target [B, H, W, C], condition [B, H, W, Cc], mask [B, H, W, 1] bool


ERROR_WEIGHT = 0.1  # of the error's likelihood beside the squared error of the mean, whose network it shares
SMALLEST_ERROR = 0.05  # in standard deviations of the target: open water would otherwise ask for no error at all


@dataclass(frozen=True)
class Regression:
    """Minimises the squared error of the mean; beside it, a second output learns how large that error is where.

    The size of the error is fitted by the Gaussian likelihood of the errors made, ln s^2 + (y - mean)^2 / s^2, whose
    minimum is s^2 = E[(y - mean)^2 | condition] whatever the distribution (Nix and Weigend 1994). The mean's output
    gets no gradient from it; the layers that both outputs share do. `network` has two output channels for each of the
    target.
    """

    network: UNet | DpdmUNet
    phases: tuple[Phase, ...]
    accumulate: int = 1
    ema_decay: float = 0.999
    hidden: int = 0  # leading channels of the condition that are for others

    draws = False  # a single field, whatever the noise

    def init(self, key: jax.Array, batch: Batch) -> State:
        params = self.network.init(key, None, jnp.zeros_like(batch['condition'][:1, ..., self.hidden :]))
        return states.create(params, create(self.phases[0]))

    def losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What is minimised, [B]; metrics: `loss`, the mean squared error over the valid cells of each example, and
        `calibration`, the mean of squared error over expected squared error, which should be 1."""
        mean, size = self.distribution(params, rows['condition'])
        error = rows['target'] - mean
        loss = masked_mean(jnp.square(error), rows['mask'])
        ratio = jnp.square(jax.lax.stop_gradient(error) / size)
        likelihood = masked_mean(2 * jnp.log(size) + ratio, rows['mask'])
        return loss + ERROR_WEIGHT * likelihood, {'loss': loss, 'calibration': masked_mean(ratio, rows['mask'])}

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        return gradient_step(self.losses, state, batch, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B]: the metrics of the running average."""
        return self.losses(state.ema_params, batch)[1]

    def inference_params(self, state: State) -> Any:
        return state.ema_params

    def distribution(self, params: Any, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(mean, expected size of its error) of the normalised target, [B, H, W, C] each."""
        mean, size = jnp.split(jnp.asarray(self.network.apply(params, None, condition[..., self.hidden :])), 2, -1)
        return mean, jnp.sqrt(jnp.square(jax.nn.softplus(size)) + SMALLEST_ERROR**2)

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver | None
    ) -> jax.Array:
        """The mean, [1, H, W, C] normalised, over a whole domain: `apply(network, condition)` runs it there."""
        return apply(lambda condition: self.distribution(params, condition)[0], condition)
