"""`downscale_jax.models.unet.UNet` once more, in PyTorch: same layers, names and parameters. Maps [B, C, H, W]."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# of the network in configs/diffusion_sit.py and :paper, with the channels of their conditions
SIZES: dict[str, tuple[dict[str, Any], int]] = {  # {size: (settings of the network, channels of the condition)}
    'default': ({'widths': (64, 96), 'bottleneck': 128, 'stem': 4, 'tail': 128, 'time': 'blocks'}, 6),
    'paper': ({'widths': (32, 64, 96, 128), 'bottleneck': 160, 'stem': 1, 'tail': 0, 'time': 'input'}, 5),
}


def conv(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-6).to(x.dtype)


def space_to_depth(x: torch.Tensor, factor: int) -> torch.Tensor:
    # pixel_unshuffle orders channels otherwise
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // factor, factor, w // factor, factor).permute(0, 3, 5, 1, 2, 4)
    x = x.reshape(b, factor**2 * c, h // factor, w // factor)
    return x.contiguous(memory_format=torch.channels_last)


def depth_to_space(x: torch.Tensor, factor: int) -> torch.Tensor:
    b, c, h, w = x.shape
    x = x.reshape(b, factor, factor, c // factor**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c // factor**2, factor * h, factor * w)


def frequencies(size: int) -> torch.Tensor:
    """JAX's own: at the highest frequency, a difference in the last bit turns an angle by up to 4e-4."""
    return torch.tensor(np.array(jnp.exp(jnp.linspace(0.0, jnp.log(1000.0), size // 2))))


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, width: int, embedding: int):
        super().__init__()
        sizes = [(inputs, width, 3), (width, width, 3)]
        self.project = inputs != width
        for i, size in enumerate([(inputs, width, 1), *sizes] if self.project else sizes):
            setattr(self, f'Conv_{i}', conv(*size))
        if embedding:
            self.Dense_0 = nn.Linear(embedding, 2 * width)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor | None) -> torch.Tensor:
        first, second = (self.Conv_1, self.Conv_2) if self.project else (self.Conv_0, self.Conv_1)
        shortcut = self.Conv_0(x) if self.project else x
        x = first(pixel_norm(x))
        if embedding is not None:
            scale, shift = self.Dense_0(embedding)[:, :, None, None].chunk(2, 1)
            x = pixel_norm(x) * (1 + scale) + shift
        return shortcut + second(F.silu(x))


class UNet(nn.Module):
    """One output channel, two blocks a level, an embedding of 64: what both sizes have in common."""

    def __init__(self, condition: int, widths: tuple, bottleneck: int, stem: int, tail: int, time: str):
        super().__init__()
        self.widths, self.stem, self.tail, self.time = widths, stem, tail, time
        self.register_buffer('frequencies', frequencies(64), persistent=False)
        inputs = stem**2 * (1 + condition)
        size = 1 if stem == 1 else 3
        self.stem_conv = conv(inputs, widths[0], size)
        channels = widths[0] + (64 if time == 'input' else 0)
        film = 128 if time == 'blocks' else 0
        if film:
            self.Dense_0 = nn.Linear(64, film)
        skips = []
        for level, width in enumerate(widths):
            for i in range(2):
                setattr(self, f'down{level}_block{i}', ResidualBlock(channels, width, film))
                channels = width
                skips.append(width)
        for i in range(2):
            setattr(self, f'middle_block{i}', ResidualBlock(channels, bottleneck, film))
            channels = bottleneck
        for level, width in reversed(list(enumerate(widths))):
            for i in range(2):
                setattr(self, f'up{level}_block{i}', ResidualBlock(channels + skips.pop(), width, film))
                channels = width
        if tail:
            self.tail_conv = conv(channels + inputs, tail, 3)
        self.out_conv = conv(tail or channels, stem**2, size)

    def forward(self, x: torch.Tensor, condition: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        inputs = space_to_depth(torch.cat([x, condition], 1), self.stem)
        h = self.stem_conv(inputs)
        angles = 2 * torch.pi * self.frequencies * noise[:, None]
        embedding = torch.cat([angles.sin(), angles.cos()], -1)
        if self.time == 'input':
            tiled = embedding.to(h.dtype)[:, :, None, None].expand(-1, -1, *h.shape[2:])
            h, embedding = torch.cat([h, tiled], 1), None
        else:
            embedding = F.silu(self.Dense_0(embedding))
        skips = []
        for level in range(len(self.widths)):
            for i in range(2):
                h = getattr(self, f'down{level}_block{i}')(h, embedding)
                skips.append(h)
            h = F.avg_pool2d(h, 2)
        for i in range(2):
            h = getattr(self, f'middle_block{i}')(h, embedding)
        for level in reversed(range(len(self.widths))):
            h = F.interpolate(h, scale_factor=2, mode='bilinear')
            for i in range(2):
                h = getattr(self, f'up{level}_block{i}')(torch.cat([h, skips.pop()], 1), embedding)
        if self.tail:
            h = F.silu(self.tail_conv(torch.cat([pixel_norm(h), inputs.to(h.dtype)], 1)))
        return depth_to_space(self.out_conv(h), self.stem).float()


def random_params(shapes: dict, seed: int = 0) -> dict:
    """Parameters of the given shapes in the tree of flax, none of them zero."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return (rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))).astype('f4')

    return jax.tree.map(draw, shapes)


def load(network: UNet, params: dict) -> None:
    """Loads flax's parameters. Raises RuntimeError where names or shapes differ, so that the counts are equal too."""
    state = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params['params']):
        *names, kind = (key.key for key in path)
        turned = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
        state['.'.join([*names, {'kernel': 'weight', 'bias': 'bias'}[kind]])] = torch.tensor(turned)
    network.load_state_dict(state)


def from_maps(x: np.ndarray, device: str = 'cpu') -> torch.Tensor:
    """[B, H, W, C] -> [B, C, H, W], channels last in memory as they were."""
    return torch.tensor(x, device=device).permute(0, 3, 1, 2)


def convolutions(network: UNet, *args: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """(cells a side, inputs, outputs, kernel size) of every convolution that these arguments pass through."""
    found = []

    def note(layer, given, _):
        found.append((given[0].shape[-1], layer.in_channels, layer.out_channels, layer.kernel_size[0]))

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network(*args)
    for hook in hooks:
        hook.remove()
    return found
