"""Fields in time -> pairs of patches of one place, some hours apart -> records, a record a pair (AtmoDist).

Pairs are drawn before anything is read and cut while the series streams by, one field at a time: memory holds a few
fields and the patches whose partner is still to come, however long the series is.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from data_prep.records import series
from data_prep.records.writer import SPLITS, Writer
from downscale_jax.fields import store
from downscale_jax.fields.dates import check_splits, select_dates
from downscale_jax.fields.grid import is_periodic
from downscale_jax.fields.times import encode_times
from downscale_jax.fields.wind import ATTRIBUTES
from downscale_jax.runtime.errors import UserError

VERSION = 1  # of this file's results: raise it when they change
KEYS = ('path', 'simulate', 'variables', 'level', *SPLITS, 'step_hours', 'lags', 'patch', 'pairs_per_time', 'latitudes')


class Draw(NamedTuple):
    """Pairs of one split, [N] each, in order of their first time."""

    first: np.ndarray  # index of the time
    second: np.ndarray
    lag: np.ndarray  # in steps, from 1
    row: np.ndarray  # of the patch's first cell
    column: np.ndarray


def check(data: dict) -> None:
    """Raises UserError for settings that no series can fulfil."""
    for key in ('lags', 'patch', 'pairs_per_time', 'step_hours'):
        if data[key] < 1:
            raise UserError(f'data.{key}={data[key]}: at least 1 is needed')
    if not data['variables']:
        raise UserError(f'data.variables is empty: name one or more, {", ".join(ATTRIBUTES)} for example')
    series.check_simulated(data)
    rows = data['simulate'].get('rows', 0)
    if not data['path'] and data['patch'] > rows:
        raise UserError(
            f'data.patch={data["patch"]} does not fit data.simulate.rows={rows}: choose more rows, or data.path'
        )


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the pairs of all splits, the grid and the transform fitted to the training split."""
    fields = series.open_fields(data, seed)
    if fields.sizes['time'] < 2:
        raise UserError(f'{data["path"]}: pairs need two times and more, found {fields.sizes["time"]}')
    splits = {split: data[split] for split in SPLITS}
    check_splits(splits, fields['time'].values)
    y, x = fields[data['variables'][0]].dims[1:]
    grid = fields.drop_dims('time').assign_coords({y: fields[y], x: fields[x]})
    store.write_netcdf(grid, directory / 'statics.nc')

    parts = {split: select_dates(fields, dates) for split, dates in splits.items()}
    # all before the first is cut: a lag that a split cannot have shows at once
    drawn = {
        split: draw(part, data, np.random.default_rng((seed, ordinal)), split)
        for ordinal, (split, part) in enumerate(parts.items())
    }
    transform = series.fit_transform(parts['train'], data)

    patch = (data['patch'], data['patch'], len(data['variables']))
    shapes = {'first': patch, 'second': patch, **dict.fromkeys(('lag', 'time', 'row', 'column'), ())}
    kept = dict.fromkeys(SPLITS, 0)
    with Writer(directory, shapes, 'Patches of one place at two times, a record a pair.') as writer:
        for split, part in parts.items():
            for record in cut(part, drawn[split], data, f'preparing {split}'):
                writer.add(split, **record)
                kept[split] += 1
            if not kept[split]:
                raise UserError(f"split '{split}' ({splits[split]}): every pair has missing values")
    meta = {
        'name': name,
        'kind': 'lag_pairs',
        'transform': transform.to_json(),
        'calendar': fields['time'].dt.calendar,
        'records': kept,
        'idealised': not data['path'],
        'step_hours': data['step_hours'],
        'lags': data['lags'],
        'patch': data['patch'],
        'grid': [fields.sizes[y], fields.sizes[x]],
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def draw(fields: xr.Dataset, data: dict, rng: np.random.Generator, split: str) -> Draw:
    """`pairs_per_time` pairs for each time of a split: the lag uniform over 1..lags steps, then the first time uniform
    over those that have a partner this much later, so that neither the ends of the split nor a gap favour short lags;
    the place uniform in grid rows of the band and in longitude. Raises UserError for a lag that no pair can have.
    """
    seconds = encode_times(fields['time'].values)
    count = data['pairs_per_time'] * len(seconds)
    lag = rng.integers(1, data['lags'] + 1, count)
    first, second = np.zeros(count, int), np.zeros(count, int)
    for steps in range(1, data['lags'] + 1):
        later = seconds + round(3600 * steps * data['step_hours'])
        partner = np.searchsorted(seconds, later).clip(max=len(seconds) - 1)
        starts = np.flatnonzero(seconds[partner] == later)
        if not len(starts):
            raise UserError(
                f"split '{split}': no two of its {len(seconds)} times are {steps * data['step_hours']} h apart: lower "
                f'data.lags={data["lags"]}, set data.step_hours to the step of the data, or lengthen the split'
            )
        mine = lag == steps
        first[mine] = rng.choice(starts, mine.sum())
        second[mine] = partner[first[mine]]
    rows, columns = origins(fields, data)
    order = np.argsort(first, kind='stable')
    places = rng.choice(rows, count), rng.choice(columns, count)
    return Draw(*(array[order] for array in (first, second, lag, *places)))


def origins(fields: xr.Dataset, data: dict) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns at which a patch may begin: its centre within the band of latitudes, wrapping in longitude."""
    y, x = fields[data['variables'][0]].dims[1:]
    height, width, size = fields.sizes[y], fields.sizes[x], data['patch']
    if size > min(height, width):
        raise UserError(f'data.patch={size} does not fit the grid of {height} x {width}: choose a smaller one')
    rows = np.arange(height - size + 1)
    if 'lat' in fields.coords and fields['lat'].ndim == 1:
        south, north = data['latitudes']
        centre = np.interp(rows + (size - 1) / 2, np.arange(height), fields['lat'].values)
        rows = rows[(centre >= south) & (centre <= north)]
        if not rows.size:
            raise UserError(f'no patch of {size} rows has its centre within data.latitudes={data["latitudes"]}')
    return rows, np.arange(width if is_periodic(fields) else width - size + 1)


def cut(fields: xr.Dataset, drawn: Draw, data: dict, told: str) -> Iterator[dict]:
    """Records of the drawn pairs, in order of their second time; those with missing values are left out."""
    size = np.arange(data['patch'])
    seconds = encode_times(fields['time'].values)
    begins = np.searchsorted(drawn.first, np.arange(len(seconds) + 1))
    ends: dict[int, list[int]] = defaultdict(list)
    waiting: dict[int, np.ndarray] = {}

    def patch(field, pair):
        return field[(drawn.row[pair] + size)[:, None], (drawn.column[pair] + size) % field.shape[1]]

    for now, field in series.stream(fields, data, told):
        for pair in ends.pop(now, ()):
            first, second = waiting.pop(pair), patch(field, pair)
            if np.isfinite(first).all() and np.isfinite(second).all():
                yield {
                    'first': first,
                    'second': second,
                    'lag': int(drawn.lag[pair]),
                    'time': int(seconds[drawn.first[pair]]),
                    'row': int(drawn.row[pair]),
                    'column': int(drawn.column[pair]),
                }
        for pair in range(begins[now], begins[now + 1]):
            waiting[pair] = patch(field, pair)
            ends[int(drawn.second[pair])].append(pair)
