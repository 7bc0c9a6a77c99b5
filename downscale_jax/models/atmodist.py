"""AtmoDist's networks: an encoder of atmospheric fields, and the tails with which it is trained.

Hoffmann and Lessig 2022, https://arxiv.org/abs/2202.01897 (docs/systems/atmodist.md). Maps are [B, H, W, C]; shapes in
comments are those of the published patch, 160 x 160 x 2. Strides round up (SAME padding), so that patches of any side
of 32 and more go through; the encoder takes any map, the tail only the patches that it was trained on.

With `train` the batch statistics are those of the whole batch over all devices, and the networks must run inside
`parallel.sharded`; without, the running averages in `batch_stats` stand in their place. Both patches of all pairs go
through the encoder as one batch, so that they are normalised alike, as they are when the encoder is used; or one after
the other, as published, each normalised by its own statistics, with two updates of the running averages a step.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.blocks import Dtype
from downscale_jax.models.convolution import convolve
from downscale_jax.runtime import parallel

Variables = Mapping[str, Any]  # {'params': tree, 'batch_stats': tree}; trees of several networks by name

conv = partial(nn.Conv, kernel_init=nn.initializers.he_normal(), conv_general_dilated=convolve)


def batch_norm(train: bool, momentum: float, dtype: Dtype, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=momentum,
        epsilon=1.001e-5,
        dtype=dtype,
        axis_name=parallel.AXIS,
        name=name,
    )


def part(variables: Variables, name: str) -> Variables:
    """The variables of one network among several."""
    return {collection: trees[name] for collection, trees in variables.items()}


class Block(nn.Module):
    """conv3 - BN - ReLU - conv3 - BN, added to the input (through a 1 x 1 projection where its shape changes), ReLU."""

    width: int
    stride: int
    momentum: float
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        bare = partial(conv, self.width, use_bias=False, dtype=self.dtype)  # BN has the bias
        norm = partial(batch_norm, train, self.momentum, self.dtype)
        shortcut = x
        if self.stride > 1 or x.shape[-1] != self.width:
            shortcut = bare((1, 1), self.stride, name='projection')(x)
        x = nn.relu(norm('norm0')(bare((3, 3), self.stride, name='conv0')(x)))
        return nn.relu(shortcut + norm('norm1')(bare((3, 3), name='conv1')(x)))


class Encoder(nn.Module):
    """[B, H, W, C] -> the maps at the end of each stage, the first at a quarter of the resolution."""

    widths: tuple[int, ...] = (16, 32, 64, 128)
    blocks: int = 6  # a stage
    stem: int = 8  # cells a side that the first convolution sees
    pool: bool = True  # without, every map has twice the resolution
    momentum: float = 0.9  # of the running averages; 0.99 is published
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        x = conv(self.widths[0], (self.stem, self.stem), 2, dtype=self.dtype, name='stem_conv')(x)
        x = nn.relu(batch_norm(train, self.momentum, self.dtype, 'stem_norm')(x))  # 80 x 80 x 16
        if self.pool:
            x = nn.max_pool(x, (3, 3), (2, 2), 'SAME')  # 40 x 40 x 16
        stages = []
        for stage, width in enumerate(self.widths, 1):
            for i in range(self.blocks):
                stride = 2 if stage > 1 and i == 0 else 1
                x = Block(width, stride, self.momentum, self.dtype, name=f'stage{stage}_block{i}')(x, train)
            stages.append(x)  # 40 x 40 x 16, 20 x 20 x 32, 10 x 10 x 64, 5 x 5 x 128
        return tuple(stages)


class Tail(nn.Module):
    """The encodings of two patches, [B, h, w, C] each -> logits of the lag [B, classes]."""

    classes: int
    width: int = 128
    momentum: float = 0.9
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, first: jax.Array, second: jax.Array, train: bool = False) -> jax.Array:
        x = jnp.concatenate([first, second], -1)  # 5 x 5 x 256
        for i, stride in enumerate((2, 1)):
            x = conv(self.width, (3, 3), stride, dtype=self.dtype, name=f'conv{i}')(x)
            x = nn.relu(batch_norm(train, self.momentum, self.dtype, f'norm{i}')(x))  # 3 x 3 x 128
        x = x.reshape(len(x), -1)  # 1152
        init = nn.initializers.he_normal()
        x = nn.Dense(self.classes, use_bias=False, dtype=self.dtype, kernel_init=init, name='classes')(x)
        return x.astype(jnp.float32)


class Siamese(nn.Module):
    """Two patches [B, H, W, C] of one place -> logits of the lag between them [B, classes]."""

    encoder: Encoder
    tail: Tail
    joint: bool = True  # whether both patches are one batch of the encoder in training

    def __call__(self, first: jax.Array, second: jax.Array, train: bool = False) -> jax.Array:
        if train and not self.joint:
            return self.tail(self.encoder(first, train)[-1], self.encoder(second, train)[-1], train)
        codes = self.encoder(jnp.concatenate([first, second]), train)[-1]
        return self.tail(codes[: len(first)], codes[len(first) :], train)


class Decoder(nn.Module):
    """The last stage of a patch, [B, h, w, C] -> the centre of the patch, [B, *side, channels]."""

    channels: int
    widths: tuple[int, ...] = (64, 32, 16)
    momentum: float = 0.9
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, side: tuple[int, int], train: bool = False) -> jax.Array:
        for i, width in enumerate(self.widths):
            size = [-(-n // 2 ** (len(self.widths) - 1 - i)) for n in side]  # 10 x 10, 20 x 20, 40 x 40
            x = magnify_centre(x, size) if i == 0 else resize(x, size)
            x = conv(width, (3, 3), dtype=self.dtype, name=f'conv{i}')(x)
            x = nn.relu(batch_norm(train, self.momentum, self.dtype, f'norm{i}')(x))
        return conv(self.channels, (3, 3), dtype=self.dtype, name='out_conv')(x).astype(jnp.float32)


class Inpainter(nn.Module):
    """A patch [B, H, W, C] without its centre -> what stood there, [B, *side, C]."""

    encoder: Encoder
    decoder: Decoder

    def __call__(self, x: jax.Array, side: tuple[int, int], train: bool = False) -> jax.Array:
        return self.decoder(self.encoder(x, train)[-1], side, train)


def magnify_centre(x: jax.Array, size: list[int]) -> jax.Array:
    """The middle quarter of each side of [B, h, w, C], bilinear, on `size` cells."""
    b, h, w, c = x.shape
    scale = jnp.array([4 * size[0] / h, 4 * size[1] / w])
    offset = -0.375 * scale * jnp.array([h, w])
    return jax.image.scale_and_translate(x, (b, *size, c), (1, 2), scale, offset, 'linear', antialias=False)


def resize(x: jax.Array, size: list[int]) -> jax.Array:
    return jax.image.resize(x, (len(x), *size, x.shape[-1]), 'bilinear')
