"""Choice of times of a lazy data set that keeps the times of each dask chunk apart.

`isel` with a list gathers as many chosen times as a chunk holds into one new chunk: of a few times from all over a
long file, reading the first would read the whole file.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr


def at_times(fields: xr.Dataset, index: Sequence[int] | np.ndarray) -> xr.Dataset:
    """The times at these positions, which increase; lazy variables stay so."""
    index = np.asarray(index, int)
    if not index.size or (np.diff(index) == 1).all():
        return fields.isel(time=slice(int(index[0]), int(index[-1]) + 1) if index.size else slice(0))
    lazy = {
        name: xr.Variable(v.dims, _chosen(v.data, v.dims.index('time'), index), v.attrs, v.encoding)
        for name, v in fields.variables.items()
        if 'time' in v.dims and v.chunks
    }
    chosen = fields.drop_vars(lazy).isel(time=index).assign(lazy)
    return chosen.set_coords([name for name in lazy if name in fields.coords])[list(fields.data_vars)]


def _chosen(array: Any, axis: int, index: np.ndarray) -> Any:
    """Positions `index` along the axis of a dask array: of each chunk that has some, one chunk."""
    import dask.array

    ends = np.cumsum(array.chunks[axis])
    blocks, counts = np.unique(np.searchsorted(ends, index, 'right'), return_counts=True)
    within = index - (ends - array.chunks[axis])[np.repeat(blocks, counts)]
    every = tuple(range(array.ndim))
    touched = array.blocks[tuple(blocks if dim == axis else slice(None) for dim in every)]
    return dask.array.blockwise(
        lambda block, positions: np.take(block, positions, axis),
        every,
        touched,
        every,
        dask.array.from_array(within, chunks=(tuple(map(int, counts)),)),
        (axis,),
        adjust_chunks={axis: tuple(map(int, counts))},
        align_arrays=False,
        dtype=array.dtype,
        meta=array._meta,
    )
