"""Pieces that several networks share. Maps are [B, H, W, C]; compute in `dtype`, parameters in float32."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

Dtype = Any


def space_to_depth(x: jax.Array, factor: int) -> jax.Array:
    """[B, H, W, C] -> [B, H/factor, W/factor, factor * factor * C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // factor, w // factor, factor * factor * c)


def depth_to_space(x: jax.Array, factor: int) -> jax.Array:
    """[B, H, W, factor * factor * C] -> [B, factor * H, factor * W, C]; inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // factor**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * factor, w * factor, c // factor**2)


def pixel_norm(x: jax.Array) -> jax.Array:
    """Divides by the root mean square over channels, pixel by pixel.

    Unlike batch or group norm it knows nothing of the rest of the map or of the batch, so that a patch, a tile and
    a whole domain give the same value at the same place, and devices need not communicate.
    """
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x.astype(jnp.float32)), -1, keepdims=True) + 1e-6).astype(x.dtype)


def sinusoidal_embedding(level: jax.Array, size: int, turns: float) -> jax.Array:
    """Noise level in [0, 1], [B] -> [B, size]: sines and cosines at frequencies log-spaced from 1 to `turns`."""
    frequencies = jnp.exp(jnp.linspace(0.0, jnp.log(turns), size // 2))
    angles = (2 * jnp.pi * frequencies)[None] * level[:, None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def downsample(x: jax.Array) -> jax.Array:
    """2 x 2 average pooling."""
    return nn.avg_pool(x, (2, 2), (2, 2))


@jax.custom_vjp
def upsample(x: jax.Array) -> jax.Array:
    """Doubles height and width, bilinear; beyond its edge the map goes on as at the edge.

    Written out, with its gradient, because `jax.image.resize` multiplies by dense matrices: over 16 maps of 32 x 32
    cells and 64 channels that took two CPU cores 13 ms, as long as a convolution, and takes 2; the gradient took 16 ms
    (24 when left to autodiff), and takes 5.
    """
    return _double(_double(x, 2), 1)


def _double(x: jax.Array, axis: int) -> jax.Array:
    """Every cell becomes two, each three quarters itself and a quarter of the neighbour on its side."""
    first, last = _ends(x, axis)
    before = jnp.concatenate([first, lax.slice_in_dim(x, 0, -1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(x, 1, None, axis=axis), last], axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])


def _double_transposed(y: jax.Array, axis: int) -> jax.Array:
    """The transpose of the linear map y = _double(x)."""
    pairs = y.reshape(*y.shape[:axis], y.shape[axis] // 2, 2, *y.shape[axis + 1 :])
    even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    before = jnp.concatenate([_ends(even, axis)[0], lax.slice_in_dim(odd, 0, -1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(even, 1, None, axis=axis), _ends(odd, axis)[1]], axis)
    return 0.75 * (even + odd) + 0.25 * (before + after)


def _ends(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    return lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, -1, None, axis=axis)


upsample.defvjp(
    lambda x: (upsample(x), None),
    lambda _, y: (_double_transposed(_double_transposed(y, 1), 2),),
)


class ResidualBlock(nn.Module):
    """norm - conv3 - SiLU - conv3, added to the input (through a 1 x 1 projection where the channels change).

    With `embedding` [B, E] the map is scaled and shifted per channel after the norm (FiLM), as the noise level asks.
    """

    width: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, embedding: jax.Array | None = None) -> jax.Array:
        shortcut = x if x.shape[-1] == self.width else nn.Conv(self.width, (1, 1), dtype=self.dtype)(x)
        x = nn.Conv(self.width, (3, 3), dtype=self.dtype)(pixel_norm(x))
        if embedding is not None:
            film = nn.Dense(2 * self.width, dtype=self.dtype, kernel_init=nn.initializers.zeros)(embedding)
            scale, shift = jnp.split(film[:, None, None, :], 2, -1)
            x = pixel_norm(x) * (1 + scale) + shift
        x = nn.Conv(self.width, (3, 3), dtype=self.dtype)(nn.silu(x))
        return shortcut + x
