"""Conditional continuous-time diffusion (docs/systems/sea_ice.md).

With a first guess, the trained regression passed to `init`, the diffusion model learns the residual
(`tasks.first_guess`). Without one it generates the target itself, as published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.loss import denoising_loss
from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.diffusion.schedule import Prediction, Schedule, clean
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.tasks.first_guess import FirstGuess, Params, conditioned_over
from downscale_jax.tasks.regression import Batch, Regression
from downscale_jax.tasks.residual import Residual
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create
from downscale_jax.training.state import State


@dataclass(frozen=True)
class Diffusion(Residual):
    """Learns to denoise. `regression` is the task that provides the first guess.

    Samplers depend on `denoise` alone.
    """

    network: UNet | DpdmUNet
    phases: tuple[Phase, ...]
    schedule: Schedule
    prediction: Prediction = 'v'
    weighting: Prediction = 'v'
    regression: Regression | None = None
    accumulate: int = 1
    ema_decay: float = 0.999
    hidden: int = 0  # leading channels of the condition that this network does not see

    draws = True  # members differ by their noise

    def init(self, key: jax.Array, batch: Batch, guess: FirstGuess | None = None) -> State:
        guessed = 2 * batch['target'].shape[-1] if self.regression else 0
        channels = batch['condition'].shape[-1] - self.hidden + guessed
        shape = (1, *batch['target'].shape[1:3])
        z, condition = jnp.zeros((*shape, batch['target'].shape[-1])), jnp.zeros((*shape, channels))
        params = self.network.init(key, z, condition, jnp.zeros(1))
        return states.create(params, create(self.phases[0]), frozen=guess)

    def output(self, unet: Any, z: jax.Array, gamma: jax.Array, shown: jax.Array) -> jax.Array:
        return jnp.asarray(self.network.apply(unet, z, shown, self.schedule.level(gamma)))

    def output_with_dropout(
        self, unet: Any, z: jax.Array, gamma: jax.Array, shown: jax.Array, keys: jax.Array
    ) -> jax.Array:
        """`output` in training, with a dropout key per row, [B]: the same for any split of the batch over devices."""

        def of_row(z, level, shown, key):
            rows = (z[None], shown[None], level[None])
            return self.network.apply(unet, *rows, train=True, rngs={'dropout': key})[0]

        return jax.vmap(of_row)(z, self.schedule.level(gamma), shown, keys)

    def losses(self, unet: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Denoising loss [B] of the rows that `rows` returns, in training with dropout also with keys [B]."""

        def network(z, gamma):
            if 'dropout' in rows:
                return self.output_with_dropout(unet, z, gamma, rows['shown'], rows['dropout'])
            return self.output(unet, z, gamma, rows['shown'])

        loss = denoising_loss(
            network,
            rows['residual'],
            rows['mask'],
            rows['gamma'],
            rows['noise'],
            self.prediction,
            self.weighting,
        )
        return loss, {'loss': loss}

    def rows(self, frozen: Any, batch: Batch, key: jax.Array) -> Batch:
        """All that the loss needs besides parameters: mask, condition and residual of the batch, angles gamma [B], and
        noise like the target; random numbers are keyed by the index in the global batch. The first guess is frozen."""
        given = self.conditioned_batch(frozen, batch)
        residual = given.residual(batch)
        time_key, noise_key = jax.random.split(key)
        return {
            'mask': batch['mask'],
            'shown': given.shown,
            'residual': residual,
            'gamma': self.schedule.gamma(parallel.row_uniforms(time_key, len(residual))),
            'noise': parallel.row_normals(noise_key, residual.shape),
        }

    def sample(
        self, params: Params, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """Members over a whole domain, [M, H, W, C] normalised, from condition [1, H, W, Cc] and noise(i) [M, H, W, C].

        `apply(network, *fields)` runs a network over the domain: tiles are fused at every evaluation. The first guess,
        equal for all members, is computed once.
        """
        given = conditioned_over(apply, partial(self.condition, params.guess), condition, self.network.channels)

        def denoise(z, gamma):
            def network(z, shown):
                # repeated tile by tile: over the whole domain it would take most of the memory
                each = jnp.broadcast_to(shown, (*z.shape[:-1], shown.shape[-1]))
                return self.denoise(params, z, jnp.full(z.shape[0], gamma), each)

            # invalid cells are zero, as in training
            return jnp.where(valid[None], apply(network, z, given.shown), 0)

        return given.mean + given.error * solver.solve(denoise, noise, self.schedule)

    def denoise(self, params: Params, z: jax.Array, gamma: jax.Array, shown: jax.Array) -> jax.Array:
        """The estimate of the clean residual [B, H, W, C] in z at angle gamma [B]."""
        return clean(self.output(params.unet, z, gamma, shown), z, gamma, self.prediction)
