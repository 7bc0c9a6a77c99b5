"""Data sets on disk: opening NetCDF, Zarr, GRIB and URLs, loading, and writing NetCDF.

Opening is lazy: dask arrays in chunks of time. Every fault of a user's file becomes a `UserError` that names the file.
"""

import glob
import importlib.util
import os
import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import xarray as xr

from downscale_jax.fields.datasets import archives
from downscale_jax.fields.datasets.axes import role_of
from downscale_jax.runtime.errors import UserError, suggestion

_GRIB_SUFFIXES = ('.grib', '.grb', '.grib2', '.grb2', '.grib1')


def open_dataset(path: str) -> xr.Dataset:
    """Opens NetCDF (a file, a glob), Zarr (a directory), GRIB, or a URL: s3 and *.zarr are Zarr, other http OPeNDAP.

    Values stay on disk, in dask chunks along time of about 8 MiB, multiples of the file's own; reading one time costs a
    chunk. `encoding['source']` keeps `path` for messages.

    Raises UserError where no file matches, a file cannot be read, or files contradict each other.
    """
    path = os.fspath(path)
    try:
        dataset = _open(path)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'{path}: cannot be opened ({error}); install the missing library') from error
    except Exception as error:  # each reader raises its own kind: OSError, or errors of zarr, eccodes, pydap
        if 'installed IO backends' in str(error):  # xarray's message for a file that no reader recognises
            raise UserError(f'{path}: is no {_kind(path)} by its content; check the file and its suffix') from error
        raise UserError(f'{path}: cannot be read as {_kind(path)} ({_first_line(error)}); check the file') from error
    dataset.encoding['source'] = path
    return dataset


def _kind(path: str) -> str:
    if '://' in path:
        return 'Zarr' if not path.startswith('http') or '.zarr' in path else 'OPeNDAP'
    if os.path.isdir(path):
        return 'Zarr'
    return 'GRIB' if path.endswith(_GRIB_SUFFIXES) else 'NetCDF'


def _open(path: str) -> xr.Dataset:
    kind = _kind(path)
    if kind == 'Zarr':
        # Unconsolidated metadata is read group by group: nothing on a local disk, and no warning when it is absent.
        consolidated = None if '://' in path else False
        return xr.open_zarr(path, chunks={}, consolidated=consolidated, decode_timedelta=False)
    files = _files(path) if kind != 'OPeNDAP' else [path]
    for file in files if kind != 'OPeNDAP' else ():
        _check_length(file)
    options: dict[str, Any] = {'decode_timedelta': False}
    if kind == 'GRIB':
        if importlib.util.find_spec('cfgrib') is None:
            raise UserError(f'{path}: GRIB needs cfgrib; pip install downscale_jax[grib]')
        # No index file is written beside the user's data.
        options |= {'engine': 'cfgrib', 'backend_kwargs': {'indexpath': ''}, 'chunks': {'time': 'auto'}}
    else:
        with xr.open_dataset(files[0], chunks=None, decode_times=False, **options) as peek:
            options['chunks'] = _time_chunk(peek)
    if len(files) == 1:
        return xr.open_dataset(files[0], **options)
    return xr.open_mfdataset(
        files, combine='by_coords', data_vars='minimal', coords='minimal', compat='equals', join='exact',
        combine_attrs='override', preprocess=archives.joinable, **options,
    )  # fmt: skip


def _time_chunk(dataset: xr.Dataset) -> dict[Hashable, int]:
    for name in dataset.sizes:
        if role_of(dataset, name) == 'time':
            largest = max((v for v in dataset.variables.values() if name in v.dims), key=lambda v: v.size)
            stored = largest.encoding.get('preferred_chunks', {}).get(name, 1)
            wanted = 2**23 * largest.sizes[name] // max(1, largest.size * largest.dtype.itemsize)
            return {name: max(1, wanted // stored) * stored}
    return {}


def _files(path: str) -> list[str]:
    if os.path.exists(path):
        return [path]
    files = sorted(glob.glob(path, recursive=True))
    if not files and glob.has_magic(path):
        raise UserError(f'{path}: no file matches; check the pattern')
    if not files:
        folder = os.path.dirname(path) or '.'
        if not os.path.isdir(folder):
            raise UserError(f"{path}: no such file, and no folder '{folder}'; check the path")
        near = (
            suggestion(os.path.basename(path), os.listdir(folder)) if len(os.listdir(folder)) < 50 else 'check the path'
        )
        raise UserError(f'{path}: no such file; {near}')
    return files


def _check_length(file: str) -> None:
    # HDF5 itself refuses a truncated file; libnetcdf reads the missing end of NetCDF 3 as zeros, cfgrib skips it.
    with open(file, 'rb') as stream:
        magic = stream.read(4)
        stream.seek(max(0, os.path.getsize(file) - 4096))
        end = stream.read().rstrip(b'\0')
    if magic in (b'CDF\x01', b'CDF\x02') and not _is_whole(file):
        raise UserError(f'{file}: the file is shorter than its header says; fetch it again')
    if magic == b'GRIB' and not end.endswith(b'7777'):
        raise UserError(f'{file}: the last GRIB message is truncated; fetch the file again')


def _is_whole(file: str) -> bool:
    """Whether a NetCDF 3 file is complete: scipy maps it into memory, reads its header only, and warns on failure."""
    with warnings.catch_warnings(), open(file, 'rb') as stream:
        warnings.simplefilter('ignore')
        try:
            scipy.io.netcdf_file(stream, mmap=True).close()
        except (ValueError, TypeError, IndexError):
            return False
    return True


def fingerprint(path: str) -> list[tuple[str, int, int]]:
    """(name, size, modification time in ns) of every local file that `path` matches; empty for a URL or no path."""
    matches = [Path(p) for p in sorted(glob.glob(path, recursive=True))] if path else []
    files = [f for p in matches for f in (sorted(p.rglob('*')) if p.is_dir() else [p]) if f.is_file()]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def load(data, source: str = ''):
    """`data` (DataArray or Dataset) in memory. Raises UserError where a file is truncated or damaged.

    Such damage often shows only here. The file is named by `source`, or by `encoding['source']` of `open_dataset`.
    """
    source = source or data.encoding.get('source', 'the data set')
    try:
        return data.compute()
    except (UserError, MemoryError):
        raise
    except Exception as error:  # HDF5, zarr's codecs and eccodes each raise their own kind
        raise UserError(
            f'{source}: reading failed ({_first_line(error)}); the file is probably cut or damaged: fetch it again'
        ) from error


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
    partial = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        dataset.drop_encoding().to_netcdf(partial, engine='netcdf4', encoding=encoding)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise UserError(f'{path}: could not be written ({_first_line(error)}); check space and permissions') from error
    finally:
        partial.unlink(missing_ok=True)
