"""Noise levels of discrete-time diffusion as angles: gamma_k = arccos(sqrt(alpha_bar_k)), k = 1..T.

For networks that are trained at T levels only, in place of `schedule.CosineSchedule`. Samplers may visit any angle
between `ends`, provided that the network is shown a noise level that varies slowly from one trained level to the next:
the fastest sinusoid of its embedding should turn by at most a tenth of a revolution. Where it makes a whole revolution
(1000 turns over 1000 levels), a network fitted to the gains of the optimal denoiser for 4000 steps has an error of
0.002 at the trained levels and of 0.075 at the angles of a sampler; with a tenth, of 0.001 at both
(experiments/noise_levels.py).

Samplers omit the noisiest levels: those of 'cosine' lie at half log-SNR -5.8, -6.5 and -9.9, where steps add no
information but use up the few available, and where an error in a predicted eps is amplified 25 times by 10 evaluations,
against 2.5 times from a signal rate of 0.01.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.diffusion.schedule import angle_level

SMALLEST_RATE = 0.01  # signal rate at which samplers start, and ratio of noise to signal at which they end
Betas = Literal['cosine', 'linear']


def cosine_betas(steps: int) -> np.ndarray:
    """Nichol and Dhariwal 2021, eq. 17: alpha_bar_k = f(k)/f(0), f(k) = cos^2((k/T + s)/(1 + s) pi/2), s = 0.008."""
    signal = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - signal[1:] / signal[:-1], 0.999)


def linear_betas(steps: int) -> np.ndarray:
    """Ho et al. 2020, section 4: from 1e-4 to 0.02 in 1000 steps, scaled so that any number adds the same noise."""
    return np.linspace(1e-4, 0.02, steps) * 1000 / steps


BETAS: dict[str, Callable[[int], np.ndarray]] = {'cosine': cosine_betas, 'linear': linear_betas}


@dataclass(frozen=True)
class DiscreteSchedule:
    """T trained noise levels, k = 1 the cleanest."""

    steps: int = 1000
    betas: Betas = 'cosine'
    shown: Literal['angle', 'step'] = 'angle'  # the noise level that a network is shown: gamma/(pi/2), or k - 1

    @cached_property
    def alpha_bars(self) -> np.ndarray:
        """Fraction of the variance that is signal, float64 [T], k = 1..T."""
        return np.cumprod(1 - BETAS[self.betas](self.steps))

    @cached_property
    def angles(self) -> np.ndarray:
        """gamma_k [rad], float64 [T], k = 1..T."""
        return np.arctan2(np.sqrt(1 - self.alpha_bars), np.sqrt(self.alpha_bars))

    @property
    def ends(self) -> tuple[float, float]:
        """Noisiest and cleanest angle that samplers visit: a signal rate and a ratio of noise to signal of 0.01, within
        the trained levels."""
        return min(float(self.angles[-1]), math.acos(SMALLEST_RATE)), max(
            float(self.angles[0]), math.atan(SMALLEST_RATE)
        )

    def gamma(self, t: jax.Array) -> jax.Array:
        """Trained angle [rad] at time t in [0, 1], any shape; the T angles have equal shares of the times."""
        k = jnp.minimum(jnp.floor(t * self.steps), self.steps - 1).astype(int)
        return jnp.asarray(self.angles, t.dtype)[k]

    def level(self, gamma: jax.Array) -> jax.Array:
        """The noise level that a network is shown of an angle [rad]: gamma/(pi/2), or its step k - 1 = 0..T - 1, linear
        between two trained angles."""
        if self.shown == 'angle':
            return angle_level(gamma)
        return jnp.interp(gamma, jnp.asarray(self.angles, gamma.dtype), jnp.arange(self.steps, dtype=gamma.dtype))
