"""Opening of one file of each container: NetCDF, Zarr (a folder, a zip file, a URL, references), GRIB, OPeNDAP."""

import os
import warnings
from typing import Any

import scipy
import xarray as xr

from downscale_jax.fields.datasets.files import grib, zarr_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

MOST_TIMES = 2**24  # of an axis: 1900 years of hours; the longest axis that is read into memory
_NETCDF = (b'\x89HDF', b'CDF')
_GRIB_SUFFIXES = ('.grib', '.grb', '.grib2', '.grb2', '.grib1')
_CONTENTS = {
    b'\x1f\x8b': 'compressed by gzip: unpack it first',
    b'PK': 'a zip file: unpack it first; only Zarr stores are read from files named *.zip',
    b'<': 'a web page, such as the error of a download: fetch the file again',
}
_OPTIONS: dict[str, Any] = {
    'chunks': None, 'decode_times': False, 'decode_timedelta': False, 'create_default_indexes': False,
}  # fmt: skip


def kind_of(file: str) -> str:
    """'NetCDF', 'Zarr', 'GRIB' or 'OPeNDAP'."""
    if is_url(file):
        return 'Zarr' if not file.startswith('http') or '.zarr' in file else 'OPeNDAP'
    if os.path.isdir(file):
        return 'Zarr'
    beginning = _beginning(file)
    if beginning.startswith(_NETCDF):
        return 'NetCDF'  # whatever its suffix
    if beginning == b'GRIB' or file.endswith(_GRIB_SUFFIXES):
        return 'GRIB'
    return 'Zarr' if file.endswith(('.zip', '.json')) else 'NetCDF'


def content_of(file: str) -> str:
    """The content of a file that is not NetCDF, identified by its first bytes, with advice; '' if unknown."""
    magic = _beginning(file)
    return next((words for start, words in _CONTENTS.items() if magic.startswith(start)), '')


def _beginning(file: str) -> bytes:
    try:
        with open(file, 'rb') as stream:
            return stream.read(4)
    except OSError:  # the reader says why
        return b''


def open_file(file: str) -> list[xr.Dataset]:
    """The data sets of a file, several only for a GRIB file; times are numbers, arrays are on disk.

    Raises UserError for a truncated file and for axes that claim more than `MOST_TIMES` values, and whatever its reader
    raises.
    """
    kind = kind_of(file)
    if os.path.isfile(file) and not os.path.getsize(file):
        raise UserError(f'{file}: is empty (0 bytes): fetch or write it again')
    if kind in ('NetCDF', 'GRIB'):
        _check_length(file)
    if kind == 'GRIB':
        return grib.open_grib(file)
    dataset = zarr_stores.open_store(file, _OPTIONS) if kind == 'Zarr' else xr.open_dataset(file, **_OPTIONS)
    if not dataset.variables:
        raise UserError(f'{file}: {_groups(file, kind)}')
    for name, variable in dataset.variables.items():
        if variable.dims == (name,) and variable.size > MOST_TIMES:
            raise UserError(
                f"{file}: '{name}' claims {variable.size} values, of which at most {MOST_TIMES} can be read: the file "
                'is probably damaged; check its dimensions, or split it'
            )
    return [_without_repeated_dimensions(dataset, file)]


def _without_repeated_dimensions(dataset: xr.Dataset, file: str) -> xr.Dataset:
    """Without variables such as covariances (x, x), which xarray cannot index."""
    repeated = [str(name) for name, variable in dataset.variables.items() if len(set(variable.dims)) < variable.ndim]
    if repeated:
        messages.warning(f'{file}: {", ".join(repeated)} left out: a dimension occurs in them twice; rename one')
    return dataset.drop_vars(repeated)


def _groups(file: str, kind: str) -> str:
    """The content of a file without variables in its root group, with advice."""
    options: dict[str, Any] = {'engine': 'zarr', 'consolidated': False} if kind == 'Zarr' else {}
    names = [name for name, group in xr.open_groups(file, **_OPTIONS, **options).items() if group.variables]
    if not names:
        return 'holds no variables; check how it was made'
    return f'its variables are in the groups {", ".join(names)}: write the one wanted to a file of its own'


def _check_length(file: str) -> None:
    # HDF5 itself refuses a truncated file; libnetcdf reads the missing end of NetCDF 3 as zeros, cfgrib skips it.
    magic = _beginning(file)
    with open(file, 'rb') as stream:
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
