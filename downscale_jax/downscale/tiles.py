"""A network over a domain of any size: tiles anchored to the domain, blended in a fixed order.

The tiler wraps one evaluation of the network, so that overlaps are fused at every sampling step and no seam shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.runtime.errors import UserError


@dataclass(frozen=True)
class Tiling:
    """Tiles of `tile` cells a side that overlap by at least `overlap`; sides and origins are multiples of `stride`."""

    shape: tuple[int, int]  # the domain
    stride: int  # of the network
    tile: int
    overlap: int

    def __post_init__(self):
        if not 0 <= 2 * self.overlap <= self.tile - 2 * self.stride or self.tile % self.stride:
            raise UserError(
                f'sampling.tile {self.tile} must be a multiple of {self.stride} and exceed twice the overlap '
                f'{self.overlap} by {2 * self.stride} or more'
            )

    @property
    def padded(self) -> tuple[int, int]:
        """The domain, grown at its far ends to multiples of the stride."""
        h, w = (-(-n // self.stride) * self.stride for n in self.shape)
        return h, w

    @property
    def sizes(self) -> tuple[int, int]:
        h, w = (min(self.tile, n) for n in self.padded)
        return h, w

    @property
    def origins(self) -> np.ndarray:
        """[T, 2] (row, column), evenly spread."""
        axes = []
        for n, size in zip(self.padded, self.sizes, strict=True):
            step = (size - self.overlap) // self.stride * self.stride
            count = 1 if n == size else 1 - (size - n) // step
            axes.append((np.linspace(0, n - size, count) / self.stride).round().astype(int) * self.stride)
        return np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 2)

    @property
    def weights(self) -> np.ndarray:
        """[h, w, 1]: rises linearly over the inner half of the overlap.

        Next to nothing in its outer quarter, where the network sees the padding of its convolutions rather than the
        field; not zero, since at the edges of the domain there is no other tile.
        """
        ramps, margin = [], self.overlap // 4
        for size in self.sizes:
            edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
            ramps.append(np.clip((edge - margin) / (self.overlap - 2 * margin + 1), 1e-6, 1.0))
        return np.outer(*ramps)[..., None].astype(np.float32)

    def pad(self, x: jax.Array) -> jax.Array:
        """[..., H, W, C] -> [..., padded H, padded W, C], with zeros: invalid cells of the condition."""
        grow = [(0, p - n) for p, n in zip(self.padded, self.shape, strict=True)]
        return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [*grow, (0, 0)])

    def crop(self, x: jax.Array) -> jax.Array:
        """Undoes `pad`."""
        return x[..., : self.shape[0], : self.shape[1], :]

    def apply(self, network: Callable[..., jax.Array], *fields: jax.Array) -> jax.Array:
        """`network(*tiles)` over padded fields [N, H, W, C_i] -> [N, H, W, C], one tile of all N at a time."""
        if len(self.origins) == 1:
            return network(*fields)
        size, weights = self.sizes, jnp.asarray(self.weights)

        def cut(x, origin):
            return jax.lax.dynamic_slice(x, (0, *origin, 0), (x.shape[0], *size, x.shape[-1]))

        def add(canvas, patch, origin):
            return jax.lax.dynamic_update_slice(canvas, cut(canvas, origin) + patch, (0, *origin, 0))

        def one(canvases, origin):
            out = network(*(cut(x, origin) for x in fields))
            return (add(canvases[0], out * weights, origin), add(canvases[1], weights[None], origin)), None

        shape = jax.eval_shape(network, *(jax.eval_shape(lambda x: cut(x, (0, 0)), x) for x in fields))
        canvas = jnp.zeros((shape.shape[0], *self.padded, shape.shape[-1]))
        total = jnp.zeros((1, *self.padded, 1))
        (canvas, total), _ = jax.lax.scan(one, (canvas, total), jnp.asarray(self.origins))
        return canvas / total
