"""Lazy arrays in chunks of time whose stored chunks are decoded once when they are read in order.

A stored chunk is decoded as a whole, however few of its times are read. Readers take a few times at once, so that the
last chunks are kept: a store of 480 times in a chunk would otherwise be decoded sixty times over.
"""

import math
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import dask.array
import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import role_of
from downscale_jax.runtime import memory

READ = 2**23  # bytes that are read at once where the stored chunks allow it
KEPT = 2  # blocks of time of a variable: readers may cross from one to the next
SHARE = 1 / 8  # of the free memory that the kept blocks of a variable may fill


@dataclass
class _Part:
    lock: threading.Lock = field(default_factory=threading.Lock)
    values: np.ndarray | None = None


class RecentBlocks:
    """The decoded parts of the last `KEPT` blocks of time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: OrderedDict[Hashable, dict[Hashable, _Part]] = OrderedDict()

    def get(self, block: Hashable, part: Hashable, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The part of a block, read unless it is kept; by one thread where several want it."""
        with self._lock:
            parts = self._blocks.setdefault(block, {})
            self._blocks.move_to_end(block)
            while len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
            kept = parts.setdefault(part, _Part())
        with kept.lock:
            if kept.values is None:
                kept.values = read()
            return kept.values


class _Stored:
    """A variable on disk as an array that dask slices."""

    def __init__(self, variable: xr.Variable, axis: int, length: int, recent: RecentBlocks | None):
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim
        self._variable, self._axis, self._length, self._recent = variable, axis, length, recent
        self._name = uuid.uuid4()  # several files may share `recent`

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        chosen = key[self._axis]
        if self._recent is None or not isinstance(chosen, slice) or chosen.step not in (None, 1):
            return self._variable[key].values
        start, stop, _ = chosen.indices(self.shape[self._axis])
        blocks = range(start // self._length, -(-stop // self._length))
        pieces = [self._block(index, key, start, stop) for index in blocks]
        # integers of the key before the axis have removed theirs
        axis = sum(isinstance(k, slice) for k in key[: self._axis])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)

    def _block(self, index: int, key: tuple[slice | int, ...], start: int, stop: int) -> np.ndarray:
        begin, end = index * self._length, min((index + 1) * self._length, self.shape[self._axis])

        def within(times: slice) -> tuple[slice | int, ...]:
            return (*key[: self._axis], times, *key[self._axis + 1 :])

        assert self._recent is not None
        values = self._recent.get(
            (self._name, index),
            str((key[: self._axis], key[self._axis + 1 :])),
            lambda: self._variable[within(slice(begin, end))].values,
        )
        axis = sum(isinstance(k, slice) for k in key[: self._axis])
        chosen = slice(max(start, begin) - begin, min(stop, end) - begin)
        return values[(slice(None),) * axis + (chosen,)]


def lazy(dataset: xr.Dataset, whole_planes: bool, recent: dict[Hashable, RecentBlocks]) -> xr.Dataset:
    """A data set opened without dask, with dask arrays in chunks along time of about `READ` bytes.

    The chunks are multiples of the stored ones, or parts that divide them where these are larger. `whole_planes` are
    read at once; otherwise chunks in space are those of the store. `recent` is shared by the files that are joined.
    """
    dim = next((name for name in dataset.sizes if role_of(dataset, name) == 'time'), None)
    limit = SHARE * memory.of_host()
    chunked = {}
    for name, variable in dataset.variables.items():
        if name in dataset.xindexes or name in dataset.dims or not variable.ndim:
            continue
        stored = dict(variable.encoding.get('preferred_chunks', {}))
        sizes = {d: variable.sizes[d] if whole_planes else stored.get(d, variable.sizes[d]) for d in variable.dims}
        blocks = None
        length = 1
        if dim in variable.dims:
            sizes[dim], length = _lengths(variable, dim, stored.get(dim, 1), whole_planes)
            if length > 1 and KEPT * length * variable.nbytes / max(1, variable.sizes[dim]) <= limit:
                blocks = recent.setdefault(name, RecentBlocks())
        array = _Stored(variable, variable.dims.index(dim) if dim in variable.dims else 0, length, blocks)
        data = dask.array.from_array(
            array, tuple(max(1, sizes[d]) for d in variable.dims), name=f'{name}-{uuid.uuid4()}', meta=np.empty(0)
        )
        chunked[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    coords = {name: chunked.pop(name) for name in list(chunked) if name in dataset.coords}
    return dataset.assign(chunked).assign_coords(coords)


def _lengths(variable: xr.Variable, dim: Hashable, stored: int, whole_planes: bool) -> tuple[int, int]:
    """(times in a chunk, times that are decoded together)."""
    if stored == 1 and not whole_planes:
        return 1, 1
    wanted = READ * variable.sizes[dim] // max(1, variable.nbytes)
    if wanted >= stored:
        chunk = max(1, wanted // stored) * stored
        return chunk, chunk
    return max(d for d in range(1, max(1, wanted) + 1) if stored % d == 0), stored
