"""DPDM's U-Net f(x, condition, noise level), as published, for diffusion and regression (docs/systems/dpdm.md).

It is the network of SR3 (Saharia et al. 2021, https://arxiv.org/abs/2104.07636) with its noise level in place of a
time step (Chen et al. 2020, https://arxiv.org/abs/2009.00713). Four levels of 64, 64, 128 and 256 channels; one block a
level on the way down and two on the way up, one for each map kept on the way down: the stem's, every block's and
every halving's. Self-attention behind every block of the two coarsest levels, of 32 and 16 cells a side in a patch of
128, and behind the first of the two in the middle. 11,105,409 parameters with 4 channels in and 1 out, which the
published count confirms; shapes in comments are those of that patch. Kernels start by Kaiming's rule everywhere, the
last convolution too: unlike the other U-Net, the untrained network does not return zero.

The noise level is the integer step k - 1 = 0..999 of 1000 trained levels, or a step between two of them, which the
sinusoid takes at frequencies of 10000^(-k/32). The fastest turns by a radian a step, so that the network varies
smoothly between trained levels. Maps are doubled by bicubic interpolation.

Group normalisation and attention look at the whole map, so that a value depends on the tile that it was computed in:
tiles of the size of the training patches are what the network knows.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from downscale_jax.models.blocks import Dtype
from downscale_jax.models.convolution import convolve

kaiming = nn.initializers.he_normal()
conv3 = partial(nn.Conv, kernel_size=(3, 3), padding=1, kernel_init=kaiming, conv_general_dilated=convolve)
conv1 = partial(nn.Conv, kernel_size=(1, 1), kernel_init=kaiming, conv_general_dilated=convolve)
dense = partial(nn.Dense, kernel_init=kaiming)
group_norm = partial(nn.GroupNorm, epsilon=1e-5)

# Keys' kernel with a = -0.75 at distances of 1.75, 0.75, 0.25 and 1.25 cells
CUBIC = (-0.03515625, 0.26171875, 0.87890625, -0.10546875)


class Attention(nn.Module):
    """Every cell of [B, H, W, C] sees all others of its map: one head, softmax(q k / sqrt(C)) v, added to the input."""

    groups: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        normed = group_norm(self.groups, dtype=self.dtype, name='norm')(x)
        qkv = conv1(3 * c, use_bias=False, dtype=self.dtype, name='qkv')(normed)
        q, k, v = jnp.split(qkv.reshape(b, h * w, 1, 3 * c), 3, -1)
        seen = jax.nn.dot_product_attention(q, k, v).reshape(b, h, w, c)
        return x + conv1(c, dtype=self.dtype, name='out')(seen)


class Block(nn.Module):
    """norm - SiLU - conv3 (+ a shift per channel from the noise level) - norm - SiLU - dropout - conv3, added to the
    input (through a 1 x 1 projection where the channels change); then attention."""

    width: int
    groups: int
    dropout: float
    attention: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, embedding: jax.Array | None = None, train: bool = False) -> jax.Array:
        norm = partial(group_norm, self.groups, dtype=self.dtype)
        shortcut = x if x.shape[-1] == self.width else conv1(self.width, dtype=self.dtype, name='projection')(x)
        x = conv3(self.width, dtype=self.dtype, name='conv0')(nn.silu(norm(name='norm0')(x)))
        if embedding is not None:
            x += dense(self.width, dtype=self.dtype, name='noise')(embedding)[:, None, None]
        # whole channels are dropped, as published
        drop = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)
        x = drop(nn.silu(norm(name='norm1')(x)))
        x = shortcut + conv3(self.width, dtype=self.dtype, name='conv1')(x)
        return Attention(self.groups, self.dtype, name='attention')(x) if self.attention else x


class DpdmUNet(nn.Module):
    """Maps [B, H, W, Cx] and [B, H, W, Cc] to [B, H, W, channels]; H and W divisible by `stride`."""

    channels: int
    inner: int = 64
    multipliers: tuple[int, ...] = (1, 1, 2, 4)
    blocks: int = 1  # a level on the way down; one more on the way up
    attention: tuple[int, ...] = (2, 3)  # levels with it, 0 the finest
    groups: int = 32
    dropout: float = 0.1
    dtype: Dtype = jnp.float32

    noise = 'step'  # the noise level that it is shown

    @property
    def stride(self) -> int:
        """Cells that a side of the map must be a multiple of."""
        return 2 ** (len(self.multipliers) - 1)

    @nn.compact
    def __call__(
        self, x: jax.Array | None, condition: jax.Array, noise: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """`x` is the noisy field, None for a regression; `noise` [B] its step, from 0 for the cleanest, or a noise
        vector [B, Z], None likewise.

        With `train`, dropout draws from `rngs={'dropout': key}`, one key for the whole batch.
        """
        embedding = None
        if noise is not None:
            embedding = step_embedding(noise, self.inner) if noise.ndim == 1 else noise
            embedding = nn.silu(dense(4 * self.inner, dtype=self.dtype, name='noise0')(embedding.astype(self.dtype)))
            embedding = dense(self.inner, dtype=self.dtype, name='noise1')(embedding)
        widths = [self.inner * multiplier for multiplier in self.multipliers]
        block = partial(Block, groups=self.groups, dropout=self.dropout, dtype=self.dtype)

        h = condition if x is None else jnp.concatenate([x, condition], -1)
        h = conv3(self.inner, dtype=self.dtype, name='stem')(h.astype(self.dtype))  # 128 x 128 x 64
        skips = [h]
        for level, width in enumerate(widths):
            if level:  # 64 x 64 x 64, 32 x 32 x 64, 16 x 16 x 128
                h = conv3(h.shape[-1], strides=2, dtype=self.dtype, name=f'down{level}')(h)
                skips.append(h)
            for i in range(self.blocks):
                seeing = level in self.attention
                h = block(width, attention=seeing, name=f'down{level}_block{i}')(h, embedding, train)
                skips.append(h)
        for i, seeing in enumerate((True, False)):  # 16 x 16 x 256
            h = block(widths[-1], attention=seeing, name=f'middle_block{i}')(h, embedding, train)
        for level, width in reversed(list(enumerate(widths))):
            for i in range(self.blocks + 1):
                seeing = level in self.attention
                h = jnp.concatenate([h, skips.pop()], -1)
                h = block(width, attention=seeing, name=f'up{level}_block{i}')(h, embedding, train)
            if level:  # 32 x 32 x 256, 64 x 64 x 128, 128 x 128 x 64
                h = conv3(width, dtype=self.dtype, name=f'up{level}')(upsample(h))
        h = nn.silu(group_norm(self.groups, dtype=self.dtype, name='out_norm')(h))
        return conv3(self.channels, dtype=self.dtype, name='out_conv')(h).astype(jnp.float32)


def step_embedding(step: jax.Array, size: int) -> jax.Array:
    """[B] -> [B, size]: sines and cosines of the step times 10000^(-k/(size/2)), k from 0 to size/2 - 1."""
    # in float64, then rounded: an error in the last bit of a frequency turns the angle of step 999 by 6e-5
    frequencies = (10000.0 ** -(np.arange(size // 2) / (size // 2))).astype(np.float32)
    angles = step[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def upsample(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, 2 H, 2 W, C], bicubic, a = -0.75; beyond its edge the map continues with the edge's value."""
    return _double(_double(x, 2), 1)


def _double(x: jax.Array, axis: int) -> jax.Array:
    """Every cell becomes two, a quarter of a cell before and behind its centre."""
    count = x.shape[axis]
    padded = jnp.pad(x, [(2, 2) if i == axis else (0, 0) for i in range(x.ndim)], mode='edge')
    around = [lax.slice_in_dim(padded, start, start + count, axis=axis) for start in range(5)]
    before = sum(weight * cell for weight, cell in zip(CUBIC, around[:4], strict=True))
    behind = sum(weight * cell for weight, cell in zip(CUBIC[::-1], around[1:], strict=True))
    pairs = jnp.stack([before, behind], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 1 :])
