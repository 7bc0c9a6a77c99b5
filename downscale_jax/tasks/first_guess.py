"""First guess of a generator: the mean and the expected error of a trained regression.

A generator with a first guess learns the residual (target - mean) / error, a field of unit variance everywhere, and is
conditioned on mean and error. The ensemble mean then starts from the regression (the two-stage form of Mardani et al.
2025, CorrDiff), and the spread from the expected error, instead of both being learned again through noise. Sea-ice
concentration shows why: it hardly varies in open water and varies strongly at the ice edge, and with one unit for all
places the ensemble was a quarter too narrow after 2000 steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.tasks.regression import Batch, Regression


class FirstGuess(NamedTuple):
    """Parameters of a trained regression, and the ratio of its error to its expected error (about 1)."""

    params: Any
    scale: jax.Array | np.floating


class Params(NamedTuple):
    """The parameters that a generator needs to draw members."""

    unet: Any
    guess: FirstGuess | None


class Conditioned(NamedTuple):
    """What a generator is given: the condition that its network sees [B, H, W, Cs], and location and scale [B, H, W, C]
    of the normalised target, which is mean + error x generated field."""

    shown: jax.Array
    mean: jax.Array
    error: jax.Array

    def residual(self, batch: Batch) -> jax.Array:
        """The field to generate [B, H, W, C], zero where invalid."""
        return jnp.where(batch['mask'], (batch['target'] - self.mean) / self.error, 0)


def conditioned(
    regression: Regression | None,
    guess: FirstGuess | None,
    condition: jax.Array,
    hidden: int,
    channels: int,
    part: jax.Array | None = None,
) -> Conditioned:
    """From the condition [B, H, W, Cc], whose first `hidden` channels the generator's network does not see.

    Of `channels` targets; without a first guess the mean is zero and the scale one. `part` [B], in training only, is
    passed to `Regression.distribution`.
    """
    shown = condition[..., hidden:]
    if regression is None or guess is None:
        mean = jnp.zeros((*condition.shape[:3], channels))
        return Conditioned(shown, mean, jnp.ones_like(mean))
    mean, error = regression.distribution(guess.params, condition, part)
    return Conditioned(jnp.concatenate([shown, mean, error], -1), mean, guess.scale * error)


def conditioned_over(
    apply: Callable, of_condition: Callable[[jax.Array], Conditioned], condition: jax.Array, channels: int
) -> Conditioned:
    """`of_condition` of `channels` targets over a whole domain: `apply(network, *fields)` runs a network there."""
    parts = apply(lambda c: jnp.concatenate(of_condition(c), -1), condition)
    return Conditioned(*jnp.split(parts, parts.shape[-1] - channels * np.array([2, 1]), -1))
