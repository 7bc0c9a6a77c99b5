"""Lazy arrays in chunks of time whose stored chunks are decoded once when they are read in order.

A stored chunk is decoded as a whole, however few of its times are read. Readers take a few times at once, so the
last chunks are kept: a store of 480 times in a chunk would otherwise be decoded sixty times over.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import role_of
from downscale_jax.runtime import memory
from downscale_jax.runtime.errors import UserError

READ, PART = 2**23, 2**21  # bytes of a chunk: of whole stored chunks, of parts of a stored one
MAX_TIMES = 512  # of a chunk, unless a stored one has more: on a small grid READ bytes would span decades
TOGETHER = 8  # small stored chunks of one time
KEPT = 2  # blocks of time of a variable: readers may cross from one to the next
SHARE = 1 / 8  # of the free memory that the kept blocks of a variable may fill, if they are larger than usual


@dataclass
class _Part:
    lock: threading.Lock = field(default_factory=threading.Lock)
    values: np.ndarray | None = None


class RecentBlocks:
    """The decoded parts of the last `KEPT` blocks of time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: OrderedDict[Hashable, dict[Hashable, _Part]] = OrderedDict()

    def __reduce__(self) -> tuple[type['RecentBlocks'], tuple[()]]:
        return RecentBlocks, ()  # another process reads for itself

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
    """A variable of the file `source` as an array that dask slices."""

    def __init__(self, variable: xr.Variable, source: str, axis: int, length: int, recent: RecentBlocks | None):
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim
        self._variable, self._axis, self._length, self._recent = variable, axis, length, recent
        self._source, self._name = source, uuid.uuid4()  # several files may share `recent`

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        chosen = key[self._axis]
        before, after = key[: self._axis], key[self._axis + 1 :]
        axis = sum(isinstance(k, slice) for k in before)  # integers remove their axis
        if self._recent is None or (isinstance(chosen, slice) and chosen.step not in (None, 1)):
            return self._read(key)
        if not isinstance(chosen, slice):
            return np.take(self._block(chosen // self._length, before, after), chosen % self._length, axis)
        start, stop, _ = chosen.indices(self.shape[self._axis])
        pieces = []
        for index in range(start // self._length, -(-stop // self._length)):
            begin = index * self._length
            times = slice(max(start - begin, 0), stop - begin)
            pieces.append(self._block(index, before, after)[(slice(None),) * axis + (times,)])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)

    def _block(self, index: int, before: tuple[slice | int, ...], after: tuple[slice | int, ...]) -> np.ndarray:
        times = slice(index * self._length, min((index + 1) * self._length, self.shape[self._axis]))
        assert self._recent is not None
        return self._recent.get((self._name, index), str((before, after)), lambda: self._read((*before, times, *after)))

    def _read(self, key: tuple[slice | int, ...]) -> np.ndarray:
        try:
            return self._variable[key].values
        except Exception as error:  # HDF5, zarr's codecs and eccodes each raise their own kind
            raise reading_failed(self._source, error) from error


def reading_failed(source: str, error: Exception) -> UserError:
    """The error to raise where values of an opened file cannot be read."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError):
        return UserError(f'{source}: not enough memory ({reason}): cut a region, or use a larger machine')
    return UserError(f'{source}: reading failed ({reason}); the file is probably cut or damaged: fetch it again')


def lazy(dataset: xr.Dataset, source: str, whole_planes: bool, recent: dict[Hashable, RecentBlocks]) -> xr.Dataset:
    """The data set of a file, opened without dask and indexes, with both: dask arrays in chunks along time.

    With `whole_planes` they are multiples of the stored ones and extend over the grid; those of larger stored chunks,
    and of stores that are read chunk by chunk, are parts of a stored one, or a few with one time each. `recent` is
    shared by files that are joined.
    """
    import dask.array

    dim = next((name for name in dataset.sizes if role_of(dataset, name) == 'time'), None)
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
            kept = KEPT * length * variable.nbytes / max(1, variable.sizes[dim])
            if length > 1 and (kept <= KEPT * READ or kept <= SHARE * memory.of_host()):
                blocks = recent.setdefault(name, RecentBlocks())
        array = _Stored(variable, source, variable.dims.index(dim) if dim in variable.dims else 0, length, blocks)
        data = dask.array.from_array(
            array, tuple(max(1, sizes[d]) for d in variable.dims), name=f'{name}-{uuid.uuid4()}', meta=np.empty(0)
        )
        chunked[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    variables = {name: chunked.get(name, variable) for name, variable in dataset.variables.items()}
    coords = {name: variables.pop(name) for name in dataset.coords}
    result = xr.Dataset(variables, coords, dataset.attrs)
    result.encoding = dataset.encoding
    return result


def _lengths(variable: xr.Variable, dim: Hashable, stored: int, whole_planes: bool) -> tuple[int, int]:
    """(times in a chunk, times that are decoded together)."""
    plane = max(1, variable.nbytes // max(1, variable.sizes[dim]))
    if stored == 1 and not whole_planes:  # chunks on their own would cost more time in dask than in decoding
        several = max(1, min(TOGETHER, PART // plane))
        return several, several
    if whole_planes and stored * plane <= READ:
        most = READ // plane if variable.ndim < 3 else min(READ // plane, MAX_TIMES)
        chunk = stored * max(1, most // stored)
        return chunk, chunk
    longest = max(1, PART // plane)
    return max(length for length in range(1, min(longest, stored) + 1) if stored % length == 0), stored
