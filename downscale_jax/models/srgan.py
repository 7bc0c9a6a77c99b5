"""SRGAN's networks: a generator of fine fields from coarse ones, and the discriminator that judges it.

Ledig et al. 2017, https://arxiv.org/abs/1609.04802, as changed for the atmosphere by Hoffmann and Lessig 2022,
https://arxiv.org/abs/2202.01897 (docs/systems/srgan.md): no normalisation, LeakyReLU with slope 0.2, a bias in every
layer. Maps are [B, H, W, C]; shapes in comments are those of the published patches, 24 x 24 x 2 coarse and
96 x 96 x 2 fine. The generator takes maps of any size, the discriminator only the patches that it was trained on.

The older generator of PhIRE (Stengel et al. 2020, https://doi.org/10.1073/pnas.1918964117), for wind and solar
radiation, is the same class with factors (2, 2), (2, 5) or (5,):
`GeneratorNetwork(2, factors, kernel=3, activation='relu', padding='REFLECT', biases='xavier')`. Its published count of
1,516,418 parameters for (2, 2) implies that the first and the last convolution are 3 x 3 too, and that an upsampling
convolution has 64 f^2 channels, so that 64 remain for every factor f. The rest follows its public code: skips as below,
the long skip from behind the first activation, and no activation after a sum. That code has transposed convolutions of
stride 1 over maps that are extended by 3 cells and cropped again, which equal the convolution used here, with its
kernel reversed, over a map extended by 1 cell.

Kernels are initialised as in the public code: Glorot uniform, dense ones truncated normal of 0.02. Biases are zero, or
drawn by Glorot's rule as in the code of PhIRE. Sub-pixel kernels use ICNR in both generators, as in its paper. The
public code of the newer generator gives them the smaller spread of f^2 times as many channels; that of PhIRE has no
ICNR.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from downscale_jax.models.blocks import Dtype, depth_to_space
from downscale_jax.models.convolution import convolve

Activation = Literal['leaky_relu', 'relu']
Biases = Literal['zero', 'xavier']
Padding = Literal['SAME', 'REFLECT']  # beyond its edge a map is zero, or goes on as in a mirror on its last cell

leaky_relu = partial(nn.leaky_relu, negative_slope=0.2)
ACTIVATIONS: dict[Activation, Callable[[jax.Array], jax.Array]] = {'leaky_relu': leaky_relu, 'relu': nn.relu}

glorot = nn.initializers.glorot_uniform()
conv = partial(nn.Conv, kernel_init=glorot, conv_general_dilated=convolve)
dense = partial(nn.Dense, kernel_init=nn.initializers.truncated_normal(0.02))


def xavier_bias(key: jax.Array, shape: tuple[int, ...], dtype: Dtype = jnp.float32) -> jax.Array:
    """Glorot uniform for a vector, whose fan in and fan out are its length."""
    limit = math.sqrt(3 / shape[0])
    return jax.random.uniform(key, shape, dtype, -limit, limit)


BIASES: dict[Biases, nn.initializers.Initializer] = {'zero': nn.initializers.zeros, 'xavier': xavier_bias}


def icnr(factor: int) -> nn.initializers.Initializer:
    """Start of a convolution before `depth_to_space`: all factor^2 cells that come of one cell have one kernel.

    So the untrained upsampling repeats cells, as nearest neighbour does, and has no checkerboard to unlearn.
    Aitken et al. 2017, https://arxiv.org/abs/1707.02937.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Dtype = jnp.float32) -> jax.Array:
        kernel = glorot(key, (*shape[:-1], shape[-1] // factor**2), dtype)
        return jnp.tile(kernel, factor**2)  # the last axis of a kernel is [row, column, channel] of the fine cells

    return init


class Block(nn.Module):
    """conv3 - activation - conv3, added to the input."""

    activation: Activation
    padding: Padding
    biases: Biases
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv3 = partial(
            conv, x.shape[-1], (3, 3), padding=self.padding, dtype=self.dtype, bias_init=BIASES[self.biases]
        )
        return x + conv3(name='conv1')(ACTIVATIONS[self.activation](conv3(name='conv0')(x)))


class Upsampling(nn.Module):
    """[B, H, W, C] -> [B, factor * H, factor * W, C]: conv3 to factor^2 C channels, depth-to-space, activation."""

    factor: int
    activation: Activation
    padding: Padding
    biases: Biases
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = conv(
            self.factor**2 * x.shape[-1],
            (3, 3),
            padding=self.padding,
            dtype=self.dtype,
            kernel_init=icnr(self.factor),
            bias_init=BIASES[self.biases],
            name='conv',
        )(x)
        return ACTIVATIONS[self.activation](depth_to_space(x, self.factor))


class GeneratorNetwork(nn.Module):
    """Coarse [B, H, W, Cx] -> fine [B, f H, f W, channels], f the product of `factors`."""

    channels: int
    factors: tuple[int, ...] = (2, 2)
    width: int = 64
    blocks: int = 16
    kernel: int = 9  # cells a side that the first and the last convolution see
    activation: Activation = 'leaky_relu'
    padding: Padding = 'SAME'
    biases: Biases = 'zero'
    dtype: Dtype = jnp.float32

    @property
    def stride(self) -> int:
        """Fine cells a side of a coarse one."""
        return math.prod(self.factors)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        common = {'padding': self.padding, 'dtype': self.dtype}
        layer = partial(conv, bias_init=BIASES[self.biases], **common)
        wide = (self.kernel, self.kernel)
        x = layer(self.width, wide, name='in_conv')(x)
        x = skip = ACTIVATIONS[self.activation](x)  # 24 x 24 x 64
        for i in range(self.blocks):
            x = Block(self.activation, biases=self.biases, name=f'block{i}', **common)(x)
        x = skip + layer(self.width, (3, 3), name='skip_conv')(x)
        for i, factor in enumerate(self.factors):
            # 48 x 48 x 64, 96 x 96 x 64
            x = Upsampling(factor, self.activation, biases=self.biases, name=f'upsampling{i}', **common)(x)
        return layer(self.channels, wide, name='out_conv')(x).astype(jnp.float32)  # 96 x 96 x 2


class Discriminator(nn.Module):
    """Fine patches [B, H, W, C] -> logits [B] of their being real."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    dense: int = 1024
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(self.widths):  # 48 x 48 x 32, 24 x 24 x 64, 12 x 12 x 128, 6 x 6 x 256
            for stride in (1, 2):
                x = conv(width, (3, 3), stride, dtype=self.dtype, name=f'conv{2 * i + stride - 1}')(x)
                x = leaky_relu(x)
        x = x.reshape(len(x), -1)  # 9216
        x = leaky_relu(dense(self.dense, dtype=self.dtype, name='dense')(x))
        return dense(1, dtype=self.dtype, name='logit')(x)[:, 0].astype(jnp.float32)
