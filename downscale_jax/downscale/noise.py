"""Noise that belongs to (seed, member, time, block of the domain) and nothing else: neither tile, batch nor device."""

import math

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 64  # cells a side
NODES = 8  # of the lattice in time that a time stamp sees


def time_nodes(seconds: int, correlation_hours: float) -> tuple[np.ndarray, np.ndarray]:
    """(keys [K, 2] uint32, weights [K] float32): the noise of a time stamp is the weighted sum of the keys' noise.

    seconds: since 1970, possibly negative. Without correlation the stamp is its own key, K = 1. With a correlation time
    T the keys are those of a lattice in time, T/2 apart, and the weights exp(-2 (dt/T)^2), normalised: white noise on
    the lattice under a Gaussian kernel, so that the noise of two stamps correlates by exp(-(dt/T)^2) and has unit
    variance at each, whichever other stamps are asked for and in whatever order.
    """
    if not correlation_hours:
        return words(np.array([seconds])), np.ones(1, np.float32)
    spacing = 1800 * correlation_hours
    first = math.floor(seconds / spacing) - NODES // 2 + 1
    nodes = first + np.arange(NODES)
    weights = np.exp(-((nodes - seconds / spacing) ** 2) / 2)
    return words(nodes), (weights / np.sqrt(np.sum(weights**2))).astype(np.float32)


def words(numbers: np.ndarray) -> np.ndarray:
    """int64 [K] -> their two halves, [K, 2] uint32."""
    return np.stack([(numbers >> 32) & 0xFFFFFFFF, numbers & 0xFFFFFFFF], -1).astype(np.uint32)


def field(
    seed: jax.Array,
    member: jax.Array,
    nodes: jax.Array,
    weights: jax.Array,
    draw: jax.Array | int,
    shape: tuple[int, int],
    channels: int,
) -> jax.Array:
    """Standard normals [H, W, C].

    seed, member uint32; nodes [K, 2] and weights [K] of `time_nodes`; draw: 0 for the start of sampling, i for what a
    stochastic sampler adds in step i.
    """

    def of_node(words):
        key = jax.random.key(seed)
        for word in (member, words[0], words[1], draw):
            key = jax.random.fold_in(key, word)
        return _blocks(key, shape, channels)

    total = weights[0] * of_node(nodes[0])
    if len(weights) > 1:  # one node in memory at a time
        total = jax.lax.fori_loop(1, len(weights), lambda k, sum: sum + weights[k] * of_node(nodes[k]), total)
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
