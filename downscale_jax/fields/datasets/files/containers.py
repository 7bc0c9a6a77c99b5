"""Opening of one file of each container: NetCDF, Zarr (a folder, a zip file, a URL), GRIB, OPeNDAP."""

import os
import warnings
import zipfile
from typing import Any

import scipy
import xarray as xr

from downscale_jax.fields.datasets.files import grib, object_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.runtime.errors import UserError

MOST_TIMES = 2**24  # of an axis: 1900 years of hours; the longest axis that is read into memory
_GRIB_SUFFIXES = ('.grib', '.grb', '.grib2', '.grb2', '.grib1')
_OPTIONS: dict[str, Any] = {
    'chunks': None, 'decode_times': False, 'decode_timedelta': False, 'create_default_indexes': False,
}  # fmt: skip


def kind_of(file: str) -> str:
    """'NetCDF', 'Zarr', 'GRIB' or 'OPeNDAP'."""
    if is_url(file):
        return 'Zarr' if not file.startswith('http') or '.zarr' in file else 'OPeNDAP'
    if os.path.isdir(file) or file.endswith('.zip'):
        return 'Zarr'
    return 'GRIB' if file.endswith(_GRIB_SUFFIXES) else 'NetCDF'


def open_file(file: str) -> list[xr.Dataset]:
    """The data sets of a file, several only of a GRIB file; times are numbers, arrays are on disk.

    Raises UserError for a truncated file and for axes that claim more than `MOST_TIMES` values, and whatever its reader
    raises.
    """
    kind = kind_of(file)
    if kind in ('NetCDF', 'GRIB'):
        _check_length(file)
    if kind == 'GRIB':
        return grib.open_grib(file)
    if kind == 'Zarr':
        object_stores.register(file)
        # Unconsolidated metadata is read group by group: nothing on a local disk, and no warning when it is absent.
        options = _OPTIONS | {'engine': 'zarr', 'consolidated': None if is_url(file) else False}
        dataset = (_open_zip if file.endswith('.zip') else xr.open_dataset)(file, **options)
    else:
        dataset = xr.open_dataset(file, **_OPTIONS)
    for name, variable in dataset.variables.items():
        if variable.dims == (name,) and variable.size > MOST_TIMES:
            raise UserError(
                f"{file}: '{name}' claims {variable.size} values, of which at most {MOST_TIMES} can be read: the file "
                'is probably damaged; check its dimensions, or split it'
            )
    return [dataset]


def _open_zip(file: str, **options: Any) -> xr.Dataset:
    """A zipped Zarr store, whose group may lie in a folder of the zip file."""
    from zarr.storage import ZipStore

    with zipfile.ZipFile(file) as archive:
        marks = [name for name in archive.namelist() if os.path.basename(name) in ('zarr.json', '.zgroup')]
    if not marks:
        raise UserError(f'{file}: holds no Zarr store; only Zarr is read from a zip file: unpack other files first')
    group = os.path.dirname(min(marks, key=lambda name: name.count('/')))
    store: Any = ZipStore(file, mode='r')  # xarray's annotation lacks zarr's stores
    return xr.open_dataset(store, group=group or None, **options)


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
