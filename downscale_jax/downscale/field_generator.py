"""A trained task as a generator of fine fields: its work units as compiled programs on this process's devices."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.diffusion.samplers import Noise
from downscale_jax.downscale import noise
from downscale_jax.downscale.noise import TimeKernel
from downscale_jax.downscale.settings import GenerationSettings
from downscale_jax.downscale.tiles import Domain, Tiling
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.kinds import FieldTransform
from downscale_jax.fields.transforms.moments import per_channel
from downscale_jax.runtime import parallel

# What the devices of a process divide among themselves: work units, or the tiles of a single unit.
Split = Literal['units', 'tiles']


class GenerativeTask(Protocol):
    """All that downscaling knows about a trained task."""

    @property
    def network(self) -> Any: ...

    @property
    def draws(self) -> bool:
        """Whether the task draws members that differ; otherwise it is deterministic and gives a single field."""
        ...

    def sample(
        self, params: Any, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Any
    ) -> jax.Array:
        """Normalised targets [M, H, W, C] from condition [1, H, W, Cc] and noise(i) [M, H, W, C].

        Cells where `valid` [H, W, 1] is False have no influence. `apply(network, *fields)` runs a network over the
        whole domain. `solver` is a `diffusion.samplers.Solver`, None for a deterministic task.
        """
        ...


class SharedInputs(NamedTuple):
    """Inputs that all work units share."""

    area: Any  # of the cells [H, W, 1], 0 outside the mask
    seed: Any  # uint32
    temperature: Any  # float32


class UnitInputs(NamedTuple):
    """Inputs of work units; in a program every array has a leading axis of units."""

    coarse: Any  # inputs on the fine grid [H, W, Cin] in physical units
    kernel: TimeKernel  # of the noise at the unit's time
    members: Any  # indices in the ensemble [M] uint32


class UnitOutputs(NamedTuple):
    """Outputs of work units; in a program every array has a leading axis of units."""

    fields: Any  # [M, H, W, V] in physical units, clipped to their bounds, NaN where masked or without coarse target
    outside: Any  # [M] int32: number of values outside the bounds before clipping
    finite: Any  # [M] int32: number of finite values


class FieldGenerator:
    """A trained task with its parameters, the transform it was trained with and the settings of generation."""

    def __init__(
        self,
        task: GenerativeTask,
        params: Any,
        transform: FieldTransform,
        settings: GenerationSettings,
    ):
        settings = settings if task.draws else settings.deterministic()
        self.task, self.transform, self.draws = task, transform, task.draws
        self.partition, self.sampling, self.conserve = settings.partition, settings.sampling, settings.conserve
        self.host_params = params
        # shared with the copies of `with_partition` and `with_sampling`: device parameters, compiled programs
        self._on_devices = cache(lambda: parallel.replicate(params, local=True))
        self._programs: dict[tuple, jax.stages.Compiled] = {}

    def with_partition(self, **changes: Any) -> 'FieldGenerator':
        """A copy with other fields of `Partition`, sharing parameters and compiled programs."""
        other = copy.copy(self)
        other.partition = replace(self.partition, **changes)
        return other

    def with_sampling(self, **changes: Any) -> 'FieldGenerator':
        """A copy with other fields of `Sampling`, sharing parameters and compiled programs."""
        if self.sampling is None:
            raise TypeError('a deterministic task has no sampling to change')
        other = copy.copy(self)
        other.sampling = replace(self.sampling, **changes)
        return other

    @property
    def params(self) -> Any:
        return self._on_devices()

    @cached_property
    def identity(self) -> str:
        """Digest of the parameters, which identifies the network that made an ensemble."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(self.host_params):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:16]

    @property
    def temperature(self) -> float:
        """Factor of all noise; without effect in a deterministic task."""
        return self.sampling.noise_factor if self.sampling else 1.0

    def time_kernel(self, seconds: int) -> TimeKernel:
        """Kernel of the noise at a time stamp, see `noise.time_kernel`."""
        return noise.time_kernel(seconds, self.sampling.correlation_hours if self.sampling else 0.0)

    def tiling(self, domain: Domain) -> Tiling:
        """The tiles of a domain."""
        stride = self.task.network.stride
        tile = self.partition.tile // stride * stride  # the setting fits the main network; a rival's stride may differ
        return Tiling(domain.shape, stride, tile, self.partition.overlap, domain.periodic)

    def split(self, domain: Domain, units: int) -> Split:
        """How the devices of this process share `units` work units: one each, or the tiles of one after the other.

        They share tiles where that needs fewer consecutive evaluations of a tile: where devices would otherwise idle.
        """
        tiles = len(self.tiling(domain).origins)
        return 'tiles' if units * -(-tiles // jax.local_device_count()) < tiles else 'units'

    def program(self, domain: Domain, split: Split = 'units') -> jax.stages.Compiled:
        """The compiled program (params, SharedInputs, UnitInputs) -> UnitOutputs of a domain.

        It computes D work units: one on each of this process's devices or, with the split 'tiles', D = 1 on all of
        them, with the same bits.
        """
        sampling = replace(self.sampling, temperature=None) if self.sampling else None  # temperature is an argument
        key = domain, split, self.partition, sampling, self.conserve
        if key not in self._programs:
            self._programs[key] = self._compile(domain, split)
        return self._programs[key]

    def _compile(self, domain: Domain, split: Split) -> jax.stages.Compiled:
        shared = SharedInputs(np.zeros((*domain.shape, 1), np.float32), np.uint32(0), np.float32(1))
        coarse = np.zeros((*domain.shape, domain.channels), np.float32)
        unit = UnitInputs(coarse, self.time_kernel(0), np.zeros(self.partition.members, np.uint32))
        units, spec = (
            (1, parallel.REPLICATED) if split == 'tiles' else (jax.local_device_count(), parallel.SHARDED_ROWS)
        )
        rows = jax.tree.map(lambda x: np.broadcast_to(x, (units, *x.shape)), unit)
        arguments = parallel.abstract(shared, local=True), parallel.abstract(rows, spec, local=True)

        def on_device(params, shared, rows):
            # one unit on each device, as an axis of length one: no batch size enters the arithmetic
            outputs = self._generate_unit(domain, split, params, shared, jax.tree.map(lambda x: x[0], rows))
            return jax.tree.map(lambda x: x[None], outputs)

        program = parallel.sharded(on_device, (parallel.REPLICATED, parallel.REPLICATED, spec), spec, local=True)
        return program.lower(self.params, *arguments).compile()

    def _generate_unit(
        self, domain: Domain, split: Split, params: Any, shared: SharedInputs, unit: UnitInputs
    ) -> UnitOutputs:
        task, transform, tiling = self.task, self.transform, self.tiling(domain)
        apply = partial(tiling.apply, devices=jax.local_device_count() if split == 'tiles' else 1)
        known = (shared.area > 0) & transform.known(unit.coarse)

        def draw(i):
            def of_member(member):
                # a halo repeats the noise of the opposite side; elsewhere noise covers the padding too
                shape = domain.shape if tiling.halo else tiling.padded
                field = noise.field(shared.seed, member, unit.kernel, i, shape, task.network.channels)
                return tiling.pad(field) if tiling.halo else field

            return shared.temperature * jax.vmap(of_member)(unit.members)

        valid, condition = tiling.pad(known), tiling.pad(transform.condition(unit.coarse, known))[None]
        sample = task.sample(params, condition, valid, draw, apply, self.sampling)
        known = known[None]  # [1, H, W, 1], as for members
        field = transform.decode(tiling.crop(sample), unit.coarse[None])
        if self.conserve and isinstance(transform, BlockMeans):
            field = transform.conserved(jnp.where(known, field, jnp.nan), unit.coarse[None], shared.area[None])
        low, high = (per_channel(limit, field) for limit in transform.limits)
        outside, finite = known & ((field < low) | (field > high)), known & jnp.isfinite(field)
        clipped = jnp.where(known, jnp.clip(field, low, high), jnp.nan)
        return UnitOutputs(clipped, outside.sum((1, 2, 3)), finite.sum((1, 2, 3)))
