"""One-pass ensembles: a member in a single evaluation of the network (docs/systems/one_pass.md).

The network maps (condition, noise) to a member of the residual of the first guess. It is trained by a proper score of
a few members a sample (`ensemble_score`), without an adversary and without noise levels: the form of FGN (Alet et al.
2025, https://arxiv.org/abs/2506.10772) and AIFS-CRPS (Lang et al. 2024, https://arxiv.org/abs/2412.15832).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.tasks.ensemble_score import ensemble_score
from downscale_jax.tasks.first_guess import FirstGuess, Params, conditioned_over
from downscale_jax.tasks.regression import Batch, Regression
from downscale_jax.tasks.residual import Residual
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create
from downscale_jax.training.state import State


@dataclass(frozen=True)
class OnePass(Residual):
    """Learns to generate. `regression` is the task that provides the first guess."""

    network: UNet | DpdmUNet
    phases: tuple[Phase, ...]
    regression: Regression
    members: int = 2  # of each example in training, at least 2
    accumulate: int = 1
    ema_decay: float = 0.999
    hidden: int = 0  # leading channels of the condition that this network does not see

    draws = True  # members differ by their noise
    evaluations = 1  # per member

    def init(self, key: jax.Array, batch: Batch, guess: FirstGuess | None = None) -> State:
        targets = batch['target'].shape[-1]
        channels = batch['condition'].shape[-1] - self.hidden + 2 * targets
        shape = (1, *batch['target'].shape[1:3])
        params = self.network.init(key, jnp.zeros((*shape, targets)), jnp.zeros((*shape, channels)))
        return states.create(params, create(self.phases[0]), frozen=guess)

    def generate(self, unet: Any, noise: jax.Array, shown: jax.Array, dropout: jax.Array | None = None) -> jax.Array:
        """Members of the residual [M, H, W, C] from noise [M, H, W, C] and what is shown [M or 1, H, W, Cs], in
        training with a key of dropout."""
        shown = jnp.broadcast_to(shown, (*noise.shape[:-1], shown.shape[-1]))
        training: dict[str, Any] = {} if dropout is None else {'train': True, 'rngs': {'dropout': dropout}}
        return jnp.asarray(self.network.apply(unet, noise, shown, **training))

    def losses(self, unet: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The score [B] of the rows that `rows` returns, in training with dropout also with keys [B]."""
        noise, shown, keys = rows['noise'], rows['shown'], rows.get('dropout')
        if keys is None:
            shown = jnp.repeat(shown, self.members, 0)
            members = self.generate(unet, noise.reshape(-1, *noise.shape[2:]), shown).reshape(noise.shape)
        else:
            members = jax.vmap(partial(self.generate, unet))(noise, shown[:, None], keys)
        members = jnp.where(rows['mask'][:, None], members, 0)
        loss = ensemble_score(jnp.moveaxis(members, 1, 0), rows['residual'], rows['mask'])
        return loss, {'loss': loss}

    def rows(self, guess: FirstGuess, batch: Batch, key: jax.Array) -> Batch:
        """All that the loss needs besides parameters: mask, condition and residual of the batch, and noise
        [B, K, H, W, C], keyed by the index in the global batch."""
        given = self.conditioned_batch(guess, batch)
        residual = given.residual(batch)
        shape = (len(residual), self.members, *residual.shape[1:])
        noise = parallel.row_normals(key, shape)
        return {'mask': batch['mask'], 'shown': given.shown, 'residual': residual, 'noise': noise}

    def sample(
        self, params: Params, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """Members over a whole domain, [M, H, W, C] normalised, from condition [1, H, W, Cc] and noise(0) [M, H, W, C].

        `apply(network, *fields)` runs a network over the domain in fused tiles: once for the first guess, equal for all
        members, and once for the members. `solver` has no effect.
        """
        assert params.guess is not None
        given = conditioned_over(apply, partial(self.condition, params.guess), condition, self.network.channels)
        members = apply(partial(self.generate, params.unet), noise(0), given.shown)
        return given.mean + given.error * jnp.where(valid[None], members, 0)
