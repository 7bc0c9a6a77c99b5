"""The published U-Net of DPDM in PyTorch, from its description (docs/systems/dpdm.md). Maps [B, C, H, W]."""

import math

import torch
from torch import nn
from torch.nn import functional as F

GROUPS = 32


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


class Attention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(self.norm(x)).flatten(2).chunk(3, 1)  # [B, C, cells]
        weights = torch.softmax(torch.einsum('bcq,bck->bqk', query, key) / math.sqrt(x.shape[1]), -1)
        return x + self.out(torch.einsum('bqk,bck->bcq', weights, value).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float, attention: bool):
        super().__init__()
        self.norm0, self.conv0 = nn.GroupNorm(GROUPS, inputs), conv3(inputs, outputs)
        self.noise = nn.Linear(embedding, outputs)
        self.norm1, self.drop, self.conv1 = (
            nn.GroupNorm(GROUPS, outputs),
            nn.Dropout2d(dropout),
            conv3(outputs, outputs),
        )
        self.projection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        self.attention = Attention(outputs) if attention else None

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv0(F.silu(self.norm0(x))) + self.noise(embedding)[:, :, None, None]
        h = self.conv1(self.drop(F.silu(self.norm1(h))))
        h = h + (x if self.projection is None else self.projection(x))
        return h if self.attention is None else self.attention(h)


class DpdmUNet(nn.Module):
    def __init__(self, channels: int, condition: int, inner: int, dropout: float, multipliers=(1, 1, 2, 4)):
        super().__init__()
        self.inner, self.levels = inner, len(multipliers)
        self.noise0, self.noise1 = nn.Linear(inner, 4 * inner), nn.Linear(4 * inner, inner)
        self.stem = conv3(channels + condition, inner)
        widths, width, skips = [inner * m for m in multipliers], inner, [inner]

        def add(name: str, inputs: int, outputs: int, attention: bool) -> None:
            self.add_module(name, Block(inputs, outputs, inner, dropout, attention))

        for level, outputs in enumerate(widths):
            if level:
                self.add_module(f'down{level}', conv3(width, width, 2))
                skips.append(width)
            add(f'down{level}_block0', width, outputs, level in (2, 3))
            width = outputs
            skips.append(width)
        add('middle_block0', width, width, True)
        add('middle_block1', width, width, False)
        for level in reversed(range(self.levels)):
            for i in range(2):
                add(f'up{level}_block{i}', width + skips.pop(), widths[level], level in (2, 3))
                width = widths[level]
            if level:
                self.add_module(f'up{level}', conv3(width, width))
        self.out_norm, self.out_conv = nn.GroupNorm(GROUPS, width), conv3(width, channels)

    def embedding(self, step: torch.Tensor) -> torch.Tensor:
        exponents = torch.arange(self.inner // 2) / (self.inner // 2)
        angles = step[:, None] * torch.exp(-math.log(10_000.0) * exponents)
        return self.noise1(F.silu(self.noise0(torch.cat([angles.sin(), angles.cos()], -1))))

    def forward(self, x: torch.Tensor, condition: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        part, embedding = dict(self.named_children()), self.embedding(step)
        h = self.stem(torch.cat([x, condition], 1))
        skips = [h]
        for level in range(self.levels):
            if level:
                h = part[f'down{level}'](h)
                skips.append(h)
            h = part[f'down{level}_block0'](h, embedding)
            skips.append(h)
        for i in range(2):
            h = part[f'middle_block{i}'](h, embedding)
        for level in reversed(range(self.levels)):
            for i in range(2):
                h = part[f'up{level}_block{i}'](torch.cat([h, skips.pop()], 1), embedding)
            if level:
                h = part[f'up{level}'](F.interpolate(h, scale_factor=2, mode='bicubic', align_corners=False))
        return self.out_conv(F.silu(self.out_norm(h)))
