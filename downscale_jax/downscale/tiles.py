"""A domain and its tiles: a network applied to a domain of any size, tile by tile, blended in a fixed order.

Tiling is applied within each evaluation of the network, so overlaps are fused at every sampling step and no seam
shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError


@dataclass(frozen=True)
class Domain:
    """The fine grid on which fields are generated."""

    shape: tuple[int, int]  # rows, columns
    channels: int  # of the coarse inputs on the fine grid
    periodic: bool = False  # whether the last column is the neighbour of the first


@dataclass(frozen=True)
class Tiling:
    """Tiles of at most `tile` cells a side that share at least `overlap` cells.

    Sizes and origins are multiples of the network's `stride`. A `periodic` domain is continued on both sides by `halo`
    columns of the opposite side, so that no seam shows at the date line. Raises UserError where tile and overlap do not
    fit each other or the stride.
    """

    shape: tuple[int, int]  # of the domain
    stride: int
    tile: int
    overlap: int
    periodic: bool = False

    def __post_init__(self):
        margin = 2 * self.stride
        if not 0 <= 2 * self.overlap <= self.tile - margin or self.tile % self.stride:
            least = _round_up(2 * max(self.overlap, 0) + margin, self.stride)
            raise UserError(
                f'sampling.tile={self.tile} with sampling.overlap={self.overlap}: the tile must be a multiple of '
                f'{self.stride} and exceed twice the overlap (0 or more) by at least {margin}, for example {least}'
            )

    @property
    def halo(self) -> int:
        """Columns by which a periodic domain is continued on either side."""
        columns = self.shape[1] // self.stride * self.stride
        return min(_round_up(self.overlap, self.stride), columns) if self.periodic else 0

    @property
    def padded(self) -> tuple[int, int]:
        """Shape of the domain with its halo, extended at the far ends to multiples of the stride."""
        rows, columns = self.shape
        return _round_up(rows, self.stride), _round_up(columns + 2 * self.halo, self.stride)

    @property
    def counts(self) -> tuple[int, int]:
        """Smallest numbers of tiles along rows and columns that cover the domain."""
        step = self.tile - self._shared
        rows, columns = (1 if n <= self.tile else -(-(n - self._shared) // step) for n in self.padded)
        return rows, columns

    @property
    def sizes(self) -> tuple[int, int]:
        """Tile size: no larger than these counts require, since overlaps are computed more than once."""
        rows, columns = (
            -(-(n + (count - 1) * self._shared) // (count * self.stride)) * self.stride
            for n, count in zip(self.padded, self.counts, strict=True)
        )
        return rows, columns

    @property
    def origins(self) -> np.ndarray:
        """First (row, column) of every tile in the padded domain, evenly spread, [T, 2]."""
        axes = []
        for n, size, count in zip(self.padded, self.sizes, self.counts, strict=True):
            axes.append((np.linspace(0, n - size, count) / self.stride).round().astype(int) * self.stride)
        return np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 2)

    @property
    def _shared(self) -> int:
        """Overlap rounded up to the stride."""
        return _round_up(self.overlap, self.stride)

    @property
    def weights(self) -> np.ndarray:
        """Blending weights [h, w, 1], which rise linearly over the inner half of the overlap.

        They are nearly zero in its outer quarter, where the network sees the padding of its convolutions rather than
        the field, but not zero, since no other tile covers the edges of the domain.
        """
        ramps, margin = [], self.overlap // 4
        for size in self.sizes:
            edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
            ramps.append(np.clip((edge - margin) / (self.overlap - 2 * margin + 1), 1e-6, 1.0))
        return np.outer(*ramps)[..., None].astype(np.float32)

    def pad(self, x: jax.Array) -> jax.Array:
        """[..., H, W, C] -> [..., padded H, padded W, C]: the halo, then zeros (invalid cells) at the far ends."""
        if self.halo:
            x = jnp.concatenate([x[..., -self.halo :, :], x, x[..., : self.halo, :]], -2)
        grow = [(0, p - n) for p, n in zip(self.padded, x.shape[-3:-1], strict=True)]
        return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [*grow, (0, 0)])

    def crop(self, x: jax.Array) -> jax.Array:
        """Inverse of `pad`."""
        rows, columns = self.shape
        return x[..., :rows, self.halo : self.halo + columns, :]

    def apply(self, network: Callable[..., jax.Array], *fields: jax.Array, devices: int = 1) -> jax.Array:
        """`network(*tiles)` over padded fields [N, H, W, C_i] -> [N, H, W, C], one tile of all N at a time.

        With several `devices`, inside a `parallel.sharded` program over as many devices that all hold the same fields,
        each device computes one tile of a round, and every device adds the tiles of all of them in the order in which a
        single device would: the same bits.
        """
        if len(self.origins) == 1:
            return network(*fields)
        size, weights, count = self.sizes, jnp.asarray(self.weights)[None], len(self.origins)
        # one tile per device and round; the last round repeats tiles, which are not added
        origins = jnp.asarray(np.pad(self.origins, ((0, -count % devices), (0, 0)), 'edge'))

        def cut(x, origin):
            return jax.lax.dynamic_slice(x, (0, *origin, 0), (x.shape[0], *size, x.shape[-1]))

        def add(canvas, patch, origin):
            return jax.lax.dynamic_update_slice(canvas, cut(canvas, origin) + patch, (0, *origin, 0))

        def add_round(r, canvas):
            first = r * devices
            own = first + jax.lax.axis_index(parallel.AXIS) if devices > 1 else first
            patch = network(*(cut(x, origins[own]) for x in fields)) * weights

            def add_tile(i, canvas):
                return add(
                    canvas, parallel.broadcast_from_device(patch, i) if devices > 1 else patch, origins[first + i]
                )

            return jax.lax.fori_loop(0, opaque(jnp.minimum(devices, count - first)), add_tile, canvas)

        shape = jax.eval_shape(network, *(jax.eval_shape(lambda x: cut(x, (0, 0)), x) for x in fields)).shape
        # zeros_like: the carry of the loop varies over the devices if the fields do
        canvas = jnp.zeros_like(fields[0], jnp.float32, shape=(shape[0], *self.padded, shape[-1]))
        total = jnp.zeros((1, *self.padded, 1))
        canvas = jax.lax.fori_loop(0, opaque(-(-count // devices)), add_round, canvas)
        return canvas / jax.lax.fori_loop(0, count, lambda i, total: add(total, weights, origins[i]), total)


def opaque(iterations: jax.Array | int) -> jax.Array:
    """A number of iterations, hidden from the compiler.

    XLA inlines loops of a single iteration and may then contract sums and products in and around them, so that one
    device would give other bits than several.
    """
    return jax.lax.optimization_barrier(jnp.asarray(iterations))


def _round_up(cells: int, stride: int) -> int:
    return -(-cells // stride) * stride
