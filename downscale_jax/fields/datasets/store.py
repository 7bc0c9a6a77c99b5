"""Data sets on disk: opening of any file, list or pattern of files, loading, and writing of NetCDF.

Opening is lazy: dask arrays in chunks of time. Every fault of a user's file becomes a `UserError` that names the file.
"""

import os
import uuid
import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.files import time_axes
from downscale_jax.fields.datasets.files.chunks import RecentBlocks, lazy, reading_failed
from downscale_jax.fields.datasets.files.containers import content_of, kind_of, open_file
from downscale_jax.fields.datasets.files.joining import joined
from downscale_jax.fields.datasets.files.paths import Paths, files_of, name_of
from downscale_jax.runtime.errors import UserError, WrongTypeError
from downscale_jax.runtime.signals import heeding_signals


def open_dataset(paths: Paths) -> xr.Dataset:
    """Opens NetCDF, Zarr (a folder, a zip file, kerchunk's JSON), GRIB, or a URL: s3 and *.zarr are Zarr, other http
    OPeNDAP.

    `paths` is a path, a pattern, or a list of either; several files are joined (`joining`). Values stay on disk, in
    dask chunks along time of at most about 8 MiB (`chunks`); reading one time costs a chunk. Times are decoded in any
    year and calendar (`time_axes`). `encoding['source']` names the files in messages.

    Raises UserError where no file matches, a file cannot be read, or files contradict each other.
    """
    recent: dict[Hashable, RecentBlocks] = {}
    parts, sources = [], []
    for file in files_of(paths):
        for dataset in _open(file, recent):
            parts.append(dataset)
            sources.append(file)
    if not parts:
        raise UserError('no file is given; a path, a pattern or a list of them was expected')
    dataset = joined(parts, sources)
    dataset.encoding['source'] = name_of(paths)
    return dataset


Given: TypeAlias = xr.Dataset | xr.DataArray | Paths  # what Python functions accept as a data set


def as_dataset(given: Given, argument: str) -> xr.Dataset:
    """An argument of a Python function as a data set: a Dataset, a named DataArray, a path or a list of paths.

    Times are decoded if they are not (`decode_times=False`). Raises WrongTypeError for anything else, and UserError as
    `open_dataset` does.
    """
    if isinstance(given, xr.DataArray):
        if given.name is None:
            raise WrongTypeError(f"{argument} is a DataArray without a name: name its variable, as in .rename('t2m')")
        given = given.to_dataset()
    if isinstance(given, xr.Dataset):
        return time_axes.decoded(given, argument)
    if isinstance(given, str | os.PathLike):
        return open_dataset(given)
    if isinstance(given, list | tuple) and all(isinstance(path, str | os.PathLike) for path in given):
        return open_dataset(given)
    raise WrongTypeError(
        f'{argument} is of type {type(given).__name__}: an xarray Dataset or DataArray, a path or a list of paths was '
        'expected'
    )


def _open(file: str, recent: dict[Hashable, RecentBlocks]) -> list[xr.Dataset]:
    kind = kind_of(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', xr.SerializationWarning)  # several fill values, all of which count
            warnings.filterwarnings('ignore', 'Duplicate dimension names')
            opened = open_file(file)
        return [lazy(time_axes.decoded(part, file), file, kind != 'Zarr', recent) for part in opened]
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'{file}: cannot be opened ({error}); install the missing library') from error
    except Exception as error:  # each reader raises its own kind: OSError, or errors of zarr, eccodes, pydap
        if 'installed IO backends' in str(error):  # xarray's message for a file that no reader recognises
            held = content_of(file) or f'not {kind} by its content; check the file and its suffix'
            raise UserError(f'{file}: is {held}') from error
        raise UserError(f'{file}: cannot be read as {kind} ({_first_line(error)}); check the file') from error


def load(data, source: str = '', scheduler: str | None = None):
    """`data` (DataArray or Dataset) in memory. Raises UserError where a file is truncated or damaged.

    Such damage often shows only here. The file is named by `source`, or by `encoding['source']` of `open_dataset`.
    `scheduler` of Dask: 'synchronous' within a task of Dask.
    """
    source = source or data.encoding.get('source', 'the data set')
    try:
        return data.compute(scheduler=scheduler)
    except UserError:
        raise
    except Exception as error:
        raise reading_failed(source, error) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def write_netcdf(dataset: xr.Dataset, path) -> None:
    """Writes floats as compressed float32, coordinates unchanged; to a temporary name first, so whole or not at all.

    Raises UserError where the folder does not exist or writing fails.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"{path}: no folder '{path.parent}'; create it")
    bounds = {array.attrs['bounds'] for array in dataset.coords.values() if 'bounds' in array.attrs}
    encoding: dict[Hashable, dict[str, Any]] = {name: {'_FillValue': None} for name in {*dataset.coords, *bounds}}
    for name, array in dataset.coords.items():
        if array.dtype.kind in 'MO':  # times: CF knew no integers of 64 bits before version 1.9
            encoding[name]['dtype'] = 'float64'
    for name, array in dataset.data_vars.items():
        if array.dtype.kind == 'f' and name not in bounds:
            encoding[name] = {'dtype': 'float32', 'zlib': True, 'complevel': 4, '_FillValue': np.float32(np.nan)}
    partial = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.tmp')
    try:
        heeding_signals(lambda: dataset.drop_encoding().to_netcdf(partial, engine='netcdf4', encoding=encoding))
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise UserError(f'{path}: could not be written ({_first_line(error)}); check space and permissions') from error
    finally:
        partial.unlink(missing_ok=True)
