"""Variational autoencoding of images (Kingma and Welling 2014, arXiv 1312.6114; docs/systems/cloud_vae.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.models.vae import Autoencoder
from downscale_jax.runtime import parallel
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # image [B, H, W, C], standardised

ACTIVE = 0.01  # nat: divergence from the prior above which a latent carries information
COLLAPSED = 0.5  # share of active latents below which training warns


@dataclass(frozen=True)
class Vae:
    """Minimises the negative evidence lower bound per pixel and channel,

        |x - D(z)|^2 / 2 + weight KL(q(z | x) || N(0, 1)),  divided by the number of pixels and channels,

    with z drawn from the code of x. The likelihood is normal with the variance of a channel over the training split;
    `weight` rises linearly to `kl_weight` over the first `kl_warmup` steps.
    """

    network: Autoencoder
    phases: tuple[Phase, ...]
    kl_weight: float = 1.0
    kl_warmup: int = 0
    accumulate: int = 1
    ema_decay: float = 0.999

    @property
    def latents(self) -> int:
        return self.network.encoder.latents

    def init(self, key: jax.Array, batch: Batch) -> State:
        noise = jnp.zeros((1, self.latents))
        params = self.network.init(key, jnp.zeros_like(batch['image'][:1]), noise)
        return states.create(params, create(self.phases[0]))

    def losses(self, params: Any, rows: Batch, weight: jax.Array | float) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss [B] and metrics [B]; rows hold `noise` [B, L]. `active`: latents with a divergence over ACTIVE."""
        image = rows['image']
        outputs: Any = self.network.apply(params, image, rows['noise'])
        drawn, mean, log_variance = outputs
        squared_error = jnp.square(image - drawn).mean((1, 2, 3))
        divergence = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)  # [B, L], nat
        kl = divergence.sum(-1)
        loss = squared_error / 2 + weight * kl / image[0].size
        active = (divergence > ACTIVE).sum(-1).astype(jnp.float32)
        return loss, {'loss': loss, 'squared_error': squared_error, 'kl': kl, 'active': active}

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        rows = {**batch, 'noise': parallel.row_normals(key, (len(batch['image']), self.latents))}
        weight = self.kl_weight * jnp.minimum(1.0, (state.step + 1) / max(self.kl_warmup, 1))

        def losses(params, rows):
            return self.losses(params, rows, weight)

        return gradient_step(losses, state, rows, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], with averaged parameters and the full weight."""
        rows = {**batch, 'noise': parallel.row_normals(key, (len(batch['image']), self.latents))}
        return self.losses(state.ema_params, rows, self.kl_weight)[1]

    def warn(self, step: int, means: Mapping[str, float]) -> str:
        """See `MonitoredTask`: latents that stopped carrying information."""
        active = means['train/active']
        if step <= self.kl_warmup or active >= COLLAPSED * self.latents:
            return ''
        return (
            f'{active:.1f} of {self.latents} latents are active: the others have collapsed to the prior; lower '
            'training.kl_weight, lengthen training.kl_warmup, or lower model.latents'
        )

    def inference_params(self, state: State) -> Any:
        return state.ema_params

    def encode(self, params: Any, x: jax.Array) -> jax.Array:
        """Codes [B, L] of images [B, H, W, C]: means, without noise."""
        return jnp.asarray(self.network.apply(params, x, method=Autoencoder.encode))

    def decode(self, params: Any, z: jax.Array) -> jax.Array:
        """Images [B, H, W, C] of codes [B, L]."""
        return jnp.asarray(self.network.apply(params, z, method=Autoencoder.decode))
