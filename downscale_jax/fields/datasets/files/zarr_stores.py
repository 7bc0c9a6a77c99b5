"""Opening of Zarr stores: a folder, a zip file, a URL, references to chunks of other files."""

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import xarray as xr

from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

_MARKS = ('zarr.json', '.zgroup', '.zmetadata')  # a group has one of them


def open_store(file: str, options: Mapping[str, Any]) -> xr.Dataset:
    """The data set of a store, with the options of `xarray.open_dataset`; zeros are kept as values where 0 is only
    Zarr's default fill value.

    Zarr 2 gives every array the fill value 0 where its program sets none, and xarray would take it as missing. This
    fill value is kept for integers other than axes, and where values are packed.
    """
    options = dict(options, engine='zarr', consolidated=None if is_url(file) else False)
    # Metadata is read group by group: that costs nothing on a local disk, and avoids a warning if none is consolidated.
    object_stores.register(file)
    store: Any = file  # xarray's annotation lacks zarr's stores
    if file.endswith('.zip'):
        store, options['group'] = _zipped(file)
    elif file.endswith('.json'):
        store = _referenced(file)
    elif os.path.isdir(file):
        _check_folder(file)
    dataset = xr.open_dataset(store, **options)
    zeros = [str(name) for name, variable in dataset.variables.items() if _has_default_fill(name, variable)]
    if not zeros:
        return dataset
    dataset = xr.open_dataset(store, mask_and_scale=dict.fromkeys(zeros, False), **options)
    for name in zeros:
        del dataset[name].attrs['_FillValue']
    if fields := [name for name in zeros if dataset[name].ndim > 1]:
        messages.warning(
            f'{file}: zeros of {", ".join(fields)} are taken as values, since 0 is the fill value of Zarr 2 where a '
            'program sets none; give them another _FillValue if they are missing'
        )
    return dataset


def _has_default_fill(name: Any, variable: xr.Variable) -> bool:
    stored, fill = variable.encoding.get('dtype'), variable.encoding.get('_FillValue')
    if stored is None or fill is None or {'scale_factor', 'add_offset'} & variable.encoding.keys():
        return False
    return (stored.kind == 'f' or variable.dims == (name,)) and bool(fill == 0)


def _check_folder(file: str) -> None:
    present = set(os.listdir(file))
    if {'refs', 'snapshots'} <= present:
        raise UserError(f'{file}: is an Icechunk repository: copy the data from it to a Zarr store')
    if not present & set(_MARKS):
        raise UserError(f'{file}: is a folder without a Zarr store; for the files in it give {file}/*.nc')
    if '.zmetadata' in present and not present & {'.zgroup', 'zarr.json'}:
        raise UserError(f'{file}: kerchunk references in Parquet are not read: write them as JSON')


def _referenced(file: str) -> Any:
    """The store that kerchunk's references in JSON make of chunks in other files."""
    import fsspec
    from zarr.storage import FsspecStore

    with open(file, 'rb') as stream:
        references = json.load(stream)
    if not isinstance(references, dict) or '.zgroup' not in references.get('refs', references):
        raise UserError(f'{file}: holds no kerchunk references to a Zarr group: check the file')
    if 'gen' in references:  # templates of a language that is executed
        raise UserError(f'{file}: generated references are not read: write them out, one for each chunk')
    local = {'asynchronous': True}
    return FsspecStore(fsspec.filesystem('reference', fo=references, remote_options=local, **local), read_only=True)


def _zipped(file: str) -> tuple[Any, str | None]:
    """The store of a zip file and the folder of its group in it."""
    from zarr.storage import ZipStore

    with zipfile.ZipFile(file) as archive:
        marks = [name for name in archive.namelist() if os.path.basename(name) in _MARKS]
    if not marks:
        raise UserError(f'{file}: holds no Zarr store; only Zarr is read from a zip file: unpack other files first')
    group = os.path.dirname(min(marks, key=lambda name: name.count('/')))
    return ZipStore(file, mode='r'), group or None
