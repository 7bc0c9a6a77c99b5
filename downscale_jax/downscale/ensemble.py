"""An ensemble as a definition: any part of it, computed anywhere and in any order, has the same bits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from downscale_jax.downscale.field_generator import FieldGenerator, SharedInputs, UnitInputs, UnitOutputs
from downscale_jax.downscale.inputs import Inputs
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry.grid import valid_area
from downscale_jax.runtime import parallel


class WorkUnit(NamedTuple):
    """One time of one group of members."""

    time: int
    group: int


class GeneratedUnit(NamedTuple):
    """The members of a work unit. `fields` may be a view of device memory: copy before modifying."""

    unit: WorkUnit
    members: slice  # of the ensemble
    fields: np.ndarray  # [M, H, W, V] in physical units, within the bounds
    clipped_share: float  # of the valid values, those that were outside the bounds


@dataclass(frozen=True)
class Ensemble:
    """All that determines an ensemble of fine fields for every time of the coarse inputs."""

    generator: FieldGenerator
    inputs: Inputs
    statics: xr.Dataset  # the fine grid: `mask` and what networks are shown
    members: int
    seed: int

    @cached_property
    def area(self) -> np.ndarray:
        """Of the cells [H, W], 0 outside the mask."""
        return valid_area(self.statics)

    @property
    def groups(self) -> int:
        """Number of groups of members, each as large as a work unit but possibly the last."""
        return -(-self.members // self.generator.partition.members)

    def units(self) -> list[WorkUnit]:
        """All work units, in order."""
        return [WorkUnit(time, group) for time in range(len(self.inputs)) for group in range(self.groups)]

    def members_of(self, unit: WorkUnit) -> slice:
        """The members that a unit computes, without the surplus of the last group."""
        size = self.generator.partition.members
        return slice(unit.group * size, min((unit.group + 1) * size, self.members))

    def member_count(self, unit: WorkUnit) -> int:
        """Number of members that a unit computes."""
        members = self.members_of(unit)
        return members.stop - members.start

    def with_partition(self, **changes) -> 'Ensemble':
        """The same ensemble in other tiles or work units."""
        return replace(self, generator=self.generator.with_partition(**changes))

    def balanced(self) -> 'Ensemble':
        """The same with units so small that the same number of them computes almost no surplus members."""
        return self.with_partition(members=-(-self.members // self.groups))


def generate(ensemble: Ensemble, units: Iterable[WorkUnit], total: int) -> Iterator[GeneratedUnit]:
    """Generates these work units, of which there are about `total`, in order, on the devices of this process.

    As many units run at once as there are devices; the last batch is filled up with repetitions. If there are few, they
    run one after the other and the devices share their tiles. Inputs are read while the previous batch computes, since
    JAX returns before its results are ready.
    """
    generator, inputs, domain = ensemble.generator, ensemble.inputs, ensemble.inputs.domain
    split = generator.split(domain, total)
    at_once, layout = (1, parallel.replicate) if split == 'tiles' else (jax.local_device_count(), parallel.split_rows)
    size, stamps = generator.partition.members, encode_times(inputs.times)
    shared = parallel.replicate(
        SharedInputs(ensemble.area[..., None], np.uint32(ensemble.seed), np.float32(generator.temperature)), local=True
    )
    pending: tuple[list[WorkUnit], UnitOutputs] | None = None
    remaining = iter(units)
    while batch := list(islice(remaining, at_once)):
        filled = batch + [batch[-1]] * (at_once - len(batch))
        rows = [
            UnitInputs(
                inputs[time],
                generator.time_kernel(int(stamps[time])),
                np.arange(group * size, (group + 1) * size, dtype=np.uint32),
            )
            for time, group in filled
        ]
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *rows)
        outputs = generator.program(domain, split)(generator.params, shared, layout(stacked, local=True))
        if pending:
            yield from _fetch(ensemble, *pending)
        pending = batch, outputs
    if pending:
        yield from _fetch(ensemble, *pending)


def _fetch(ensemble: Ensemble, units: list[WorkUnit], outputs: UnitOutputs) -> Iterator[GeneratedUnit]:
    """Waits for the outputs of a batch and splits them into units, without repetitions and surplus members."""
    for unit, fields, outside, finite in zip(units, *map(np.asarray, outputs), strict=False):
        members, count = ensemble.members_of(unit), ensemble.member_count(unit)
        share = float(outside[:count].sum() / max(finite[:count].sum(), 1))
        yield GeneratedUnit(unit, members, fields[:count], share)
