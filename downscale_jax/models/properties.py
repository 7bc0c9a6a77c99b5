"""Networks from images to numbers and classes: a plain CNN and a ResNet (docs/systems/rosettes.md).

Images are [B, H, W, C]. The sizes are those of Ko et al., https://arxiv.org/abs/2507.19759. With `train` the batch
statistics of the ResNet are those of the whole batch over all devices (`parallel.sharded`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.atmodist import Encoder, conv

Variables = dict[str, Any]  # {'params': tree, 'batch_stats': tree}, the latter of the ResNet only


class Cnn(nn.Module):
    """conv3 - ReLU - max pooling for each width, then dense layers: [B, H, W, C] -> [B, features]."""

    widths: tuple[int, ...] = (16, 32, 64)
    dense: tuple[int, ...] = (128, 64)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for i, width in enumerate(self.widths):
            x = halved(nn.relu(conv(width, (3, 3), name=f'conv{i}')(x)))
        x = x.reshape(len(x), -1)
        for i, width in enumerate(self.dense):
            x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal(), name=f'dense{i}')(x))
        return x


def halved(x: jax.Array) -> jax.Array:
    """Max pooling over 2 x 2 pixels of a map that is not negative, its sides rounded up.

    Written out, because on CPUs the gradient of `nn.max_pool` takes longer than that of a convolution: a step of the
    CNN on 128 images of 64 x 64 pixels took 1.08 CPU seconds, and takes 0.77.
    """
    b, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
    return x.reshape(b, -(-h // 2), 2, -(-w // 2), 2, c).max((2, 4))


class ResNet(nn.Module):
    """The mean over the last stage of a residual encoder: [B, H, W, C] -> [B, features]."""

    encoder: Encoder

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return self.encoder(x, train)[-1].mean((1, 2))


class PropertyNetwork(nn.Module):
    """Images [B, H, W, C] -> (numbers [B, K], logits [B, classes])."""

    trunk: Cnn | ResNet
    numbers: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        features = self.trunk(x, train).astype(jnp.float32)
        return nn.Dense(self.numbers, name='numbers')(features), nn.Dense(self.classes, name='classes')(features)
