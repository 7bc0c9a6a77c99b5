"""From noise to a sample by repeated denoising. A sampler knows `denoise(z, gamma) -> x0`, never a network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.schedule import CosineSchedule

Denoise = Callable[[jax.Array, jax.Array], jax.Array]


def ddim(denoise: Denoise, noise: jax.Array, schedule: CosineSchedule, steps: int) -> jax.Array:
    """Deterministic DDIM (Song et al. 2021, eq. 12 with eta = 0), evenly spaced in t, `steps` evaluations.

    noise [..., H, W, C] standard normal: the only randomness. `denoise(z, gamma)` takes a scalar gamma. Each step
    splits z into x0 and eps and puts them together again at the next, smaller angle; the last returns x0 itself.
    """
    gammas = schedule.gamma(jnp.linspace(1.0, 0.0, steps))

    def step(z, angles):
        here, there = angles
        x0 = denoise(z, here)
        eps = (z - jnp.cos(here) * x0) / jnp.sin(here)
        return jnp.cos(there) * x0 + jnp.sin(there) * eps, None

    z, _ = jax.lax.scan(step, noise, (gammas[:-1], gammas[1:]))
    return denoise(z, gammas[-1])
