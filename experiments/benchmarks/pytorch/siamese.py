"""`downscale_jax.models.atmodist.Siamese` in PyTorch: same layers, names and parameters. Maps [B, C, H, W]."""

import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    """Padded like JAX's SAME, which strides make uneven: PyTorch's own padding is the same on both sides."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, bias: bool = True):
        super().__init__(inputs, outputs, size, stride, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for n in (x.shape[-1], x.shape[-2]):
            total = max(0, (-(-n // stride) - 1) * stride + size - n)
            pads += [total // 2, total - total // 2]
        if pads[::2] == pads[1::2]:
            return F.conv2d(x, self.weight, self.bias, stride, pads[::-2])
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, stride)


def batch_norm(width: int, momentum: float) -> nn.BatchNorm2d:
    # PyTorch's momentum is the weight of the new value
    return nn.BatchNorm2d(width, eps=1.001e-5, momentum=1 - momentum)


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, momentum: float):
        super().__init__()
        self.projection = None
        if stride > 1 or inputs != width:
            self.projection = Conv(inputs, width, 1, stride, bias=False)
        self.conv0, self.norm0 = Conv(inputs, width, 3, stride, bias=False), batch_norm(width, momentum)
        self.conv1, self.norm1 = Conv(width, width, 3, bias=False), batch_norm(width, momentum)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.projection is None else self.projection(x)
        x = F.relu(self.norm0(self.conv0(x)), inplace=True)
        return F.relu(self.norm1(self.conv1(x)).add_(shortcut), inplace=True)


class Encoder(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, ...], blocks: int, stem: int, pool: bool, momentum: float):
        super().__init__()
        self.stem_conv, self.stem_norm = Conv(inputs, widths[0], stem, 2), batch_norm(widths[0], momentum)
        self.pool, self.blocks = pool, []
        channels = widths[0]
        for stage, width in enumerate(widths, 1):
            for i in range(blocks):
                block = Block(channels, width, 2 if stage > 1 and i == 0 else 1, momentum)
                self.blocks.append(f'stage{stage}_block{i}')
                self.add_module(self.blocks[-1], block)
                channels = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem_norm(self.stem_conv(x)), inplace=True)
        if self.pool:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        for name in self.blocks:
            x = getattr(self, name)(x)
        return x


class Tail(nn.Module):
    def __init__(self, inputs: int, cells: int, width: int, classes: int, momentum: float):
        super().__init__()
        self.conv0, self.norm0 = Conv(inputs, width, 3, 2), batch_norm(width, momentum)
        self.conv1, self.norm1 = Conv(width, width, 3), batch_norm(width, momentum)
        self.classes = nn.Linear((-(-cells // 2)) ** 2 * width, classes, bias=False)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        x = torch.cat([first, second], 1)
        x = F.relu(self.norm0(self.conv0(x)), inplace=True)
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return self.classes(x.permute(0, 2, 3, 1).flatten(1))  # channels last, as JAX flattens


class Siamese(nn.Module):
    def __init__(self, encoder: Encoder, tail: Tail):
        super().__init__()
        self.encoder, self.tail = encoder, tail

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        codes = self.encoder(torch.cat([first, second]))
        return self.tail(codes[: len(first)], codes[len(first) :])
