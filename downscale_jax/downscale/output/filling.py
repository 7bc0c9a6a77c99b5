"""An ensemble written to a Zarr store; a run that was killed resumes where it stopped."""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from time import perf_counter

import jax
from tqdm import tqdm

from downscale_jax.downscale.dataset import NO_PROVENANCE, Provenance
from downscale_jax.downscale.ensemble import Ensemble, GeneratedUnit, WorkUnit, generate
from downscale_jax.downscale.fitting import USABLE_SHARE, free_memory, memory_needed
from downscale_jax.downscale.output.claims import Claims
from downscale_jax.downscale.output.object_claims import ObjectClaims
from downscale_jax.downscale.output.places import place_of
from downscale_jax.downscale.output.zarr_store import EnsembleStore, Shard, begin_or_resume
from downscale_jax.downscale.request import Source, StoreRequest
from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import first_line
from downscale_jax.runtime.memory import format_bytes

LONG = 100e6  # cells times evaluations, about three minutes on two cores: below, no duration is announced
POLL = 0.5  # seconds between looks at units that other processes compute
SHORT = 10  # seconds of an evaluation that is cheap enough to be repeated


def to_store(
    ensemble: Ensemble, path: Path | str, source: Source, provenance: Provenance = NO_PROVENANCE, replace: bool = False
) -> None:
    """Fills the Zarr store at a path or URL, resuming where an earlier run with the same request stopped.

    A store of another request is removed if `replace`, without progress messages; otherwise UserError is raised. Any
    number of processes with the same request share the work (`downscale.claims`), those of one distributed run and
    independent ones.
    """
    request, free, place = StoreRequest.of(ensemble, source), free_memory(), place_of(path)
    try:
        store = begin_or_resume(place, ensemble.balanced(), request, provenance, USABLE_SHARE * free, replace)
        if store.remaining:
            parallel.on_all_processes(lambda: check_memory(store, free))
            if not replace:
                announce(store)
            fill(store)
    except place.failures as error:
        raise UserError(f'{place}: {first_line(error)}; check the URL, the credentials and the permissions') from error
    parallel.barrier('the store is filled')


def fill(store: EnsembleStore) -> None:
    """Generates and writes the remaining units together with any other process; returns when all are written."""
    remaining, total = store.remaining, len(store.remaining)
    fields = sum(store.ensemble.member_count(unit) for unit in remaining)
    bar = tqdm(total=fields, desc=f'downscaling to {store.place.name}', unit='fields', disable=None)
    with bar, store.place.claims() as claims:
        while remaining:
            shard: list[GeneratedUnit] = []
            for generated in generate(store.ensemble, available(store, claims, remaining), total):
                shard.append(generated)
                if store.completes_shard(generated.unit):
                    store.write(shard)
                    claims.release(name_of(store.shard_of(generated.unit)))
                    shard = []
                memory.trim()
                bar.update(len(generated.fields))
            left = store.undone(remaining)
            if len(left) == len(remaining):  # all of them are being computed by other processes
                time.sleep(POLL)
            remaining = left
        if not claims.others():
            store.place.remove_leftovers()
            claims.remove()


def available(store: EnsembleStore, claims: Claims | ObjectClaims, units: list[WorkUnit]) -> Iterator[WorkUnit]:
    """Claims shard after shard of the units those that no living process computes or has written."""
    for shard, of_shard in groupby(units, key=store.shard_of):
        if claims.take(name_of(shard)):
            if store.is_done(shard):  # by another process, before it was claimed here
                claims.release(name_of(shard))
            else:
                yield from of_shard


def name_of(shard: Shard) -> str:
    """Of its claim."""
    return f'{shard.group}.{shard.number}'


def check_memory(store: EnsembleStore, free: float) -> None:
    """Raises UserError where a unit of a store that was begun needs more memory than is free."""
    ensemble = store.ensemble
    needed = memory_needed(ensemble.generator, ensemble.inputs.domain, len(store.remaining))
    if needed > free:
        raise UserError(
            f'{store.place} was begun with units that need {format_bytes(needed)} of memory, but {format_bytes(free)} '
            'are free: resume where more is free, or choose another --output'
        )


def announce(store: EnsembleStore) -> None:
    """Reports the work, its memory and disk space and, if it is long, its duration."""
    ensemble, domain = store.ensemble, store.ensemble.inputs.domain
    generator, (rows, columns) = ensemble.generator, domain.shape
    times, targets = len(ensemble.inputs), len(generator.transform.targets)
    disk = ensemble.members * times * targets * rows * columns * 4
    tile = ' x '.join(map(str, generator.tiling(domain).sizes))
    needed = memory_needed(generator, domain, len(store.remaining))
    messages.info(
        f'{ensemble.members} members x {times} times of {rows} x {columns} cells: {len(store.remaining)} of '
        f'{len(ensemble.units())} units to do; {store.place.name} takes at most '
        f'{format_bytes(disk)}, a unit of {generator.partition.members} members in tiles of {tile} cells '
        f'{format_bytes(needed)} of memory'
    )
    if disk > (free := store.place.free()):
        messages.warning(
            f'--output {store.place} takes up to {format_bytes(disk)}, but {format_bytes(free)} are free on '
            'its disk: choose another, or fewer --members'
        )
    seconds = estimated_seconds(ensemble, store.remaining[:: jax.process_count()])
    if seconds is not None:
        messages.info(
            f'about {timedelta(seconds=round(seconds))} (hours:minutes:seconds) by the processes of this command, '
            'estimated from one evaluation of the network'
        )


def estimated_seconds(ensemble: Ensemble, units: list[WorkUnit]) -> float | None:
    """Duration of these units, from one evaluation of the network on every device; None if they are done soon.

    Reading inputs overlaps computing, so the slower of the two counts.
    """
    generator, domain = ensemble.generator, ensemble.inputs.domain
    steps = generator.sampling.steps if generator.sampling else 1
    split = generator.split(domain, len(units))
    at_once = 1 if split == 'tiles' else jax.local_device_count()
    batches, (rows, columns) = -(-len(units) // at_once), domain.shape
    if batches * steps * generator.partition.members * rows * columns < LONG:
        return None
    single = generator.with_sampling(steps=1) if generator.sampling else generator
    single.program(domain, split)  # compiles
    probe, few = dataclasses.replace(ensemble, generator=single), units[:at_once]
    whole = _seconds(generate(probe, few, len(units)))
    if whole < SHORT:  # the first run takes a second or two longer
        whole = _seconds(generate(probe, few, len(units)))
    reading = _seconds(ensemble.inputs[unit.time] for unit in few)
    return batches * max(reading, steps * (whole - reading))


def _seconds(work: Iterable) -> float:
    """Seconds to exhaust an iterable."""
    start = perf_counter()
    for _ in work:
        pass
    return perf_counter() - start
