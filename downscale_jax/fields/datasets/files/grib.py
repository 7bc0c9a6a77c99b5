"""Opening of GRIB files: every variable on the axis of its valid times, whatever its steps, levels and grid."""

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

# Messages that differ in one of these are fields of different variables
_KINDS = ('paramId', 'typeOfLevel', 'stepType', 'gridType', 'numberOfPoints', 'md5GridSection')
_MEMBERS = ('number', 'level:float')
_ALONG_VALID_TIME, _ALONG_STARTS = ('valid_time',), ('time', 'step')


def open_grib(path: str) -> list[xr.Dataset]:
    """One lazy data set for each variable and type of level, undecoded; the file is scanned once.

    The dimension of time is `valid_time`, or `time` and `step` where several forecasts are valid at one time. A name
    that occurs on several types of level, or as a mean and an instantaneous value, is followed by these:
    `t_isobaricInhPa`, `prate_avg`. Raises UserError where cfgrib is not installed or no message can be read.
    """
    if importlib.util.find_spec('cfgrib') is None:
        raise UserError(f'{path}: GRIB needs cfgrib; pip install downscale_jax[grib]')
    import cfgrib
    from cfgrib.messages import FileIndex

    keys = {*cfgrib.compute_index_keys(_ALONG_STARTS), *_ALONG_VALID_TIME, *_KINDS, *_MEMBERS}
    # no index file is written beside the user's data
    index = FileIndex.from_fieldset(cfgrib.FileStream(path), sorted(keys), cfgrib.COMPUTED_KEYS)
    groups = list(_groups(index))
    if not groups:
        raise UserError(f'{path}: holds no GRIB message; check the file')
    indices = [index.subindex(kind) for kind in groups]
    repeated = [_repeated(one, path) for one in indices]
    if any(repeated):
        problem = (
            f'{path}: {", ".join(filter(None, repeated))} left out: several messages of one time and level have '
            'different values; keep one of them'
        )
        if all(repeated):
            raise UserError(problem)
        messages.warning(problem)
    datasets = [_open(one) for one, name in zip(indices, repeated, strict=True) if not name]
    for dataset in datasets:
        _check_scanning(dataset, path)
    return [_named(dataset, datasets) for dataset in datasets]


def _repeated(index: Any, path: str) -> str:
    """The name of a variable with several messages of one time and level that differ, of which cfgrib takes one; or ''.

    Sums over different periods that end at the same time are an example.
    """
    from cfgrib.messages import Message

    for _, offsets in index.iter_index():
        if len(offsets) > 1:
            with open(path, 'rb') as stream:
                first, *others = (Message.from_file(stream, offset) for offset in offsets)
            if any(not np.array_equal(first['values'], other['values']) for other in others):
                return str(first['shortName'])
    return ''


def _check_scanning(dataset: xr.Dataset, path: str) -> None:
    """Raises UserError for orders of cells in which cfgrib misplaces them."""
    for name, array in dataset.data_vars.items():
        columns = array.attrs.get('GRIB_jPointsAreConsecutive')
        if columns or (array.attrs.get('GRIB_iScansNegatively') and 'longitude' in array.dims):
            order = 'column by column' if columns else 'from east to west'
            raise UserError(f"{path}: the cells of '{name}' are stored {order}, which is unsupported: store rows from "
                            'west to east, as cdo does')  # fmt: skip


def _groups(index: Any) -> Iterator[dict[str, Hashable]]:
    places = [index.index_keys.index(key) for key in _KINDS]
    for values in dict.fromkeys(tuple(header[i] for i in places) for header, _ in index.iter_index()):
        yield dict(zip(_KINDS, values, strict=True))


def _open(index: Any) -> xr.Dataset:
    import cfgrib
    from cfgrib.xarray_plugin import ECCODES_LOCK, CfGribDataStore

    class Store(CfGribDataStore):
        """Of an index that exists already; the parent class scans the file for every variable."""

        def __init__(self, index: Any, time_dims: tuple[str, ...]):
            self.lock = ECCODES_LOCK
            self.ds = cfgrib.open_from_index(index, time_dims=time_dims, errors='raise')

    places = [index.index_keys.index(key) for key in ('valid_time', *_MEMBERS)]
    valid = Counter(tuple(header[i] for i in places) for header, _ in index.iter_index())
    dims = _ALONG_VALID_TIME if max(valid.values()) == 1 else _ALONG_STARTS
    dataset = xr.open_dataset(
        Store(index, dims), engine='store', chunks=None, decode_times=False, decode_timedelta=False
    )
    return dataset


def _named(dataset: xr.Dataset, datasets: list[xr.Dataset]) -> xr.Dataset:
    """With names that are unique among all."""
    counts: dict[Hashable, list[xr.DataArray]] = defaultdict(list)
    for other in datasets:
        for name, array in other.data_vars.items():
            counts[name].append(array)
    names = {}
    for name, array in dataset.data_vars.items():
        differing = [
            str(array.attrs.get(key))
            for key in ('GRIB_typeOfLevel', 'GRIB_stepType')
            if len({other.attrs.get(key) for other in counts[name]}) > 1
        ]
        if differing:
            names[name] = '_'.join([str(name), *differing])
    return dataset.rename(names)
