"""Data sets in and out of xarray: opening, the canonical form, NetCDF.

Everything is lazy: dask arrays in chunks of time; only the first and the last field are read for a check.
Every mistake in a user's file becomes a `UserError` that names the file.
"""

import glob
import importlib.util
import itertools
import os
import re
import warnings
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import xarray as xr

from downscale_jax.fields import archives
from downscale_jax.fields.dates import iso
from downscale_jax.fields.units import convert_units
from downscale_jax.runtime.errors import UserError, nearest

NUMBERS = 'fiub'  # kinds of dtypes
_GRIB_SUFFIXES = ('.grib', '.grb', '.grib2', '.grb2', '.grib1')
_NAMES = {
    'time': {'time', 'valid_time', 'initial_time', 'forecast_time', 'time_counter', 'date', 't'},
    'lat': {'lat', 'latitude', 'nav_lat', 'lats'},
    'lon': {'lon', 'longitude', 'nav_lon', 'lons', 'long'},
    'y': {'y', 'yc', 'ny', 'nj', 'j', 'rlat', 'south_north', 'yt_ocean', 'y_dim'},
    'x': {'x', 'xc', 'nx', 'ni', 'i', 'rlon', 'west_east', 'xt_ocean', 'x_dim'},
}
_STANDARD_NAMES = {
    'time': 'time', 'forecast_reference_time': 'time', 'latitude': 'lat', 'longitude': 'lon',
    'projection_y_coordinate': 'y', 'projection_x_coordinate': 'x', 'grid_latitude': 'y', 'grid_longitude': 'x',
}  # fmt: skip
_DEGREES = {
    **dict.fromkeys(('degrees_north', 'degree_north', 'degree_n', 'degrees_n', 'degreen', 'degreesn'), 'lat'),
    **dict.fromkeys(('degrees_east', 'degree_east', 'degree_e', 'degrees_e', 'degreee', 'degreese'), 'lon'),
}


def open_dataset(path: str) -> xr.Dataset:
    """Opens NetCDF (a file, a glob), Zarr (a directory), GRIB, or a URL: s3 and *.zarr are Zarr, other http OPeNDAP.

    Values stay on disk, in dask chunks along time of about 8 MiB, multiples of the file's own; reading one time costs a
    chunk. `encoding['source']` keeps `path` for messages.

    Raises UserError: nothing there, unreadable, files that clash.
    """
    path = os.fspath(path)
    try:
        dataset = _open(path)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'{path}: cannot be opened ({error}); install the missing library') from error
    except Exception as error:  # the readers raise each their own kind: OSError, zarr's, eccodes', pydap's
        if 'installed IO backends' in str(error):  # xarray's own, of a file that no reader knows
            told = f'{path}: is no {_kind(path)} by its content; check the file, and what its name ends in'
            raise UserError(told) from error
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
        if _role(dataset, name) == 'time':
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
        near = nearest(os.path.basename(path), os.listdir(folder)) if len(os.listdir(folder)) < 50 else 'check the path'
        raise UserError(f'{path}: no such file; {near}')
    return files


def _check_length(file: str) -> None:
    # HDF5 refuses a cut file by itself; libnetcdf reads the missing end of NetCDF 3 as zeros, cfgrib skips it.
    with open(file, 'rb') as stream:
        magic = stream.read(4)
        stream.seek(max(0, os.path.getsize(file) - 4096))
        end = stream.read().rstrip(b'\0')
    if magic in (b'CDF\x01', b'CDF\x02') and not _is_whole(file):
        raise UserError(f'{file}: the file is shorter than its header says; fetch it again')
    if magic == b'GRIB' and not end.endswith(b'7777'):
        raise UserError(f'{file}: the last GRIB message is cut short; fetch the file again')


def _is_whole(file: str) -> bool:
    """Whether a NetCDF 3 file maps into memory; scipy reads its header only, and warns where it fails."""
    with warnings.catch_warnings(), open(file, 'rb') as stream:
        warnings.simplefilter('ignore')
        try:
            scipy.io.netcdf_file(stream, mmap=True).close()
        except (ValueError, TypeError, IndexError):
            return False
    return True


def check_timed(fields: xr.Dataset, names: Sequence[str], source: str) -> None:
    """Raises UserError where a variable of a canonical data set has no time axis."""
    for name in names:
        if 'time' not in fields[name].dims:
            raise UserError(f"{source}: '{name}' has no time axis, found {fields[name].dims}; (time, y, x) is needed")


def fingerprint(path: str) -> list[tuple[str, int, int]]:
    """(name, size, time of change in ns) of every local file behind `path`; empty for a URL or an empty path."""
    found = [Path(p) for p in sorted(glob.glob(path, recursive=True))] if path else []
    files = [f for p in found for f in (sorted(p.rglob('*')) if p.is_dir() else [p]) if f.is_file()]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def load(data, source: str = ''):
    """`data` (DataArray or Dataset) in memory; a file cut or damaged in the middle raises UserError naming it.

    A truncation is often seen only here. The name is `source`, or what `open_dataset` and `canonical` left in encoding.
    """
    source = source or data.encoding.get('source', 'the data set')
    try:
        return data.compute()
    except (UserError, MemoryError):
        raise
    except Exception as error:  # HDF5, zarr's codecs and eccodes raise each their own kind
        raise UserError(
            f'{source}: reading failed ({_first_line(error)}); the file is probably cut or damaged: fetch it again'
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def canonical(dataset: xr.Dataset, names: Sequence[str], mask: str = '', source: str = '') -> xr.Dataset:
    """The named variables as float32 in (time, y, x) or (time, lat, lon), NaN where missing, with a boolean `mask`.

    Dimensions are recognised by CF attributes, units and usual names; what stays unknown is taken by position, the last
    two being y and x. Singleton dimensions are dropped, directions kept. A variable without time stays (y, x).
    Versions and forecasts of several beginnings become one axis of time (`archives`), and longitudes that jump by a
    circle, 179 to -179, go on beyond it: 179, 181.
    `y`, `x` are in metres, absent where the file has cell numbers, rotated degrees or nothing; two-dimensional latitude
    and longitude become the coordinates `lat`, `lon` (y, x). A grid mapping stays as a scalar coordinate.

    `mask` (y, x) is True where the field exists; values elsewhere become NaN. It comes from the variable so called (of
    several times the first). Where its `flag_meanings` speak of land or sea, they decide. Else a mask whose
    standard_name, name or long_name, in this order, says land but not sea is 1 on land (a fraction counts from 0.5) and
    is inverted; so is one that says both, as ECMWF's land-sea mask; every other mask is non-zero where valid. Without a
    mask variable it is all True.

    Raises UserError: a variable missing, without values or of another shape; times or axes that do not run one way.
    """
    source = source or dataset.encoding.get('source', 'the data set')
    dataset = archives.one_axis_of_time(archives.one_version(dataset))
    names = list(names)
    for name in names + [mask] * bool(mask):
        if name not in dataset.variables:
            present = sorted(map(str, dataset.data_vars))
            raise UserError(
                f"{source}: no variable '{name}'; it has {', '.join(present) or 'none'}; "
                + nearest(name, present, 'rename one, or add it')
            )
    fields = {name: _ordered(dataset, name, source) for name in names}
    first = fields[names[0]]
    space = ('lat', 'lon') if 'lat' in first.dims else ('y', 'x')
    grids = {name: [d for d in dataset[name].dims if _role(dataset, d) != 'time'] for name in names}
    for name in names:
        if set(grids[name]) != set(grids[names[0]]):
            sizes = [dict(zip(grids[n], map(dataset.sizes.get, grids[n]), strict=True)) for n in (name, names[0])]
            raise UserError(
                f"{source}: '{name}' is on the grid {sizes[0]}, '{names[0]}' on {sizes[1]}; one grid was expected: "
                'interpolate one of them beforehand'
            )
    coords = _coordinates(dataset, dataset[names[0]], space, source)
    timed = [name for name in names if 'time' in fields[name].dims]
    if timed:
        if len({fields[name].sizes['time'] for name in timed}) > 1:
            lengths = ', '.join(f"'{name}' {fields[name].sizes['time']}" for name in timed)
            raise UserError(f'{source}: the variables differ in the number of times: {lengths}; all must have the same')
        coords['time'] = _times(dataset, timed[0], source)
    valid = xr.Variable(space, np.ones(first.shape[-2:], bool))
    if mask:
        valid = _valid(dataset, mask, first, source)
        fields = {name: field.where(valid) for name, field in fields.items()}
    for name, field in fields.items():
        _check_values(field, f"{source}: '{name}'")
    valid.attrs = {'long_name': '1 where the field exists'}
    result = xr.Dataset(fields | {'mask': valid}, coords)
    for name in ('title', 'institution', 'source', 'references'):
        if name in dataset.attrs:
            result.attrs[name] = dataset.attrs[name]
    result.encoding['source'] = source
    return result


def space(dataset: xr.Dataset, name: str) -> tuple[Hashable, ...]:
    """Dimensions of a variable along which it has several cells, time apart."""
    return tuple(d for d in dataset[name].dims if dataset.sizes[d] > 1 and _role(dataset, d) != 'time')


def on_grids(dataset: xr.Dataset) -> dict[str, tuple[Hashable, ...]]:
    """{variable of numbers: its dimensions of space}, of those on what is known as lat and lon, or as y and x."""
    numbers = [str(name) for name, array in dataset.data_vars.items() if array.dtype.kind in NUMBERS]
    grids = {name: space(dataset, name) for name in numbers}
    pairs = (['lat', 'lon'], ['x', 'y'])
    return {name: dims for name, dims in grids.items() if sorted(_role(dataset, d) for d in dims) in pairs}


def _role(dataset: xr.Dataset, name: Hashable) -> str:
    """'time', 'lat', 'lon', 'y', 'x' or '' of a dimension; CF attributes before names."""
    attrs = dataset[name].attrs if name in dataset.coords else {}
    values = dataset[name].dtype if name in dataset.coords else None
    units = str(attrs.get('units', '')).lower()
    if any(_is_valid_time(c, name) for c in dataset.coords.values()):
        return 'time'  # also of forecasts, one beginning and many steps
    by_axis = {'T': 'time', 'Y': 'y', 'X': 'x'}.get(str(attrs.get('axis', '')).upper(), '')
    by_name = next((role for role, usual in _NAMES.items() if str(name).lower() in usual), '')
    if by_name in ('lat', 'lon') and name not in dataset.coords:
        by_name = {'lat': 'y', 'lon': 'x'}[by_name]  # a curvilinear grid that calls its rows and columns so
    return (
        _STANDARD_NAMES.get(str(attrs.get('standard_name', '')), '')
        or _DEGREES.get(units, '')
        or ('time' if ' since ' in units or (values is not None and values.kind == 'M') else '')
        or (by_name if by_name in ('lat', 'lon') else by_axis or by_name)
    )


def _is_valid_time(coordinate: xr.DataArray, dim: Hashable) -> bool:
    return coordinate.dims == (dim,) and coordinate.attrs.get('standard_name') == 'time'


def _roles(dataset: xr.Dataset, dims: Iterable[Hashable]) -> dict[Hashable, str]:
    """{dimension: role}; two unknown or unpaired last dimensions are y and x."""
    roles = {dim: _role(dataset, dim) for dim in dims}
    rest = [dim for dim in dims if roles[dim] != 'time' and (roles[dim] or dataset.sizes[dim] > 1)]
    if sorted(roles[dim] for dim in rest) not in (['lat', 'lon'], ['x', 'y']):
        known = [dim for dim in rest if roles[dim]]
        last = known if len(known) == 2 else rest[-2:]
        roles |= dict(zip(last, ('y', 'x'), strict=False))
    return roles


def _ordered(dataset: xr.Dataset, name: str, source: str) -> xr.Variable:
    """The variable in canonical order and float32, with its descriptive attributes alone."""
    array = dataset[name]
    if array.dtype.kind not in NUMBERS:
        raise UserError(f"{source}: '{name}' has type {array.dtype}; numbers were expected")
    roles = _roles(dataset, array.dims)
    extra = [dim for dim in array.dims if roles[dim] not in _NAMES]
    for dim in extra:
        if array.sizes[dim] > 1:
            raise UserError(
                f"{source}: '{name}' has a dimension '{dim}' of {array.sizes[dim]}; time and two of space were "
                f'expected: select one {dim} beforehand'
            )
    variable = array.variable.squeeze(extra)
    variable = xr.Variable([roles[dim] for dim in variable.dims], variable.data, variable.attrs)
    space = ('lat', 'lon') if 'lat' in variable.dims else ('y', 'x')
    if len(set(variable.dims)) < variable.ndim or not set(space) <= set(variable.dims) <= {'time', *space}:
        raise UserError(f"{source}: '{name}' has dimensions {array.dims}; time and two of space were expected")
    if 'time' not in variable.dims and _scalar_time(dataset, array) is not None:
        variable = variable.expand_dims('time')
    variable = variable.transpose(..., *space).astype('float32')
    keep = ('units', 'standard_name', 'long_name', 'grid_mapping')
    variable.attrs = {key: variable.attrs[key] for key in keep if key in variable.attrs}
    if (units := archives.units_of(array)) is not None:
        variable.attrs['units'] = units
    # The grid mapping is an encoding where xarray has decoded it.
    if mapping := array.encoding.get('grid_mapping', variable.attrs.get('grid_mapping')):
        variable.attrs['grid_mapping'] = mapping
    variable.encoding = {'source': source}
    return variable


def _scalar_time(dataset: xr.Dataset, array: xr.DataArray) -> xr.DataArray | None:
    found = [c for n, c in array.coords.items() if c.ndim == 0 and _role(dataset, n) == 'time']
    return min(found, key=lambda c: c.attrs.get('standard_name') != 'time', default=None)


def _times(dataset: xr.Dataset, name: str, source: str) -> xr.Variable:
    array = dataset[name]
    dim, scalar = next((d for d in array.dims if _role(dataset, d) == 'time'), None), _scalar_time(dataset, array)
    if dim is None and scalar is not None:
        time = scalar.expand_dims('time')
    else:
        along = [c for n, c in array.coords.items() if c.dims == (dim,) and (n == dim or _is_valid_time(c, dim))]
        if not along:
            raise UserError(f"{source}: the dimension '{dim}' has no coordinate; times were expected")
        # GRIB: `time` is when the forecast began; where the valid time is given for each field, it is meant.
        time = min(along, key=lambda c: (not _is_valid_time(c, dim), c.name != dim))
    values = time.values
    if values.dtype.kind != 'M' and not hasattr(values[0], 'calendar'):
        found = time.attrs.get('units', '')
        raise UserError(
            f"{source}: '{time.name}' has no dates (units '{found}'); CF units such as 'days since 2000-01-01' expected"
        )
    for before, after in itertools.pairwise(values):
        if not after > before:
            what = 'occurs twice' if after == before else f'is followed by {iso(after)}'
            raise UserError(f'{source}: time {iso(before)} {what}; times must increase: sort them, drop the duplicates')
    return xr.Variable('time', values, {'standard_name': 'time'})


def _coordinates(dataset: xr.Dataset, array: xr.DataArray, space: tuple[str, str], source: str) -> dict:
    roles = _roles(dataset, array.dims)
    dims = {role: dim for dim, role in roles.items()}
    coords: dict[str, Any] = {}
    for role in space:
        if dims[role] not in dataset.coords:
            continue
        axis = dataset[dims[role]]
        rotated = 'grid_' in axis.attrs.get('standard_name', '') or dims[role] in ('rlat', 'rlon')
        steps = np.diff(axis.values.astype(float))
        if role in 'yx' and (rotated or ('units' not in axis.attrs and (steps == 1).all())):
            continue
        if role in 'yx':
            axis = convert_units(axis, 'm')
        values = axis.values.astype('float64')
        if role == 'lon' and not _runs_one_way(values):
            values = np.unwrap(values, period=360.0)
        if not _runs_one_way(values):
            raise UserError(f"{source}: '{axis.name}' does not run one way (from {axis.values[0]:g} to "
                            f'{axis.values[-1]:g}); its values must increase or decrease throughout')  # fmt: skip
        name = f'projection_{role}_coordinate' if role in 'yx' else {'lat': 'latitude', 'lon': 'longitude'}[role]
        units = {'lat': 'degrees_north', 'lon': 'degrees_east'}.get(role, 'm')
        coords[role] = (role, values, {'standard_name': name, 'units': units})
    if space == ('y', 'x'):
        for role, name, units in (('lat', 'latitude', 'degrees_north'), ('lon', 'longitude', 'degrees_east')):
            plane = _plane(dataset, role, dims['y'], dims['x'])
            if plane is not None:
                coords[role] = (space, load(plane, source).values, {'standard_name': name, 'units': units})
    mapping = str(array.encoding.get('grid_mapping', array.attrs.get('grid_mapping', '')))
    if mapping in dataset.variables:
        coords[mapping] = ((), 0, dataset[mapping].attrs)
    return coords


def _runs_one_way(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _plane(dataset: xr.Dataset, role: str, y: Hashable, x: Hashable) -> xr.DataArray | None:
    """Two-dimensional latitude or longitude; usual names first, since drift products have others of their own."""
    planes = [name for name, var in dataset.variables.items() if set(var.dims) == {y, x}]
    usual = [name for name in planes if str(name).lower() in _NAMES[role]]
    by_attrs = [name for name in planes if _role(dataset.set_coords(name), name) == role]
    found = next(iter(usual + by_attrs), None)
    return None if found is None else dataset[found].transpose(y, x).reset_coords(drop=True)


def _valid(dataset: xr.Dataset, mask: str, first: xr.Variable, source: str) -> xr.Variable:
    variable = _ordered(dataset, mask, source)
    variable = variable.isel(time=0) if 'time' in variable.dims else variable
    if variable.sizes != {dim: first.sizes[dim] for dim in first.dims[-2:]}:
        raise UserError(
            f"{source}: the mask '{mask}' is {dict(variable.sizes)}, the fields {dict(first.sizes)}; they must agree"
        )
    values, attrs = load(variable, source).values, dataset[mask].attrs
    meanings = str(attrs.get('flag_meanings', '')).lower().split()
    flags = np.atleast_1d(attrs.get('flag_values', range(len(meanings))))
    land = [flag for flag, meaning in zip(flags, meanings, strict=False) if re.search('land|coast', meaning)]
    sea = [flag for flag, meaning in zip(flags, meanings, strict=False) if re.search('sea|ocean|water', meaning)]
    texts = [str(t).lower() for t in (attrs.get('standard_name', ''), mask, attrs.get('long_name', ''))]
    says_land, says_sea = ([bool(re.search(w, text)) for text in texts] for w in ('land', 'sea|ocean'))
    clear = next((lnd for lnd, sea_ in zip(says_land, says_sea, strict=True) if lnd != sea_), any(says_land))
    if land or sea:
        valid = np.isin(values, sea) if sea else ~np.isin(values, land) & np.isfinite(values)
    elif clear:
        valid = values < 0.5
    else:
        valid = np.isfinite(values) & (values != 0)
    if not valid.any():
        raise UserError(f"{source}: the mask '{mask}' leaves no cell; 1 on land, or non-zero where valid was expected")
    return xr.Variable(first.dims[-2:], valid)


def _check_values(field: xr.Variable, what: str) -> None:
    # First and last: two reads where all is well; a missing day at both ends costs more, an empty series everything.
    count = field.sizes.get('time', 1)
    if not count:
        raise UserError(f'{what} has no time: its axis of time is empty; check how the file was cut')
    for index in sorted(range(count), key=lambda i: i not in (0, count - 1)):
        plane = field.isel(time=index) if 'time' in field.dims else field
        if np.isfinite(load(plane, what).values).any():
            return
    raise UserError(f'{what} has no value but NaN; check _FillValue and the mask')


def write_netcdf(dataset: xr.Dataset, path) -> None:
    """Floats as float32, compressed; coordinates as they are. Written aside and renamed: whole or not at all.

    Raises UserError: no such folder, or a write that fails (disk full).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"{path}: no folder '{path.parent}'; create it")
    encoding: dict[Hashable, dict[str, Any]] = {name: {'_FillValue': None} for name in dataset.coords}
    for name, array in dataset.data_vars.items():
        if array.dtype.kind == 'f':
            encoding[name] = {'dtype': 'float32', 'zlib': True, 'complevel': 4, '_FillValue': np.float32(np.nan)}
    aside = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        dataset.drop_encoding().to_netcdf(aside, engine='netcdf4', encoding=encoding)
        os.replace(aside, path)
    except (OSError, RuntimeError) as error:
        raise UserError(f'{path}: could not be written ({_first_line(error)}); check space and permissions') from error
    finally:
        aside.unlink(missing_ok=True)
