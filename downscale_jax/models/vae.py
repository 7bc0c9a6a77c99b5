"""Convolutional variational autoencoders of images, plain or residual (docs/systems/cloud_vae.md).

Images are [B, H, W, C], codes [B, L]. Every level halves the resolution, rounding up, and doubles it again in the
decoder; shapes in comments are those of 64 x 64 x 3 with three levels.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.atmodist import conv
from downscale_jax.models.blocks import ResidualBlock, upsample

LARGEST_LOG_VARIANCE = 10.0


class Encoder(nn.Module):
    """Images -> mean and logarithm of the variance of their codes, [B, L] each."""

    widths: tuple[int, ...]
    blocks: int  # residual blocks per level; 0: a convolution alone
    latents: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        for level, width in enumerate(self.widths):
            x = conv(width, (3, 3), 2, name=f'conv{level}')(x)  # 32 x 32, 16 x 16, 8 x 8
            x = levelled(x, width, self.blocks, f'level{level}')
        x = x.reshape(len(x), -1)
        mean, log_variance = jnp.split(nn.Dense(2 * self.latents, name='code')(x), 2, -1)
        return mean, jnp.clip(log_variance, -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)


class Decoder(nn.Module):
    """Codes [B, L] -> images [B, *shape]."""

    widths: tuple[int, ...]
    blocks: int
    shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        height, width, channels = self.shape
        sizes = [(-(-height // 2**k), -(-width // 2**k)) for k in range(len(self.widths) + 1)]
        rows, columns = sizes[-1]  # 8 x 8
        x = nn.relu(nn.Dense(rows * columns * self.widths[-1], name='code')(z))
        x = x.reshape(len(z), rows, columns, self.widths[-1])
        for level in reversed(range(len(self.widths))):
            rows, columns = sizes[level]
            x = upsample(x)[:, :rows, :columns]  # 16 x 16, 32 x 32, 64 x 64
            x = conv(self.widths[level], (3, 3), name=f'conv{level}')(x)
            x = levelled(x, self.widths[level], self.blocks, f'level{level}')
        return conv(channels, (3, 3), name='image')(x).astype(jnp.float32)


class Autoencoder(nn.Module):
    """Encoder and decoder."""

    encoder: Encoder
    decoder: Decoder

    def __call__(self, x: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Reconstruction [B, H, W, C] from a code drawn with standard normal `noise` [B, L]; its mean and logarithm of
        the variance."""
        mean, log_variance = self.encoder(x)
        return self.decoder(mean + jnp.exp(log_variance / 2) * noise), mean, log_variance

    def encode(self, x: jax.Array) -> jax.Array:
        """Means of the codes, [B, L]."""
        return self.encoder(x)[0]

    def decode(self, z: jax.Array) -> jax.Array:
        return self.decoder(z)


def levelled(x: jax.Array, width: int, blocks: int, name: str) -> jax.Array:
    """ReLU, or residual blocks."""
    for i in range(blocks):
        x = ResidualBlock(width, name=f'{name}_block{i}')(x)
    return x if blocks else nn.relu(x)
