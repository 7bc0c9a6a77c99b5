"""Continuous-time cosine schedule and the three quantities that a network may predict.

A noisy field is z = cos(gamma) y + sin(gamma) eps with the angle gamma in (0, pi/2): signal rate cos(gamma), noise
rate sin(gamma), so z has unit variance if y has. Time t in [0, 1] runs from clean to noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import jax
import jax.numpy as jnp

Prediction = Literal['eps', 'v', 'x0']


class Schedule(Protocol):
    """Noise levels on which a network is trained, as a function of time."""

    def gamma(self, t: jax.Array) -> jax.Array:
        """Angle [rad] at time t in [0, 1], any shape."""
        ...

    @property
    def ends(self) -> tuple[float, float]:
        """Noisiest and cleanest angle [rad] that samplers visit."""
        ...

    def level(self, gamma: jax.Array) -> jax.Array:
        """The noise level that a network is shown of an angle [rad], any shape."""
        ...


def angle_level(gamma: jax.Array) -> jax.Array:
    """gamma/(pi/2), in [0, 1]."""
    return gamma / (jnp.pi / 2)


def variance_level(gamma: jax.Array) -> jax.Array:
    """sin^2(gamma), the noise's share of the variance of z, in [0, 1]."""
    return jnp.square(jnp.sin(gamma))


LEVELS: dict[str, Callable[[jax.Array], jax.Array]] = {'angle': angle_level, 'variance': variance_level}


@dataclass(frozen=True)
class CosineSchedule:
    """gamma = gamma_min + t (gamma_max - gamma_min), with limits given as signal rates at t = 0 and t = 1.

    The published limits (0.95, 0.02) cannot keep fine-scale power: the last denoising keeps only
    s / (s + tan^2 gamma_min) of the power of a mode with variance s.
    """

    signal_rates: tuple[float, float] = (0.9995, 0.01)
    shown: str = 'angle'  # a name in LEVELS

    @property
    def ends(self) -> tuple[float, float]:
        """Noisiest and cleanest trained angle."""
        start, end = self.signal_rates
        return math.acos(end), math.acos(start)

    def gamma(self, t: jax.Array) -> jax.Array:
        """Angle [rad] at time t, any shape."""
        start, end = (math.acos(rate) for rate in self.signal_rates)
        return start + t * (end - start)

    def level(self, gamma: jax.Array) -> jax.Array:
        """The noise level in [0, 1] that a network is shown of an angle [rad], any shape."""
        return LEVELS[self.shown](gamma)


def expand(gamma: jax.Array, like: jax.Array) -> jax.Array:
    """[B] -> [B, 1, 1, 1], broadcastable to fields."""
    return gamma.reshape(gamma.shape + (1,) * (like.ndim - gamma.ndim))


def noisy(y: jax.Array, noise: jax.Array, gamma: jax.Array) -> jax.Array:
    """z = cos(gamma) y + sin(gamma) eps; y and noise [B, H, W, C], gamma [B]."""
    gamma = expand(gamma, y)
    return jnp.cos(gamma) * y + jnp.sin(gamma) * noise


def expected(y: jax.Array, noise: jax.Array, gamma: jax.Array, prediction: Prediction) -> jax.Array:
    """Training target: eps, x0 = y, or v = cos(gamma) eps - sin(gamma) y (Salimans and Ho 2022)."""
    gamma = expand(gamma, y)
    return {'eps': noise, 'x0': y, 'v': jnp.cos(gamma) * noise - jnp.sin(gamma) * y}[prediction]


def clean(output: jax.Array, z: jax.Array, gamma: jax.Array, prediction: Prediction) -> jax.Array:
    """The denoised field x0 [B, H, W, C] implied by a network's output."""
    gamma = expand(gamma, z)
    if prediction == 'eps':
        return (z - jnp.sin(gamma) * output) / jnp.cos(gamma)
    return output if prediction == 'x0' else jnp.cos(gamma) * z - jnp.sin(gamma) * output


def error_weight(gamma: jax.Array, prediction: Prediction, weighting: Prediction) -> jax.Array:
    """Factor from the squared error of `prediction` to that of `weighting`, [B] -> [B].

    At a given z the errors are proportional: eps = cos(gamma) v, x0 = -sin(gamma) v.
    """
    size = {'eps': jnp.cos(gamma), 'x0': jnp.sin(gamma), 'v': jnp.ones_like(gamma)}
    return (size[weighting] / size[prediction]) ** 2
