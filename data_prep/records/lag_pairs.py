"""Records of pairs of patches of one place, some hours apart (AtmoDist), one record per pair.

Pairs are drawn before any field is read and cut while the series is streamed: memory holds a few fields and the patches
whose partner is still to come, however long the series.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from data_prep import sources
from data_prep.records.shards import SPLITS, Shard, write_records
from data_prep.records.stream import fit_transform, stream
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry.grid import is_periodic
from downscale_jax.runtime.errors import UserError

VERSION = 1  # of the records: raise it when they change
PATHS = ('path',)
KEYS = ('path', 'simulate', 'variables', 'level', *SPLITS, 'step_hours', 'lags', 'patch', 'pairs_per_time', 'latitudes')


class Draw(NamedTuple):
    """Pairs of one split, [N] each, ordered by their second time, then by their first."""

    first: np.ndarray  # index of the time
    second: np.ndarray
    lag: np.ndarray  # in steps, from 1
    row: np.ndarray  # of the first cell of the patch
    column: np.ndarray

    def part(self, start: int, stop: int) -> 'Draw':
        """Pairs `start` to `stop`."""
        return Draw(*(array[start:stop] for array in self))

    def later(self, times: int) -> 'Draw':
        """The same pairs of a series that begins so many times later."""
        return self._replace(first=self.first - times, second=self.second - times)


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the pairs of all splits, the grid and the transform fitted to the training split."""
    fields = sources.open_series(data, seed)
    if fields.sizes['time'] < 2:
        raise UserError(f'{data["path"]}: pairs need two times and more, found {fields.sizes["time"]}')
    splits = {split: data[split] for split in SPLITS}
    check_splits(splits, fields['time'].values)
    y, x = fields[data['variables'][0]].dims[1:]
    grid = fields.drop_dims('time')
    store.write_netcdf(grid, directory / 'statics.nc')

    parts = {split: select_dates(fields, dates) for split, dates in splits.items()}
    # all splits before any patch is cut: an impossible lag is reported at once
    drawn = {
        split: draw(part, data, np.random.default_rng((seed, ordinal)), split)
        for ordinal, (split, part) in enumerate(parts.items())
    }
    transform = fit_transform(parts['train'], data)

    written = write_records(
        directory, LagPairRecords(parts, drawn, data), {split: len(draws.lag) for split, draws in drawn.items()}
    )
    for split in SPLITS:
        if not written.records(split):
            raise UserError(f"split '{split}' ({splits[split]}): every pair has missing values")
    meta = {
        'name': name,
        'kind': 'lag_pairs',
        'transform': transform.to_json(),
        'calendar': fields['time'].dt.calendar,
        'records': {split: written.records(split) for split in SPLITS},
        'idealised': not data['path'],
        'step_hours': data['step_hours'],
        'lags': data['lags'],
        'patch': data['patch'],
        'grid': [fields.sizes[y], fields.sizes[x]],
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


@dataclass(frozen=True)
class LagPairRecords:
    """The records of drawn pairs."""

    parts: Mapping[str, xr.Dataset]
    drawn: Mapping[str, Draw]
    data: dict

    description = 'Patches of one place at two times, one record per pair.'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        patch = (self.data['patch'], self.data['patch'], len(self.data['variables']))
        return {'first': patch, 'second': patch, **dict.fromkeys(('lag', 'time', 'row', 'column'), ())}

    def write(self, shard: Shard, add: Callable[..., None]) -> None:
        """See `shards.Records`. Fields of first times are read again for the shards in which pairs end."""
        drawn = self.drawn[shard.split].part(shard.start, shard.stop)
        begin, end = drawn.first.min(), drawn.second.max() + 1
        part = self.parts[shard.split].isel(time=slice(begin, end))
        for record in cut(part, drawn.later(begin), self.data):
            add(**record)


def draw(fields: xr.Dataset, data: dict, rng: np.random.Generator, split: str) -> Draw:
    """Draws `pairs_per_time` pairs per time of a split.

    The lag is uniform over 1..lags steps, then the first time over those that have a partner at this lag, so that
    neither the ends of the split nor gaps favour short lags; the place is uniform in the rows of data.latitudes and in
    longitude. Raises UserError for a lag that no two times have.
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
        chosen = lag == steps
        first[chosen] = rng.choice(starts, chosen.sum())
        second[chosen] = partner[first[chosen]]
    rows, columns = origins(fields, data)
    order = np.lexsort((first, second))
    places = rng.choice(rows, count), rng.choice(columns, count)
    return Draw(*(array[order] for array in (first, second, lag, *places)))


def origins(fields: xr.Dataset, data: dict) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns at which a patch may begin: centred within data.latitudes, periodic in longitude."""
    y, x = fields[data['variables'][0]].dims[1:]
    height, width, size = fields.sizes[y], fields.sizes[x], data['patch']
    sources.check_patch((height, width), data)
    rows = np.arange(height - size + 1)
    if 'lat' in fields.coords and fields['lat'].ndim == 1:
        south, north = data['latitudes']
        centre = np.interp(rows + (size - 1) / 2, np.arange(height), fields['lat'].values)
        rows = rows[(centre >= south) & (centre <= north)]
        if not rows.size:
            raise UserError(f'no patch of {size} rows has its centre within data.latitudes={data["latitudes"]}')
    return rows, np.arange(width if is_periodic(fields) else width - size + 1)


def cut(fields: xr.Dataset, drawn: Draw, data: dict) -> Iterator[dict]:
    """Records of the drawn pairs in their order; pairs with missing values are omitted."""
    size = np.arange(data['patch'])
    seconds = encode_times(fields['time'].values)
    by_first, times = np.argsort(drawn.first, kind='stable'), np.arange(len(seconds) + 1)
    begins, ends = np.searchsorted(drawn.first[by_first], times), np.searchsorted(drawn.second, times)
    waiting: dict[int, np.ndarray] = {}

    def patch(field, pair):
        return field[(drawn.row[pair] + size)[:, None], (drawn.column[pair] + size) % field.shape[1]]

    for now, field in stream(fields, data):
        for pair in range(ends[now], ends[now + 1]):
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
        for pair in by_first[begins[now] : begins[now + 1]].tolist():
            waiting[pair] = patch(field, pair)
