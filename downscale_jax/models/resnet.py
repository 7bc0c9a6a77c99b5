"""U-Net with a ResNet-34 encoder (docs/systems/glaciers.md): He et al. (2016), https://arxiv.org/abs/1512.03385.

Encoder: a 7 x 7 convolution with stride 2 and 64 channels, 3 x 3 max-pooling with stride 2, then stages of 3, 4, 6 and
3 basic blocks with 64, 128, 256 and 512 channels. Decoder: five doublings, each followed by the map of the encoder at
that resolution, if any, and two 3 x 3 convolutions with 256, 128, 64, 32 and 16 channels. Batch normalisation and ReLU
follow every convolution but the last; convolutions before them have no bias. Shapes in comments are those of the
published patch, 256 x 256.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.blocks import Dtype
from downscale_jax.models.convolution import convolve

conv = partial(
    nn.Conv, use_bias=False, kernel_init=nn.initializers.he_normal(), conv_general_dilated=convolve
)  # fmt: skip


class BasicBlock(nn.Module):
    """conv3 - BN - ReLU - conv3 - BN, added to the input (through a 1 x 1 convolution and BN where the shape changes),
    then ReLU."""

    width: int
    stride: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        y = conv(self.width, (3, 3), self.stride, padding=1, dtype=self.dtype)(x)
        y = conv(self.width, (3, 3), padding=1, dtype=self.dtype)(nn.relu(norm()(y)))
        y = norm()(y)
        if x.shape != y.shape:
            x = norm()(conv(self.width, (1, 1), self.stride, dtype=self.dtype)(x))
        return nn.relu(x + y)


class ResNetUNet(nn.Module):
    """Maps [B, H, W, Cc] to [B, H, W, channels]; H and W divisible by `stride`."""

    channels: int
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    decoder: tuple[int, ...] = (256, 128, 64, 32, 16)
    dtype: Dtype = jnp.float32

    @property
    def stride(self) -> int:
        """Cells that a side of the map must be a multiple of."""
        return 2 ** (len(self.widths) + 1)

    @nn.compact
    def __call__(self, x: None, condition: jax.Array, noise: None = None, train: bool = False) -> jax.Array:
        """`x` and `noise` are those of generators: None. With `train`, batch statistics are used and updated."""
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        h = conv(self.widths[0], (7, 7), 2, padding=3, dtype=self.dtype, name='stem')(condition.astype(self.dtype))
        h = nn.relu(norm(name='stem_norm')(h))  # 128 x 128 x 64
        skips = [h]
        h = nn.max_pool(h, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for i in range(count):  # 64 x 64 x 64, 32 x 32 x 128, 16 x 16 x 256, 8 x 8 x 512
                strided = 2 if stage and not i else 1
                h = BasicBlock(width, strided, self.dtype, name=f'stage{stage}_block{i}')(h, train)
            skips.append(h)
        skips.pop()
        for level, width in enumerate(self.decoder):
            h = jnp.repeat(jnp.repeat(h, 2, 1), 2, 2)
            if skips:
                h = jnp.concatenate([h, skips.pop()], -1)
            for i in range(2):  # 16 x 16 x 256 .. 256 x 256 x 16
                h = conv(width, (3, 3), padding=1, dtype=self.dtype, name=f'up{level}_conv{i}')(h)
                h = nn.relu(norm(name=f'up{level}_norm{i}')(h))
        return nn.Conv(self.channels, (3, 3), padding=1, dtype=self.dtype, name='out_conv')(h).astype(jnp.float32)
