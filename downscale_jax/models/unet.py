"""Residual U-Net f(x, condition, noise level) for diffusion and regression.

Two forms of one network (docs/systems/sea_ice.md):
- the published sea-ice one (`:paper`): stem=1, time='input'. 1 x 1 stem; the sinusoidal embedding of the noise level
  tiled over the map and concatenated once; widths 32-64-96-128 with two blocks a level, 160 in the bottleneck only;
  a skip after every block; average pooling down, bilinear up; no attention. 3.85 M parameters.
- the default: stem=4, time='blocks'. A 4 x 4 space-to-depth stem moves the whole network to a sixteenth of the
  pixels, where it is about ten times faster on a CPU, and the tail sees the noisy input again through the same
  space-to-depth, or the finest scales would stay weak. The noise level steers every block (FiLM).

The published network normalises by batch statistics; here every pixel is normalised by itself (`blocks.pixel_norm`).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.blocks import (
    Dtype,
    ResidualBlock,
    depth_to_space,
    downsample,
    pixel_norm,
    sinusoidal_embedding,
    space_to_depth,
    upsample,
)


class UNet(nn.Module):
    """Maps [B, H, W, Cx] and [B, H, W, Cc] to [B, H, W, channels]; H and W divisible by `stride`."""

    channels: int
    widths: tuple[int, ...] = (32, 64, 96, 128)
    bottleneck: int = 160
    blocks: int = 2
    embedding: int = 64
    turns: float = 1000.0  # of the embedding's fastest sinusoid over the range of noise levels; the slowest turns once
    stem: int = 1
    tail: int = 0  # width of the tail at stem resolution; 0: a single 1 x 1 convolution
    time: Literal['input', 'blocks'] = 'input'
    dtype: Dtype = jnp.float32

    dropout = 0.0
    noise = 'angle'  # the noise level that it is shown by discrete schedules

    @property
    def stride(self) -> int:
        """Cells that a side of the map must be a multiple of."""
        return self.stem * 2 ** len(self.widths)

    @nn.compact
    def __call__(self, x: jax.Array | None, condition: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        """`x` is the noisy field, None for a regression; `noise` [B] its level in [0, 1], or a noise vector [B, Z],
        None likewise."""
        inputs = condition if x is None else jnp.concatenate([x, condition], -1)
        inputs = space_to_depth(inputs, self.stem).astype(self.dtype)  # [B, h, w, stem^2 (Cx + Cc)]
        h = nn.Conv(self.widths[0], (1, 1) if self.stem == 1 else (3, 3), dtype=self.dtype, name='stem_conv')(inputs)
        embedding = None
        if noise is not None:
            embedding = sinusoidal_embedding(noise, self.embedding, self.turns) if noise.ndim == 1 else noise
            embedding = embedding.astype(self.dtype)
            if self.time == 'input':
                tiled = jnp.broadcast_to(embedding[:, None, None], (*h.shape[:3], embedding.shape[-1]))
                h, embedding = jnp.concatenate([h, tiled], -1), None
            else:
                embedding = nn.silu(nn.Dense(2 * self.embedding, dtype=self.dtype)(embedding))
        skips = []
        for level, width in enumerate(self.widths):
            for i in range(self.blocks):
                h = ResidualBlock(width, self.dtype, name=f'down{level}_block{i}')(h, embedding)
                skips.append(h)
            h = downsample(h)
        for i in range(self.blocks):
            h = ResidualBlock(self.bottleneck, self.dtype, name=f'middle_block{i}')(h, embedding)
        for level, width in reversed(list(enumerate(self.widths))):
            h = upsample(h)
            for i in range(self.blocks):
                h = jnp.concatenate([h, skips.pop()], -1)
                h = ResidualBlock(width, self.dtype, name=f'up{level}_block{i}')(h, embedding)
        if self.tail:
            h = jnp.concatenate([pixel_norm(h), inputs], -1)
            h = nn.silu(nn.Conv(self.tail, (3, 3), dtype=self.dtype, name='tail_conv')(h))
        # zero at the start: the network begins by predicting zero, which is the mean of v
        size = (1, 1) if self.stem == 1 else (3, 3)
        h = nn.Conv(
            self.channels * self.stem**2, size, dtype=self.dtype, kernel_init=nn.initializers.zeros, name='out_conv'
        )(h)
        return depth_to_space(h, self.stem).astype(jnp.float32)
