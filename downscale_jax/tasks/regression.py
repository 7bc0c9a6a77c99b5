"""Deterministic regression: a network trained to the conditional mean, the baseline of every generator."""

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

# target [B, H, W, C], condition [B, H, W, Cc], mask [B, H, W, 1] bool, for `CrossFitted` part [B]
Batch = dict[str, jax.Array]


ERROR_WEIGHT = 0.1  # of the likelihood of the error beside the squared error of the mean, which share a network
SMALLEST_ERROR = 0.05  # in standard deviations of the target: in open water the fitted error would shrink to zero


@dataclass(frozen=True)
class Regression:
    """Minimises the squared error of the mean; a second output learns the expected size of that error in each cell.

    The size s is fitted by the Gaussian likelihood of the errors, ln s^2 + (y - mean)^2 / s^2, which is minimal at
    s^2 = E[(y - mean)^2 | condition] for any distribution (Nix and Weigend 1994). Its gradient reaches the shared
    layers, but not the output of the mean. `network` has two output channels per channel of the target.
    """

    network: UNet | DpdmUNet
    phases: tuple[Phase, ...]
    accumulate: int = 1
    ema_decay: float = 0.999
    hidden: int = 0  # leading channels of the condition that this network does not see

    draws = False  # deterministic: a single field

    def init(self, key: jax.Array, batch: Batch) -> State:
        return states.create(self.draw(key, batch), create(self.phases[0]))

    def draw(self, key: jax.Array, batch: Batch) -> Any:
        """Initial parameters of the network."""
        return self.network.init(key, None, jnp.zeros_like(batch['condition'][:1, ..., self.hidden :]))

    def losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """See `losses_of`."""
        return losses_of(*self.distribution(params, rows['condition']), rows)

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        return gradient_step(self.losses, state, batch, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], with averaged parameters."""
        return self.losses(state.ema_params, batch)[1]

    def inference_params(self, state: State) -> Any:
        return state.ema_params

    def distribution(
        self, params: Any, condition: jax.Array, part: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """(mean, expected size of its error) of the normalised target, each [B, H, W, C].

        `part` [B] is used by `CrossFitted` only.
        """
        mean, size = jnp.split(jnp.asarray(self.network.apply(params, None, condition[..., self.hidden :])), 2, -1)
        return mean, jnp.sqrt(jnp.square(jax.nn.softplus(size)) + SMALLEST_ERROR**2)

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver | None
    ) -> jax.Array:
        """The normalised mean over a whole domain, [1, H, W, C]; `apply(network, condition)` runs a network there."""
        return apply(lambda condition: self.distribution(params, condition)[0], condition)


def losses_of(mean: jax.Array, size: jax.Array, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss [B] of a mean and its expected error, each [B, H, W, C], and metrics: `loss`, the mean squared
    error over the valid cells of each example, and `calibration`, the mean ratio of squared to expected squared error,
    ideally 1."""
    error = rows['target'] - mean
    loss = masked_mean(jnp.square(error), rows['mask'])
    ratio = jnp.square(jax.lax.stop_gradient(error) / size)
    likelihood = masked_mean(2 * jnp.log(size) + ratio, rows['mask'])
    return loss + ERROR_WEIGHT * likelihood, {'loss': loss, 'calibration': masked_mean(ratio, rows['mask'])}
