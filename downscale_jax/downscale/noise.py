"""Noise keyed by seed, member, time and absolute block of the domain, whatever the tiles, batches and devices."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 64  # cells a side
LATTICE_POINTS = 8  # of the lattice in time that contribute to a time stamp


class TimeKernel(NamedTuple):
    """The noise of a time stamp: a weighted sum of K independent noise fields, each with a key of its own."""

    keys: Any  # [K, 2] uint32, the upper and the lower half of an integer
    weights: Any  # [K] float32; their squares sum to 1


def time_kernel(seconds: int, correlation_hours: float) -> TimeKernel:
    """The kernel of a time stamp in `seconds` since 1970, possibly negative.

    Without correlation the stamp is its own key, K = 1. With a correlation time T the keys are those of a lattice in
    time with spacing T/2 and the weights are exp(-2 (dt/T)^2), normalised: white noise on the lattice, smoothed by a
    Gaussian kernel. The noise of two stamps thus correlates by exp(-(dt/T)^2) and has unit variance at each, whichever
    other stamps are requested and in whatever order.
    """
    if not correlation_hours:
        return TimeKernel(uint32_halves(np.array([seconds])), np.ones(1, np.float32))
    spacing = 1800 * correlation_hours
    first = math.floor(seconds / spacing) - LATTICE_POINTS // 2 + 1
    points = first + np.arange(LATTICE_POINTS)
    weights = np.exp(-((points - seconds / spacing) ** 2) / 2)
    return TimeKernel(uint32_halves(points), (weights / np.sqrt(np.sum(weights**2))).astype(np.float32))


def uint32_halves(numbers: np.ndarray) -> np.ndarray:
    """int64 [K] -> upper and lower halves [K, 2] uint32."""
    return np.stack([(numbers >> 32) & 0xFFFFFFFF, numbers & 0xFFFFFFFF], -1).astype(np.uint32)


def field(
    seed: jax.Array, member: jax.Array, kernel: TimeKernel, draw: jax.Array | int, shape: tuple[int, int], channels: int
) -> jax.Array:
    """Standard normals [H, W, C].

    seed and member are uint32; draw is 0 for the start of sampling and i for what a stochastic sampler adds in step i.
    """
    keys, weights = kernel

    def of_key(halves):
        key = jax.random.key(seed)
        for number in (member, halves[0], halves[1], draw):
            key = jax.random.fold_in(key, number)
        return _blocks(key, shape, channels)

    total = weights[0] * of_key(keys[0])
    if len(weights) > 1:  # one noise field in memory at a time
        total = jax.lax.fori_loop(1, len(weights), lambda k, sum: sum + weights[k] * of_key(keys[k]), total)
    return total


def _blocks(key: jax.Array, shape: tuple[int, int], channels: int) -> jax.Array:
    rows, columns = (-(-n // BLOCK) for n in shape)

    def block(row, column):
        at = jax.random.fold_in(jax.random.fold_in(key, row), column)
        return jax.random.normal(at, (BLOCK, BLOCK, channels))

    over_columns = jax.vmap(block, (None, 0))
    blocks = jax.vmap(over_columns, (0, None))(jnp.arange(rows), jnp.arange(columns))
    whole = blocks.transpose(0, 2, 1, 3, 4).reshape(rows * BLOCK, columns * BLOCK, channels)
    return whole[: shape[0], : shape[1]]
