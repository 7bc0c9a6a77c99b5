"""Work units on the devices: one time and a fixed number of members each, the same program whatever the split."""

import copy
import dataclasses
import hashlib
from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.downscale import noise
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError


class Task(Protocol):
    """All that downscaling knows of a system."""

    @property
    def network(self) -> Any: ...

    @property
    def draws(self) -> bool:
        """Whether members differ; where they do not there is a single one."""
        ...

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """Normalised targets [M, H, W, C] from condition [1, H, W, Cc] and noise(i) [M, H, W, C]; what stands where
        `valid` [H, W, 1] is False has no influence. `apply(network, *fields)` runs a network over the whole domain."""
        ...


@dataclasses.dataclass(frozen=True)
class Sampling(Solver):
    """How an ensemble is drawn."""

    temperature: float  # factor of all noise
    correlation_hours: float  # time after which the noise of a member correlates by 1/e; 0: days are independent
    tile: int  # cells a side, at most
    overlap: int  # cells that neighbouring tiles share
    members: int  # of one work unit
    conserve: bool = False  # the block mean of what is generated is the coarse field; only where that is a block mean

    def __post_init__(self):
        super().__post_init__()
        if not self.temperature > 0:
            raise UserError(f'sampling.temperature={self.temperature}: a positive factor is needed')
        if not self.correlation_hours >= 0:  # NaN neither
            raise UserError(f'sampling.correlation_hours={self.correlation_hours}: 0 or more hours')
        if self.members < 1:
            raise UserError(f'sampling.members={self.members}: at least 1 is needed')


class Generator:
    """A trained task with the transform it was trained with."""

    def __init__(self, task: Task, params: Any, transform: RefinementTransform | BlockMeans, sampling: Sampling):
        self.task, self.transform, self.sampling = task, transform, sampling
        self.draws = task.draws
        self.host_params = params
        # shared by all that `changed` gives: parameters on the devices, programs compiled once for each shape
        self._on_devices = cache(lambda: parallel.replicate(params, local=True))
        self._programs: dict[tuple, jax.stages.Compiled] = {}

    def changed(self, **sampling: Any) -> 'Generator':
        """The same with other values of these fields of `Sampling`, sharing parameters and compiled programs."""
        other = copy.copy(self)
        other.sampling = dataclasses.replace(self.sampling, **sampling)
        return other

    @property
    def members(self) -> int:
        """Of one work unit."""
        return self.sampling.members if self.draws else 1

    @property
    def params(self) -> Any:
        return self._on_devices()

    @cached_property
    def identity(self) -> str:
        """Digest of the parameters: which network made an ensemble."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(self.host_params):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:16]

    def by_tiles(self, shape: tuple[int, int], periodic: bool, units: int) -> bool:
        """Whether this process, with so many units to do, computes them one after the other, its devices a tile each:
        where fewer tiles then follow each other than if each device had a unit of its own, of which some had none."""
        tiles = len(self.tiling(shape, periodic)[0].origins)
        return units * -(-tiles // jax.local_device_count()) < tiles

    def program(
        self, shape: tuple[int, int], inputs: int, periodic: bool = False, by_tiles: bool = False
    ) -> jax.stages.Compiled:
        """Work units of a domain of this shape with so many channels of inputs, one on each of this process's devices,
        D of them, or, `by_tiles`, one on all of them, D = 1, with the same bits.

        It takes params, area of cells [H, W, 1] (0 outside the mask), seed uint32, temperature, and by unit coarse
        [D, H, W, Cin] in physical units, nodes [D, K, 2] uint32 and weights [D, K] of the noise in time, members [D, M]
        uint32, and gives fields [D, M, H, W, V] in physical units, clipped to their bounds, NaN outside the mask or
        where the coarse target is missing, and counts [D, M, 2] int32 of values that were out of bounds, and finite.

        Where the grid is `periodic`, it is continued on both sides by `overlap` cells of the other, noise included, and
        what comes out there is dropped: no seam at the date line.
        """
        # the temperature is an argument
        sampling = dataclasses.replace(self.sampling, temperature=1.0, members=self.members)
        key = shape, inputs, periodic, by_tiles, sampling
        if key not in self._programs:
            self._programs[key] = self._compile(shape, inputs, periodic, by_tiles)
        return self._programs[key]

    def tiling(self, shape: tuple[int, int], periodic: bool = False) -> tuple[Tiling, int]:
        """The tiles of a domain, and by how many cells it is continued on either side before it is cut into them."""
        stride, overlap = self.task.network.stride, self.sampling.overlap
        tile = self.sampling.tile // stride * stride  # a rival's stride may be another than that which `tile` is for
        halo = min(-(-overlap // stride) * stride, shape[1] // stride * stride) if periodic else 0
        return Tiling((shape[0], shape[1] + 2 * halo), stride, tile, overlap), halo

    def _compile(self, shape: tuple[int, int], inputs: int, periodic: bool, by_tiles: bool) -> jax.stages.Compiled:
        same = np.zeros((*shape, 1), np.float32), np.uint32(0), np.float32(1)
        nodes = noise.time_nodes(0, self.sampling.correlation_hours)
        of_unit = np.zeros((*shape, inputs), np.float32), *nodes, np.zeros(self.members, np.uint32)
        units, split = (1, parallel.WHOLE) if by_tiles else (jax.local_device_count(), parallel.ROWS)
        rows = tuple(np.broadcast_to(x, (units, *x.shape)) for x in of_unit)
        abstract = *parallel.abstract(same, local=True), *parallel.abstract(rows, split, local=True)
        return self._units(shape, periodic, by_tiles).lower(self.params, *abstract).compile()

    def _units(self, shape: tuple[int, int], periodic: bool, by_tiles: bool) -> Any:
        task, transform, sampling = self.task, self.transform, self.sampling
        tiling, halo = self.tiling(shape, periodic)
        apply = partial(tiling.apply, devices=jax.local_device_count() if by_tiles else 1)

        def around(x):
            return jnp.concatenate([x[..., -halo:, :], x, x[..., :halo, :]], -2) if halo else x

        def unit(params, area, seed, temperature, coarse, nodes, weights, members):
            known = (area > 0) & transform.known(coarse)
            valid = tiling.pad(around(known))

            def draw(i):
                def of_member(member):
                    size = shape if halo else tiling.padded
                    field = noise.field(seed, member, nodes, weights, i, size, task.network.channels)
                    return tiling.pad(around(field)) if halo else field

                return temperature * jax.vmap(of_member)(members)

            condition = tiling.pad(around(transform.condition(coarse, known)))[None]
            sample = task.sample(params, condition, valid, draw, apply, sampling)
            field = transform.decode(tiling.crop(sample)[..., halo : halo + shape[1], :], coarse)
            if isinstance(transform, BlockMeans) and sampling.conserve:
                field = transform.conserved(jnp.where(known, field, jnp.nan), coarse, area)
            low, high = transform.limits
            outside, finite = known & ((field < low) | (field > high)), known & jnp.isfinite(field)
            counts = jnp.stack([found.sum((1, 2, 3)) for found in (outside, finite)], -1)
            return jnp.where(known, jnp.clip(field, low, high), jnp.nan), counts

        def rows(params, area, seed, temperature, *of_unit):
            # one unit a device: a leading axis of one, so that no batch size enters the arithmetic
            return jax.tree.map(lambda x: x[None], unit(params, area, seed, temperature, *(x[0] for x in of_unit)))

        whole, split = parallel.WHOLE, parallel.WHOLE if by_tiles else parallel.ROWS
        return parallel.sharded(rows, (*[whole] * 4, *[split] * 4), split, local=True)
