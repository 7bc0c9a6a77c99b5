"""The Zarr store of an ensemble: begun or resumed, and marked as it is filled.

The store holds every target (member, time, y, x), one chunk per work unit, and `clipped_share` (unit, time): the share
of a unit's valid values that fell outside the physical bounds before clipping.

Small units are written in shards: consecutive times of a group of members in one object, by one process. The shares of
a shard are a chunk, which is written after its values, so that finite shares also mark it as done.
"""

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import zarr

from downscale_jax.downscale.dataset import CLIPPED_SHARE, Provenance, empty_dataset
from downscale_jax.downscale.ensemble import Ensemble, GeneratedUnit, WorkUnit
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.fitting import fit_to_memory
from downscale_jax.downscale.output.places import Place
from downscale_jax.downscale.request import StoreRequest
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError

SHARD_BYTES = 2**25  # a size that file systems and object stores handle well
CLAIMS = 256  # least number of shards: processes share them out, and a kill loses those that are begun


class Shard(NamedTuple):
    """Consecutive times of one group of members, which one process computes."""

    group: int
    number: int


class StoreUnit(NamedTuple):
    """The work unit that a store was begun with."""

    tile: int
    members: int
    sizes: tuple[int, int]  # of the tiles on this domain

    @classmethod
    def of(cls, ensemble: Ensemble) -> 'StoreUnit':
        partition = ensemble.generator.partition
        return cls(partition.tile, partition.members, ensemble.generator.tiling(ensemble.inputs.domain).sizes)

    def to_json(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def from_attributes(cls, attributes: Any) -> 'StoreUnit':
        values = json.loads(str(attributes['unit']))
        return cls(values['tile'], values['members'], tuple(values['sizes']))


def with_units_of(store: Path, generator: FieldGenerator) -> FieldGenerator:
    """The generator in tiles and members of the units that a store was begun with."""
    unit = StoreUnit.from_attributes(zarr.open_group(store, mode='r').attrs)
    return generator.with_partition(tile=unit.tile, members=unit.members)


@dataclass(frozen=True)
class EnsembleStore:
    """A store that is being filled."""

    place: Place
    ensemble: Ensemble  # in the units that the store was begun with
    fields: list[zarr.Array]  # by target
    shares: zarr.Array
    remaining: list[WorkUnit]  # when it was opened, of all processes

    def shard_of(self, unit: WorkUnit) -> Shard:
        return Shard(unit.group, unit.time // self.shares.chunks[1])

    def completes_shard(self, unit: WorkUnit) -> bool:
        """Whether the unit is the last of its shard."""
        return (unit.time + 1) % self.shares.chunks[1] == 0 or unit.time + 1 == self.shares.shape[1]

    def is_done(self, shard: Shard) -> bool:
        """Whether any process has written the shard."""
        return bool(np.isfinite(self.shares[shard.group, shard.number * self.shares.chunks[1]]))

    def undone(self, units: list[WorkUnit]) -> list[WorkUnit]:
        """Those of the units that no process has written, shard after shard."""
        where = [unit.group for unit in units], [unit.time for unit in units]
        done = np.isfinite(np.asarray(self.shares.get_coordinate_selection(where)))
        return sorted(itertools.compress(units, ~done), key=lambda unit: (*reversed(self.shard_of(unit)), unit.time))

    def write(self, generated: list[GeneratedUnit]) -> None:
        """Writes the units of a shard. Raises UserError where the disk refuses."""
        first, last = generated[0], generated[-1]
        times = slice(first.unit.time, last.unit.time + 1)
        try:
            for channel, field in enumerate(self.fields):
                field[first.members, times] = np.stack([one.fields[..., channel] for one in generated], 1)
            self.shares[first.unit.group, times] = np.array([one.clipped_share for one in generated], np.float32)
        except OSError as error:
            raise UserError(
                f'cannot write {self.place}: {error.strerror or error}; finished fields are kept'
            ) from error


def shard_length(ensemble: Ensemble) -> int:
    """Times in a shard of a new store: of SHARD_BYTES, but so few that CLAIMS shards can be shared out."""
    unit_bytes = 4 * ensemble.generator.partition.members * ensemble.area.size
    return max(1, min(SHARD_BYTES // unit_bytes, len(ensemble.units()) // CLAIMS, len(ensemble.inputs)))


def begin_or_resume(
    place: Place, ensemble: Ensemble, request: StoreRequest, provenance: Provenance, available: float, replace: bool
) -> EnsembleStore:
    """Opens the store at a place, which the first process begins if there is none; by all processes of a run together.

    A new store gets units that fit into `available` bytes of memory; one that was begun keeps its own. Raises UserError
    where it holds another request or other tiles, unless the first process may `replace` it, and before anything is
    written or removed where the inputs or the tiles are invalid.
    """

    def begin() -> None:
        _ = ensemble.inputs[0]  # raises
        if jax.process_index() == 0:
            conflict = conflict_with(place, request) or conflict_of_tiles(place, ensemble)
            if conflict and not replace:
                raise conflict
            if conflict or not place.exists():
                fitted = fit_to_memory(ensemble, available, jax.process_count())
                attributes = {'request': request.to_json(), 'unit': StoreUnit.of(fitted).to_json()}
                empty = empty_dataset(fitted, provenance, attributes, shard_length(fitted))
                place.begin(empty, replaced=conflict is not None)

    def open_begun() -> EnsembleStore:
        if conflict := conflict_with(place, request):  # this process may have another request than the first
            raise conflict
        return open_store(place, ensemble)

    parallel.on_all_processes(begin)
    # together: a process that opened the store after another had begun to fill it would see other remaining units
    return parallel.on_all_processes(open_begun)


def open_store(place: Place, ensemble: Ensemble) -> EnsembleStore:
    """The store at a place, with the ensemble in its units even if more memory is free now."""
    group = zarr.open_group(place.store(), mode='r+')
    unit = StoreUnit.from_attributes(group.attrs)
    ensemble = ensemble.with_partition(tile=unit.tile, members=unit.members)
    *fields, shares = (cast(zarr.Array, group[name]) for name in (*ensemble.generator.transform.targets, CLIPPED_SHARE))
    store = EnsembleStore(place, ensemble, fields, shares, [])
    return replace(store, remaining=store.undone(ensemble.units()))


def conflict_with(place: Place, request: StoreRequest) -> UserError | None:
    """The error to raise if a place holds anything but this request, begun or finished."""
    if not place.exists():
        return None
    try:
        stored = str(zarr.open_group(place.store(), mode='r').attrs['request'])
        json.loads(stored)
    except Exception:
        return UserError(f'{place} exists but holds no ensemble of downscale_jax: choose another --output')
    return request.conflict(stored, str(place))


def conflict_of_tiles(place: Place, ensemble: Ensemble) -> UserError | None:
    """The error to raise if an unfinished store was begun in tiles that this version would not continue with."""
    if not place.exists():
        return None
    group = zarr.open_group(place.store(), mode='r')
    unit = StoreUnit.from_attributes(group.attrs)
    resumed = StoreUnit.of(ensemble.with_partition(tile=unit.tile, members=unit.members))
    if np.isfinite(np.asarray(group[CLIPPED_SHARE])).all() or resumed == unit:
        return None
    return UserError(f'{place} was begun in other tiles by another version: choose another --output or remove it')
