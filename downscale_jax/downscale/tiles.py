"""A network over a domain of any size: tiles anchored to the domain, blended in a fixed order.

The tiler wraps one evaluation of the network, so that overlaps are fused at every sampling step and no seam shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError


@dataclass(frozen=True)
class Tiling:
    """Tiles of at most `tile` cells a side that share `overlap` or more; sides and origins: multiples of `stride`."""

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
    def counts(self) -> tuple[int, int]:
        """Tiles along the rows and along the columns: as few as tiles of `tile` cells allow."""
        step = self.tile - self._shared
        h, w = (1 if n <= self.tile else -(-(n - self._shared) // step) for n in self.padded)
        return h, w

    @property
    def sizes(self) -> tuple[int, int]:
        """No larger than so many tiles need to be: what overlaps is computed more than once."""
        h, w = (
            -(-(n + (count - 1) * self._shared) // (count * self.stride)) * self.stride
            for n, count in zip(self.padded, self.counts, strict=True)
        )
        return h, w

    @property
    def origins(self) -> np.ndarray:
        """[T, 2] (row, column), evenly spread."""
        axes = []
        for n, size, count in zip(self.padded, self.sizes, self.counts, strict=True):
            axes.append((np.linspace(0, n - size, count) / self.stride).round().astype(int) * self.stride)
        return np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 2)

    @property
    def _shared(self) -> int:
        """Overlap, up to the stride."""
        return -(-self.overlap // self.stride) * self.stride

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

    def apply(self, network: Callable[..., jax.Array], *fields: jax.Array, devices: int = 1) -> jax.Array:
        """`network(*tiles)` over padded fields [N, H, W, C_i] -> [N, H, W, C], one tile of all N at a time.

        With more than one of `devices`, inside `parallel.sharded` over so many that all hold the same fields, each
        takes one tile of a round, and every one adds the tiles of all in the order in which one alone does: the
        same bits.
        """
        if len(self.origins) == 1:
            return network(*fields)
        size, weights, count = self.sizes, jnp.asarray(self.weights), len(self.origins)
        # in rounds of a tile a device; the last is filled up with repetitions, which are not added
        origins = jnp.asarray(np.pad(self.origins, ((0, -count % devices), (0, 0)), 'edge'))

        def cut(x, origin):
            return jax.lax.dynamic_slice(x, (0, *origin, 0), (x.shape[0], *size, x.shape[-1]))

        def add(canvas, patch, origin):
            return jax.lax.dynamic_update_slice(canvas, cut(canvas, origin) + patch, (0, *origin, 0))

        def of_round(r, canvas):
            first = r * devices
            own = first + jax.lax.axis_index(parallel.AXIS) if devices > 1 else first
            patch = network(*(cut(x, origins[own]) for x in fields)) * weights

            def of_device(i, canvas):
                return add(canvas, parallel.of_device(patch, i) if devices > 1 else patch, origins[first + i])

            return jax.lax.fori_loop(0, unseen(jnp.minimum(devices, count - first)), of_device, canvas)

        shape = jax.eval_shape(network, *(jax.eval_shape(lambda x: cut(x, (0, 0)), x) for x in fields)).shape
        canvas, total = (jnp.zeros((n, *self.padded, c)) for n, c in ((shape[0], shape[-1]), (1, 1)))
        canvas = jax.lax.fori_loop(0, unseen(-(-count // devices)), of_round, canvas)
        return canvas / jax.lax.fori_loop(0, count, lambda i, total: add(total, weights, origins[i]), total)


def unseen(turns: jax.Array | int) -> jax.Array:
    """The turns of a loop, hidden from the compiler. It dissolves loops of a single turn, and then rounds the sums and
    products in it and around it once or twice as it likes: other bits on one device than on several."""
    return jax.lax.optimization_barrier(jnp.asarray(turns))
