"""Networks from images to numbers and classes: a CNN, a CNN in polar coordinates, a ResNet (docs/systems/rosettes.md).

Images are [B, H, W, C]. The sizes of CNN and ResNet are those of Ko et al., https://arxiv.org/abs/2507.19759. With
`train` the batch statistics are those of the whole batch over all devices (`parallel.sharded`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.scipy.ndimage import map_coordinates

from downscale_jax.models.atmodist import Encoder, batch_norm, conv

Variables = dict[str, Any]  # {'params': tree, 'batch_stats': tree}, the latter of networks with batch normalisation
ANGLES, RADII = 64, 24  # of polar maps
OUTERMOST = 0.62  # largest radius over the side of the image
MOMENTUM = 0.9  # of the running averages of batch statistics


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


class PolarCnn(nn.Module):
    """conv3 - BN - ReLU - max pooling for each width on polar maps of silhouettes: [B, H, W, V] -> [B, features].

    The arms of a rosette start near its centre: on a map of angle and radius they lie side by side, all in one
    direction. The map is periodic in the angle, and the mean and the maximum over all angles hardly change when the
    crystal is turned. Views go through the same layers, and are joined before the dense layers but the first.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    dense: tuple[int, ...] = (128, 64)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        b, h, w, views = x.shape
        x = jnp.moveaxis(x, -1, 1).reshape(b * views, h, w)
        x = polar(x)[..., None]  # angle, radius
        for i, width in enumerate(self.widths):
            x = jnp.concatenate([x[:, -1:], x, x[:, :1]], 1)
            x = conv(width, (3, 3), padding=((0, 0), (1, 1)), use_bias=False, name=f'conv{i}')(x)
            x = halved(nn.relu(batch_norm(train, MOMENTUM, jnp.float32, f'norm{i}')(x)))
        x = x.reshape(*x.shape[:2], -1)  # 8 angles
        for i, width in enumerate(self.dense):
            x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal(), name=f'dense{i}')(x))
            if i == 0:
                x = jnp.concatenate([x.mean(1), x.max(1)], -1).reshape(b, -1)
        return x


def polar(images: jax.Array) -> jax.Array:
    """[N, ANGLES, RADII] bilinear values of silhouettes [N, H, W] about their centroids.

    Background has the lowest value, as at the border of a framed silhouette. The outermost radius is that of the
    farthest corner of a framed silhouette whose centroid lies in the centre.
    """
    size = max(images.shape[1:])
    angle = 2 * jnp.pi * (jnp.arange(ANGLES) + 0.5) / ANGLES
    radius = size * OUTERMOST * (jnp.arange(RADII) + 0.5) / RADII
    rows, columns = jnp.outer(jnp.sin(angle), radius), jnp.outer(jnp.cos(angle), radius)

    def of_image(image: jax.Array) -> jax.Array:
        weight = image - image.min()
        total = jnp.maximum(weight.sum(), 1e-6)
        row = weight.sum(1) @ jnp.arange(image.shape[0]) / total
        column = weight.sum(0) @ jnp.arange(image.shape[1]) / total
        return map_coordinates(image, [row + rows, column + columns], order=1, mode='nearest')

    return jax.vmap(of_image)(images)


class ResNet(nn.Module):
    """The mean over the last stage of a residual encoder: [B, H, W, C] -> [B, features]."""

    encoder: Encoder

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return self.encoder(x, train)[-1].mean((1, 2))


class PropertyNetwork(nn.Module):
    """Images [B, H, W, C] -> (numbers [B, K], logits [B, classes])."""

    trunk: Cnn | PolarCnn | ResNet
    numbers: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        features = self.trunk(x, train).astype(jnp.float32)
        return nn.Dense(self.numbers, name='numbers')(features), nn.Dense(self.classes, name='classes')(features)
