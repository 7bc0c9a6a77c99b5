"""Fields in time, streamed with a few times in memory, and the transform fitted to them.

Runs within tasks of Dask (`data_prep.engine`), so chunks are loaded by the thread that streams.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import xarray as xr

from data_prep import engine
from data_prep.readers.series import CHUNK
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.fields.transforms import standardisation
from downscale_jax.fields.transforms.moments import Moments, channel_moments
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

ResultT = TypeVar('ResultT')

PORTION = 64 * CHUNK  # times whose part of the dask graph is extracted at once
PART_BYTES = 2**27  # of fields that a task reads
STATISTICS_TIMES = 200  # evenly spread training times that the transform is fitted to
OUTSIDE = 0.1  # of the range of a variable, by which values may exceed its bounds


def stream(fields: xr.Dataset, data: dict) -> Iterator[tuple[int, np.ndarray]]:
    """(index of the time, [H, W, C] float32), a few times in memory."""
    import dask

    for begin in range(0, fields.sizes['time'], PORTION):
        # dask traverses the whole graph for each chunk: that of a portion, not of the series
        (portion,) = dask.optimize(fields.isel(time=slice(begin, begin + PORTION)))
        for start in range(0, portion.sizes['time'], CHUNK):
            chunk = store.load(portion.isel(time=slice(start, start + CHUNK)), data['path'], 'synchronous')
            for offset in range(chunk.sizes['time']):
                planes = np.stack([chunk[v].values[offset] for v in data['variables']])
                # channels stay apart in memory: arithmetic on [H, W, 2] in C order would loop over two elements
                yield begin + start + offset, np.moveaxis(planes.astype(np.float32, copy=False), 0, -1)
            del chunk  # before the next is read


def check_range(name: str, units: str, bounds: Sequence[float], least: float, greatest: float) -> None:
    """Raises UserError for a variable whose values in training, `least` to `greatest`, are equal, or far outside its
    bounds, to which members would be clipped. Rounding and ringing may exceed these by a tenth of the range."""
    if greatest - least <= 1e-6 * abs(greatest):
        raise UserError(
            f"'{name}' is constant in the training split, {greatest:g} {units} in all cells at all times: there is "
            'nothing to learn; choose another variable, or other dates (data.train)'
        )
    low, high = bounds
    if max(low - least, greatest - high) > OUTSIDE * (greatest - least):
        raise UserError(
            f"'{name}' is between {least:g} and {greatest:g} {units} in the training split, but data.bounds are "
            f'{low:g} and {high:g}: members would be clipped; set data.bounds, (-inf, inf) for none, or correct units'
        )


def texts(fields: xr.Dataset, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """{variable: its attributes as text}, for prepared.json."""
    return {name: {str(key): str(value) for key, value in fields[name].attrs.items()} for name in names}


@dataclass(frozen=True)
class _Part(Generic[ResultT]):
    """The task: `compute` of the fields of a run of times."""

    fields: xr.Dataset
    data: dict
    compute: Callable[[Iterator[np.ndarray]], ResultT]

    def __call__(self, times: tuple[int, int]) -> ResultT:
        return self.compute(field for _, field in stream(self.fields.isel(time=slice(*times)), self.data))


def reduce_times(
    fields: xr.Dataset,
    data: dict,
    compute: Callable[[Iterator[np.ndarray]], ResultT],
    merge: Callable[[ResultT, ResultT], ResultT],
    label: str,
) -> ResultT:
    """`compute` of the fields [H, W, C] of each part of the times, on all workers, merged in a tree.

    Parts have about PART_BYTES, so that the result is the same on any number of workers.
    """
    one = sum(4 * fields[name].size // fields.sizes['time'] for name in data['variables'])
    total, length = fields.sizes['time'], max(1, PART_BYTES // one)
    parts = [(start, min(start + length, total)) for start in range(0, total, length)]
    sizes = [one * (stop - start) for start, stop in parts]
    return engine.map_reduce(_Part(fields, data, compute), parts, merge, sizes, label)


def fit_transform(train: xr.Dataset, data: dict, names: Sequence[str] = ('log',), valid: Any = True) -> Standardisation:
    """Fitted to evenly spread times of the training split; equal for all kinds of records of one series and split.

    `names` of the transforms as in `standardisation.fit`; `valid` [H, W, 1]: cells that count.
    """
    few = isel_times(train, evenly(train.sizes['time'], STATISTICS_TIMES))
    count = len(data['variables'])

    def moments_of(function: standardisation.Function) -> list[Moments]:
        def compute(fields: Iterator[np.ndarray]) -> list[Moments]:
            shown = (field if valid is True else np.where(valid, field, np.float32(np.nan)) for field in fields)
            return channel_moments(map(function, shown), count)

        return reduce_times(few, data, compute, _merge_channels, 'statistics')

    units = tuple(train[v].attrs.get('units', '') for v in data['variables'])
    return standardisation.fit(moments_of, tuple(data['variables']), units, names)


def _merge_channels(first: list[Moments], second: list[Moments]) -> list[Moments]:
    return [a.merged(b) for a, b in zip(first, second, strict=True)]


def cells_with_values(part: xr.Dataset, data: dict, domain: np.ndarray) -> np.ndarray:
    """[H, W] bool: cells of `domain` where any variable has a value at any time.

    Reads until all cells have one: a few times, or all of them where some cells never do, such as the sea in ERA5-Land.
    """

    def compute(fields: Iterator[np.ndarray]) -> np.ndarray:
        valid = np.zeros_like(domain)
        for field in fields:
            valid |= np.isfinite(field).any(-1) & domain
            if valid[domain].all():
                break
        return valid

    first = compute(field for _, field in stream(part.isel(time=slice(CHUNK)), data))
    if first[domain].all() or part.sizes['time'] <= CHUNK:
        return first
    return first | reduce_times(part.isel(time=slice(CHUNK, None)), data, compute, np.logical_or, 'cells with values')
