"""Denoising loss per example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.schedule import Prediction, error_weight, expected, noisy


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over the valid cells of each example, [B, H, W, C] and [B, H, W, 1] -> [B]; zero if none is valid."""
    mask = jnp.broadcast_to(mask, x.shape)
    # where before any arithmetic: NaN times zero is NaN
    return jnp.where(mask, x, 0).sum((1, 2, 3)) / jnp.maximum(mask.sum((1, 2, 3)), 1)


def denoising_loss(
    network: Callable[[jax.Array, jax.Array], jax.Array],
    y: jax.Array,
    mask: jax.Array,
    gamma: jax.Array,
    noise: jax.Array,
    prediction: Prediction,
    weighting: Prediction,
) -> jax.Array:
    """Squared error of the network's prediction from z = cos(gamma) y + sin(gamma) noise over valid cells, [B].

    `network(z, gamma)` predicts the quantity `prediction`; `weighting` is the quantity whose unweighted squared error
    is minimised. y [B, H, W, C] is finite everywhere (zero where invalid), mask [B, H, W, 1] bool, gamma [B].
    """
    output = network(noisy(y, noise, gamma), gamma)
    error = jnp.square(output - expected(y, noise, gamma, prediction))
    return error_weight(gamma, prediction, weighting) * masked_mean(error, mask)
