"""An ensemble written to a Zarr store; a run that was killed resumes where it stopped."""

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import jax
from tqdm import tqdm

from downscale_jax.downscale.dataset import NO_PROVENANCE, Provenance
from downscale_jax.downscale.ensemble import Ensemble, WorkUnit, generate
from downscale_jax.downscale.fitting import USABLE_SHARE, format_bytes, free_memory, memory_needed
from downscale_jax.downscale.request import Source, StoreRequest
from downscale_jax.downscale.zarr_store import EnsembleStore, begin_or_resume
from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError

LONG = 100e6  # cells times evaluations, about three minutes on two cores: below, no duration is announced
SHORT = 10  # seconds of an evaluation that is cheap enough to be repeated


def to_store(
    ensemble: Ensemble, path: Path, source: Source, provenance: Provenance = NO_PROVENANCE, replace: bool = False
) -> None:
    """Fills the Zarr store at `path`, resuming where an earlier run with the same request stopped.

    A store of another request is removed if `replace`, without progress messages; otherwise UserError is raised. Each
    of several processes fills its share of the units; the first begins the store.
    """
    request, free = StoreRequest.of(ensemble, source), free_memory()
    store = begin_or_resume(path, ensemble.balanced(), request, provenance, USABLE_SHARE * free, replace)
    units = store.remaining[jax.process_index() :: jax.process_count()]
    if store.remaining:
        parallel.on_all_processes(lambda: check_memory(store, units, free))
    if units and not replace:
        announce(store, units)
    fill(store, units)
    parallel.barrier('the store is filled')


def fill(store: EnsembleStore, units: list[WorkUnit]) -> None:
    """Generates and writes these units."""
    fields = [members.stop - members.start for members in map(store.ensemble.members_of, units)]
    if not units:
        return
    with tqdm(total=sum(fields), desc=f'downscaling to {store.path.name}', unit='fields', disable=None) as bar:
        for generated in generate(store.ensemble, units):
            store.write(generated)
            memory.trim()
            bar.update(len(generated.fields))


def check_memory(store: EnsembleStore, units: list[WorkUnit], free: float) -> None:
    """Raises UserError where a unit of a store that was begun needs more memory than is free."""
    ensemble = store.ensemble
    needed = memory_needed(ensemble.generator, ensemble.inputs.domain, len(units)) if units else 0
    if needed > free:
        raise UserError(
            f'{store.path} was begun with units that need {format_bytes(needed)} of memory, but {format_bytes(free)} '
            'are free: resume where more is free, or choose another --output'
        )


def announce(store: EnsembleStore, units: list[WorkUnit]) -> None:
    """Reports the work of this process, its memory and disk space and, if it is long, its duration."""
    ensemble, domain = store.ensemble, store.ensemble.inputs.domain
    generator, (rows, columns) = ensemble.generator, domain.shape
    times, targets = len(ensemble.inputs), len(generator.transform.targets)
    disk = ensemble.members * times * targets * rows * columns * 4
    tile = ' x '.join(map(str, generator.tiling(domain).sizes))
    needed = memory_needed(generator, domain, len(units))
    messages.info(
        f'{ensemble.members} members x {times} times of {rows} x {columns} cells: {len(store.remaining)} of '
        f'{len(ensemble.units())} units to do, {len(units)} here; {store.path.name} takes at most '
        f'{format_bytes(disk)}, a unit of {generator.partition.members} members in tiles of {tile} cells '
        f'{format_bytes(needed)} of memory'
    )
    seconds = estimated_seconds(ensemble, units)
    if seconds is not None:
        messages.info(
            f'about {timedelta(seconds=round(seconds))} (hours:minutes:seconds) for all units here, estimated from one '
            'evaluation of the network'
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
    whole = _seconds(generate(probe, few))
    if whole < SHORT:  # the first run takes a second or two longer
        whole = _seconds(generate(probe, few))
    reading = _seconds(ensemble.inputs[unit.time] for unit in few)
    return batches * max(reading, steps * (whole - reading))


def _seconds(work: Iterable) -> float:
    """Seconds to exhaust an iterable."""
    start = perf_counter()
    for _ in work:
        pass
    return perf_counter() - start
