"""`downscale_jax.models.srgan` in PyTorch: same layers, names and parameters. Maps [B, C, H, W]."""

from typing import Any

import jax
import torch
from torch import nn
from torch.nn import functional as F

from experiments.benchmarks.pytorch.siamese import Conv


def leaky_relu(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2, inplace=True)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv0, self.conv1 = Conv(width, width, 3), Conv(width, width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(leaky_relu(self.conv0(x))).add_(x)


class Upsampling(nn.Module):
    def __init__(self, width: int, factor: int):
        super().__init__()
        self.conv, self.factor = Conv(width, factor**2 * width, 3), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return leaky_relu(F.pixel_shuffle(self.conv(x), self.factor))


class Generator(nn.Module):
    """The newer one, with LeakyReLU and zeros beyond the edges."""

    def __init__(self, channels: int, factors: tuple[int, ...], width: int, blocks: int, kernel: int):
        super().__init__()
        self.in_conv, self.skip_conv = Conv(channels, width, kernel), Conv(width, width, 3)
        self.out_conv = Conv(width, channels, kernel)
        self.middle = [f'block{i}' for i in range(blocks)]
        for name in self.middle:
            self.add_module(name, Block(width))
        self.finer = [f'upsampling{i}' for i in range(len(factors))]
        for name, factor in zip(self.finer, factors, strict=True):
            self.add_module(name, Upsampling(width, factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = skip = leaky_relu(self.in_conv(x))
        for name in self.middle:
            x = getattr(self, name)(x)
        x = self.skip_conv(x).add_(skip)
        for name in self.finer:
            x = getattr(self, name)(x)
        return self.out_conv(x)


class Discriminator(nn.Module):
    def __init__(self, channels: int, side: int, widths: tuple[int, ...], dense: int):
        super().__init__()
        self.convs: list[Any] = []
        for width in widths:
            for stride in (1, 2):
                self.convs.append(f'conv{len(self.convs)}')
                self.add_module(self.convs[-1], Conv(channels, width, 3, stride))
                channels = width
            side = -(-side // 2)
        self.dense, self.logit = nn.Linear(side**2 * channels, dense), nn.Linear(dense, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.convs:
            x = leaky_relu(getattr(self, name)(x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, as JAX flattens
        return self.logit(leaky_relu(self.dense(x)))[:, 0]


def for_pixel_shuffle(params: Any, factors: tuple[int, ...]) -> Any:
    """The generator's parameters with the channels of its upsampling in PyTorch's order, [channel, row, column], where
    JAX's `depth_to_space` has [row, column, channel]."""

    def turned(path, leaf):
        name = path[1].key  # after 'params'
        if not name.startswith('upsampling'):
            return leaf
        cells = factors[int(name.removeprefix('upsampling'))] ** 2
        return leaf.reshape(*leaf.shape[:-1], cells, -1).swapaxes(-1, -2).reshape(leaf.shape)

    return jax.tree_util.tree_map_with_path(turned, params)
