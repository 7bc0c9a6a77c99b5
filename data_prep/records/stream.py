"""Fields in time, streamed with a few times in memory, and the transform fitted to them.

Runs within tasks of Dask (`data_prep.engine`), so chunks are loaded by the thread that streams.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from data_prep.readers.series import CHUNK
from downscale_jax.fields.datasets import store
from downscale_jax.fields.transforms import standardisation
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

PORTION = 64 * CHUNK  # times whose part of the dask graph is extracted at once
STATISTICS_TIMES = 200  # evenly spread training times that the transform is fitted to


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


def check_varies(name: str, units: str, least: float, greatest: float) -> None:
    """Raises UserError for a variable whose values in training, `least` to `greatest`, are equal."""
    if greatest - least <= 1e-6 * abs(greatest):
        raise UserError(
            f"'{name}' is constant in the training split, {greatest:g} {units} in all cells at all times: there is "
            'nothing to learn; choose another variable, or other dates (data.train)'
        )


def fit_transform(train: xr.Dataset, data: dict, names: Sequence[str] = ('log',)) -> Standardisation:
    """Fitted to the training split; equal for all kinds of records of one series and split. `names` of the transforms
    as in `standardisation.fit`."""
    spread = np.unique(np.linspace(0, train.sizes['time'] - 1, STATISTICS_TIMES).round().astype(int))
    units = tuple(train[v].attrs.get('units', '') for v in data['variables'])
    return standardisation.fit(
        lambda: (x for _, x in stream(train.isel(time=spread), data)), data['variables'], units, names
    )
