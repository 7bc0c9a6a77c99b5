"""Opening of GRIB files: every variable on the axis of its valid times, whatever its steps, levels and grid."""

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

import xarray as xr

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
    datasets = [_open(index.subindex(kind)) for kind in groups]
    return [_named(dataset, datasets) for dataset in datasets]


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
