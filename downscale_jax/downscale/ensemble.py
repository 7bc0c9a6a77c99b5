"""A coarse data set -> an ensemble, unit by unit: in memory, or in a Zarr store that a killed run goes on with.

The store holds every target (member, time, y, x), one chunk a work unit, and `clipped_share` (unit, time): the share of
a unit's valid values that fell outside the physical bounds before clipping. A finite share also marks a unit as done,
since it is written after the unit's values.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import dask.array
import jax
import numpy as np
import xarray as xr
import zarr
from tqdm import tqdm

from downscale_jax.downscale.fitting import SHARE, Domain, fitted, format_gib, free_memory, memory_needed
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import Inputs, open_inputs
from downscale_jax.downscale.noise import time_nodes
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry.grid import valid_area
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError

SOON = 100e6  # evaluated cells, some three minutes on two cores: no need to say how long
SHORT = 10  # seconds of an evaluation that may be repeated
Unit = tuple[int, int]  # (index of the time, index of the group of members)


def generate(
    generator: Generator, inputs: Inputs, area: np.ndarray, members: int, seed: int, units: list[Unit]
) -> Iterator[tuple[Unit, np.ndarray, float]]:
    """Yields (unit, fields [M, H, W, V] within the bounds, share clipped), in order; area [H, W] of the cells, 0 where
    none exists. Fields are views of what the device computed: copy what is to be changed.

    As many units run at once as this process has devices; the last batch is filled up with repetitions. Few units run
    one after the other, their tiles shared out over the devices. Reading the next inputs overlaps computing, since JAX
    returns before a result is there.
    """
    by_tiles, size = generator.by_tiles(area.shape, inputs.periodic, len(units)), generator.members
    at_once, layout = (1, parallel.replicate) if by_tiles else (jax.local_device_count(), parallel.split_rows)
    hours = generator.sampling.correlation_hours
    nodes = [time_nodes(int(stamp), hours) for stamp in encode_times(inputs.times)]
    same = area[..., None], np.uint32(seed), np.float32(generator.sampling.temperature)
    shared = generator.params, *parallel.replicate(same, local=True)
    waiting: tuple[list[Unit], jax.Array, jax.Array] | None = None
    for first in range(0, len(units), at_once):
        batch = units[first : first + at_once]
        filled = batch + [batch[-1]] * (at_once - len(batch))
        rows = (
            np.stack([inputs[time] for time, _ in filled]),
            np.stack([nodes[time][0] for time, _ in filled]),
            np.stack([nodes[time][1] for time, _ in filled]),
            np.stack([np.arange(group * size, (group + 1) * size, dtype=np.uint32) for _, group in filled]),
        )
        program = generator.program(area.shape, rows[0].shape[-1], inputs.periodic, by_tiles)
        result = program(*shared, *layout(rows, local=True))
        if waiting:
            yield from _finish(generator, *waiting, members)
        waiting = batch, *result
    if waiting:
        yield from _finish(generator, *waiting, members)


def _finish(generator: Generator, units: list[Unit], fields: jax.Array, counts: jax.Array, members: int):
    for unit, values, found in zip(units, np.asarray(fields), np.asarray(counts), strict=False):
        asked = members - unit[1] * generator.members
        outside, finite = found[:asked].sum(0)
        yield unit, values[:asked], float(outside / max(finite, 1))


def shared_out(generator: Generator, members: int) -> Generator:
    """With so few members in a unit that as many units compute none that is not asked for, or hardly any."""
    return generator.changed(members=-(-members // -(-members // generator.sampling.members)))


def all_units(generator: Generator, times: int, members: int) -> list[Unit]:
    groups = -(-members // generator.members)
    return [(time, group) for time in range(times) for group in range(groups)]


def of_process(units: list[Unit]) -> list[Unit]:
    """The share of this process."""
    return units[jax.process_index() :: jax.process_count()]


def in_memory(
    generator: Generator,
    dataset: xr.Dataset,
    statics: xr.Dataset,
    members: int,
    seed: int,
    attrs: dict[str, Any],
    corrected: QuantileMap | None = None,
) -> xr.Dataset:
    """The ensemble as a data set (member, time, y, x), with coordinates, units and provenance."""
    inputs = open_inputs(dataset, generator.transform, statics, corrected=corrected)
    area, targets, generator = valid_area(statics), generator.transform.targets, shared_out(generator, members)
    domain = area.shape, inputs.channels, inputs.periodic
    generator = fitted(generator, domain, lambda one: len(all_units(one, len(inputs), members)), SHARE * free_memory())
    values = np.full((members, len(inputs), *area.shape, len(targets)), np.nan, np.float32)
    units, shares = all_units(generator, len(inputs), members), []
    for (time, group), fields, share in generate(generator, inputs, area, members, seed, units):
        values[group * generator.members :, time][: len(fields)] = fields
        shares.append(share)
    result = template(generator, inputs.times, statics, members, attrs)
    for channel, name in enumerate(targets):
        result[name].values = values[..., channel]
    result.attrs['clipped_share'] = float(np.mean(shares))
    return result.drop_vars('clipped_share')


def template(
    generator: Generator, times: np.ndarray, statics: xr.Dataset, members: int, attrs: dict[str, Any]
) -> xr.Dataset:
    """The data set to be filled: dask zeros, one chunk a work unit."""
    transform = generator.transform
    dims = statics['mask'].dims
    shape = (members, len(times), *statics['mask'].shape)
    groups = -(-members // generator.members)
    named = [dict(zip(('valid_min', 'valid_max'), map(float, pair), strict=True)) for pair in transform.limits.T]
    bounds = [{key: value for key, value in pair.items() if np.isfinite(value)} for pair in named]
    return xr.Dataset(
        {
            **{
                name: (
                    ('member', 'time', *dims),
                    dask.array.full(shape, np.nan, dtype=np.float32, chunks=(generator.members, 1, *shape[2:])),
                    {
                        'units': units,
                        'cell_methods': 'area: mean',
                        **limits,
                        **attrs.get('variables', {}).get(name, {}),
                    },
                )
                for name, units, limits in zip(transform.targets, transform.target_units, bounds, strict=True)
            },
            'clipped_share': (
                ('unit', 'time'),
                dask.array.full((groups, len(times)), np.nan, dtype=np.float32, chunks=(1, 1)),
                {'units': '1', 'long_name': 'share of values outside the physical bounds before clipping'},
            ),
        },
        coords={
            'member': ('member', np.arange(members), {'standard_name': 'realization', 'units': '1'}),
            'time': ('time', times, {'standard_name': 'time', 'axis': 'T'}),
            **{name: coordinate for name, coordinate in statics.coords.items() if name != 'time'},
        },
        attrs={
            'Conventions': 'CF-1.8',
            'source': f'downscale_jax {version("downscale_jax")}',
            **{key: value for key, value in attrs.items() if key != 'variables'},
        },
    )


def to_store(
    generator: Generator,
    dataset: xr.Dataset,
    statics: xr.Dataset,
    members: int,
    seed: int,
    attrs: dict[str, Any],
    path: Path,
    request: dict[str, Any],
    replace: bool = False,
    corrected: QuantileMap | None = None,
) -> None:
    """Fills the Zarr store at `path`, going on where an earlier run with the same request stopped.

    `request` says what is asked for; it is kept in the store. Where the store holds another it is removed if `replace`,
    otherwise UserError is raised. Of several processes each fills its share of the units, the first begins the store.
    """
    inputs = open_inputs(dataset, generator.transform, statics, request.get('input', 'the data set'), corrected)
    area = valid_area(statics)
    times = hashlib.sha256(encode_times(inputs.times).tobytes()).hexdigest()[:16]
    asked = {**request, 'times': times, 'members': members, 'seed': seed, 'sampling': asdict(generator.sampling)}
    request = json.loads(json.dumps(asked))

    generator = shared_out(generator, members)
    domain, free = (area.shape, inputs.channels, inputs.periodic), free_memory()

    def ready() -> None:
        # what is wrong with tiles or inputs shows before a store is there, or another is removed
        _ = inputs[0]
        if jax.process_index() == 0:
            other = is_other(path, request) or in_other_tiles(path, generator, domain)
            if other and not replace:
                raise other
            if other or not path.exists():
                made = fitted(
                    generator, domain, lambda one: len(of_process(all_units(one, len(inputs), members))), SHARE * free
                )
                sizes = made.tiling(*domain[::2])[0].sizes
                unit = {'tile': made.sampling.tile, 'members': made.sampling.members, 'sizes': sizes}
                told = {**attrs, 'request': json.dumps(request), 'unit': json.dumps(unit)}
                begin(template(made, inputs.times, statics, members, told), path)
            for cut in path.rglob('*.partial'):  # what a killed run was writing
                cut.unlink()

    def opened() -> tuple[Generator, list[zarr.Array], np.ndarray]:
        if other := is_other(path, request):  # than that of the process that began it
            raise other
        group = zarr.open_group(path, mode='r+')
        arrays = [cast(zarr.Array, group[name]) for name in (*generator.transform.targets, 'clipped_share')]
        # units as the store was begun with, also where there is more memory now
        return generator.changed(**unit_of(group.attrs)), arrays, np.asarray(arrays[-1])

    parallel.together(ready)
    # together: a process that looked when another had begun to write would share out other units
    generator, (*fields, shares), known = parallel.together(opened)
    units = all_units(generator, len(inputs), members)
    left = [(time, part) for time, part in units if not np.isfinite(known[part, time])]
    mine = of_process(left)
    if left:
        parallel.together(lambda: check_fits(path, memory_needed(generator, domain, len(mine)) if mine else 0, free))
    if mine:
        size, needed = generator.members, memory_needed(generator, domain, len(mine))
        if not replace:  # an evaluation says what it does in other words
            disk, sides = members * len(inputs) * len(fields) * area.size * 4, generator.tiling(*domain[::2])[0].sizes
            messages.info(
                f'{members} members x {len(inputs)} times of {area.shape[0]} x {area.shape[1]} cells: {len(left)} of '
                f'{len(units)} units to do, {len(mine)} here; {path.name} takes at most {format_gib(disk)}, a unit '
                f'of {size} members in tiles of {sides[0]} x {sides[1]} cells {format_gib(needed)} of memory'
            )
            say_how_long(generator, inputs, area, members, seed, mine)
        to_do = sum(min(size, members - part * size) for _, part in mine)
        with tqdm(total=to_do, desc=f'downscaling to {path.name}', unit='fields', disable=None) as bar:
            for (time, part), values, share in generate(generator, inputs, area, members, seed, mine):
                try:
                    for channel, field in enumerate(fields):
                        field[part * size : part * size + len(values), time] = values[..., channel]
                    shares[part, time] = share  # behind the values: it marks them as done
                except OSError as error:
                    raise UserError(f'cannot write {path}: {error.strerror or error}; what is done is kept') from error
                memory.give_back()
                bar.update(len(values))
    parallel.barrier('the store is filled')


def unit_of(attrs: Any) -> dict[str, int]:
    """Tile and members of the units of a store; none of one made before stores told."""
    return {name: value for name, value in told_units(attrs).items() if name in ('tile', 'members')}


def told_units(attrs: Any) -> dict[str, Any]:
    return json.loads(str(attrs.get('unit', '{}')))


def in_other_tiles(path: Path, generator: Generator, domain: Domain) -> UserError | None:
    """What to say where an unfinished store was begun in tiles that this version would not go on with."""
    if not path.exists():
        return None
    group = zarr.open_group(path, mode='r')
    sizes = generator.changed(**unit_of(group.attrs)).tiling(*domain[::2])[0].sizes
    if np.isfinite(np.asarray(group['clipped_share'])).all() or told_units(group.attrs).get('sizes') == [*sizes]:
        return None
    return UserError(f'{path} was begun by an earlier version in other tiles: choose another --output')


def check_fits(path: Path, size: float, most: float) -> None:
    """Raises UserError where a unit of a store that is begun takes more memory than there is."""
    if size > most:
        raise UserError(
            f'{path} was begun with units that need {format_gib(size)} of memory, but {format_gib(most)} are '
            'free: resume where more is free, or choose another --output'
        )


def say_how_long(
    generator: Generator, inputs: Inputs, area: np.ndarray, members: int, seed: int, units: list[Unit]
) -> None:
    """Before the first unit, by the seconds of one evaluation of the network on every device; reading overlaps it."""
    by_tiles = generator.by_tiles(area.shape, inputs.periodic, len(units))
    at_once = 1 if by_tiles else jax.local_device_count()
    turns, steps = -(-len(units) // at_once), generator.sampling.steps if generator.draws else 1
    if turns * steps * generator.members * area.size < SOON:
        return
    once, few = generator.changed(steps=1) if generator.draws else generator, units[:at_once]
    once.program(area.shape, inputs.channels, inputs.periodic, by_tiles)

    def seconds(work: Iterator) -> float:
        start = perf_counter()
        for _ in work:
            pass
        return perf_counter() - start

    whole = seconds(generate(once, inputs, area, members, seed, few))
    if whole < SHORT:  # the first one takes a second or two longer
        whole = seconds(generate(once, inputs, area, members, seed, few))
    reading = seconds(inputs[time] for time, _ in few)
    told = timedelta(seconds=round(turns * max(reading, steps * (whole - reading))))
    messages.info(f'about {told} (hours:minutes:seconds) for all units here, judging by one evaluation of the network')


def begin(empty: xr.Dataset, path: Path) -> None:
    """Makes the store of what `template` gives, whole or not at all, in the place of what is there."""
    begun = path.with_name(f'.{path.name}.partial')
    shutil.rmtree(begun, ignore_errors=True)
    try:
        empty.to_zarr(begun, compute=False, consolidated=False, zarr_format=3)
        shutil.rmtree(path, ignore_errors=True)
        begun.rename(path)
    except OSError as error:
        shutil.rmtree(begun, ignore_errors=True)
        raise UserError(f'cannot write {path}: {error.strerror or error}; check space and permissions') from error


def is_other(path: Path, request: dict[str, Any]) -> UserError | None:
    """What to say where `path` holds something else than this request, begun or finished."""
    if not path.exists():
        return None
    try:
        found = json.loads(str(zarr.open_group(path, mode='r').attrs['request']))
    except Exception:
        return UserError(f'{path} exists and is not an ensemble of this program: choose another --output')
    other = {
        key: (found.get(key), request.get(key)) for key in {*found, *request} if found.get(key) != request.get(key)
    }
    for key in ('input', 'statics'):
        if other.keys() & {key, state := f'{key}_state'} == {state}:
            source = found.get(key)
            return UserError(f'{source} has changed since {path} was begun: choose another --output or remove it')
    if 'input' in other or 'statics' in other:  # what they lead to
        other = {key: pair for key, pair in other.items() if key not in ('input_state', 'statics_state', 'times')}
    if other:
        told = ', '.join(f'{key} {a!r} there, {b!r} asked for' for key, (a, b) in sorted(other.items()))
        return UserError(f'{path} holds an ensemble of another request ({told}): choose another --output or remove it')
    return None


def export_netcdf(zarr_path: Path, path: Path) -> None:
    """The finished store as one CF NetCDF file, written lazily."""
    with xr.open_zarr(zarr_path, consolidated=False) as dataset:
        shares = dataset['clipped_share'].values
        dataset = dataset.drop_vars('clipped_share').assign_attrs(clipped_share=float(shares.mean()))
        store.write_netcdf(dataset, path)
