"""From noise to a sample by repeated denoising. A sampler knows `denoise(z, gamma) -> x0`, never a network.

All are deterministic: noise [..., H, W, C], standard normal, is the only randomness. They walk from t = 1 to t = 0 and
return what the last denoising, at gamma_min, sees. `steps` counts evaluations of `denoise`, which takes a scalar gamma.
alpha = cos(gamma), sigma = sin(gamma).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.schedule import CosineSchedule

Denoise = Callable[[jax.Array, jax.Array], jax.Array]


def ddim(denoise: Denoise, noise: jax.Array, schedule: CosineSchedule, steps: int) -> jax.Array:
    """DDIM (Song et al. 2021, eq. 12 with eta = 0): first order.

    Evenly spaced in t. Each step splits z into x0 and eps and puts them together again at the next, smaller angle. On a
    mode of unit variance that multiplies z by cos(step): 16 evaluations lose a seventh of the variance.
    """

    def step(z, angles):
        here, there = angles
        x0 = denoise(z, here)
        eps = (z - jnp.cos(here) * x0) / jnp.sin(here)
        return jnp.cos(there) * x0 + jnp.sin(there) * eps, None

    gammas = schedule.gamma(jnp.linspace(1.0, 0.0, steps))
    z, _ = jax.lax.scan(step, noise, (gammas[:-1], gammas[1:]))
    return denoise(z, gammas[-1])


def dpm_solver(denoise: Denoise, noise: jax.Array, schedule: CosineSchedule, steps: int) -> jax.Array:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order from one evaluation a step.

    In lambda = ln(alpha / sigma), the half log-SNR, with h = lambda' - lambda and r = h_before / h:
    D = (1 + 1/2r) x0 - (1/2r) x0_before and z' = (sigma'/sigma) z + alpha' (1 - exp(-h)) D. The first step, which has
    none before it, is DDIM's. Evenly spaced in lambda: with ten evaluations Gaussian modes of variance 0.001 to 20 then
    keep 0.95 to 1.03 of their amplitude, against 0.80 to 1.12 evenly in t and 0.67 to 0.88 by DDIM.
    """

    def half_log_snr(gamma):
        return -jnp.log(jnp.tan(gamma))

    def step(carry, angles):
        z, before, h_before = carry
        here, there = angles
        x0 = denoise(z, here)
        h = half_log_snr(there) - half_log_snr(here)
        x = x0 + h / (2 * h_before) * (x0 - before)
        z = jnp.sin(there) / jnp.sin(here) * z + jnp.cos(there) * -jnp.expm1(-h) * x
        return (z, x0, h), None

    noisiest, cleanest = half_log_snr(schedule.gamma(jnp.array([1.0, 0.0])))
    gammas = jnp.arctan(jnp.exp(-jnp.linspace(noisiest, cleanest, steps)))
    start = noise, jnp.zeros_like(noise), jnp.full_like(gammas[0], jnp.inf)  # an infinite step before has no weight
    (z, _, _), _ = jax.lax.scan(step, start, (gammas[:-1], gammas[1:]))
    return denoise(z, gammas[-1])


SAMPLERS = {'ddim': ddim, 'dpm_solver': dpm_solver}
