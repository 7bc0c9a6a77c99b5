"""Selection of times from a lazy data set, with one output chunk for each dask chunk touched.

`isel` with a list merges the selected times into chunks as long as the original ones: computing the first of a few
times spread over a long file would read the whole file.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr


def isel_times(fields: xr.Dataset, index: Sequence[int] | np.ndarray) -> xr.Dataset:
    """The times at increasing positions; lazy variables stay lazy. Raises ValueError for positions that do not increase
    or are negative."""
    index = np.asarray(index, int)
    if (np.diff(index) <= 0).any() or (index < 0).any():
        raise ValueError(f'positions of times must increase from 0 on, found {index}')
    if not index.size or (np.diff(index) == 1).all():
        return fields.isel(time=slice(int(index[0]), int(index[-1]) + 1) if index.size else slice(0))
    lazy = {
        name: xr.Variable(v.dims, _selected(v.data, v.dims.index('time'), index), v.attrs, v.encoding)
        for name, v in fields.variables.items()
        if 'time' in v.dims and v.chunks
    }
    return fields.isel(time=index).assign(lazy)


def _selected(array: Any, axis: int, index: np.ndarray) -> Any:
    """The positions along an axis of a dask array; one output chunk per input chunk that holds any."""
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
