"""Reader of fields in time from archives: any variables, and vorticity and divergence derived from winds.

Covers ERA5 of the Climate Data Store (NetCDF with old and new names, GRIB), ARCO-ERA5 (Zarr), GFS and the like: u and
v, or vorticity and divergence, are recognised by standard names and by usual ones.
"""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from downscale_jax.fields.context.surface import read_surface
from downscale_jax.fields.datasets import archives, store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.datasets.levels import level_name
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.wind import ATTRIBUTES, vorticity_divergence
from downscale_jax.runtime.errors import UserError, suggestion

CHUNK = 8  # times that are read at once
_NAMES = {
    'vorticity': {'vo', 'vor', 'vorticity', 'relative_vorticity'},
    'divergence': {'d', 'div', 'divergence'},
    'u': {
        'u', 'u10', 'u100', 'u10m', 'ua', 'uas', 'uwnd', 'ugrd',
        'u_component_of_wind', '10m_u_component_of_wind', '100m_u_component_of_wind',
    },
    'v': {
        'v', 'v10', 'v100', 'v10m', 'va', 'vas', 'vwnd', 'vgrd',
        'v_component_of_wind', '10m_v_component_of_wind', '100m_v_component_of_wind',
    },
}  # fmt: skip
_STANDARD_NAMES = {
    'vorticity': {'atmosphere_relative_vorticity', 'atmosphere_upward_relative_vorticity'},
    'divergence': {'divergence_of_wind'},
    'u': {'eastward_wind', 'x_wind', 'grid_eastward_wind'},
    'v': {'northward_wind', 'y_wind', 'grid_northward_wind'},
}


def read_series(
    path: str, variables: Sequence[str] = tuple(ATTRIBUTES), level: float = 0, statics: Sequence[str] = ()
) -> xr.Dataset:
    """Canonical `variables` (time, lat, lon) or (time, y, x) of a file or store, with `mask`, lazily; and those of the
    `statics` that it has, (lat, lon) or (y, x): `topography` and `land` also under other names (`context.surface`).

    `vorticity` and `divergence` [s-1] are taken from the file where it has all of them that are requested; otherwise
    all are derived from its winds (`geometry.wind`). Other variables are found by their names in the file or by those
    of `archives`. `level`, in the units of the file, selects one of several; winds without levels (at 10 m, beside
    winds on pressure levels) then do not count. 0 means not set.

    Raises UserError where neither both winds nor the requested ones of vorticity and divergence exist, several
    variables match, several levels exist and none is chosen, a level does not exist, or there is no time axis.
    """
    data = store.open_dataset(path)
    if {'valid_time_start', 'valid_time_stop'} <= set(data.attrs):
        # ARCO's time axis extends decades beyond its data on both sides
        data = data.sel(time=slice(data.attrs['valid_time_start'], data.attrs['valid_time_stop']))
    others = [name for name in variables if name not in ATTRIBUTES]
    data = archives.renamed(data, others, path)
    planes = read_surface(data, statics, path)
    held = [name for name in statics if name in data.data_vars]
    wanted = [name for name in ATTRIBUTES if name in variables]
    direct = [_find(data, name, level, path) for name in wanted]
    if all(direct):
        fields = _canonical(data, direct + others, level, path, held)
        results = {
            name: convert_units(fields[variable], 's-1').assign_attrs(ATTRIBUTES[name])
            for name, variable in zip(wanted, direct, strict=True)
        }
    else:
        # all from the winds, even if the file has one of the two: they may lie on different levels, 850 hPa and 10 m
        winds = [_find(data, kind, level, path) for kind in 'uv']
        if not all(winds):
            present = ' and '.join(name for name in [*winds, *direct] if name) or 'none of them'
            raise UserError(
                f'{path}: both winds{" on levels" if level else ""}, or {"both " if len(wanted) > 1 else ""}'
                f'{" and ".join(wanted)}, were expected, found {present}; '
                f'the file has {", ".join(sorted(map(str, data.data_vars)))}: add the missing variables'
            )
        fields = _canonical(data, winds + others, level, path, held)
        derived = vorticity_divergence(_in_few_times(fields[winds]), *winds)
        results = {name: derived[name] for name in wanted}
    return with_all_coordinates(fields.assign(results | planes), [*variables, *held, *planes, 'mask'])


def _in_few_times(winds: xr.Dataset) -> xr.Dataset:
    """In chunks that reads of `CHUNK` times do not cut, since a chunk is always derived as a whole.

    Small chunks are never merged: otherwise reading one time would cost its neighbours too.
    """
    largest = max(max(array.chunksizes['time']) for array in winds.data_vars.values())
    return winds.chunk(time=CHUNK if largest > CHUNK else math.gcd(CHUNK, largest))


def _find(data: xr.Dataset, kind: str, level: float, source: str) -> str:
    """The variable of a kind, '' where there is none. Raises UserError where several match."""
    matches = [
        str(name)
        for name, array in data.data_vars.items()
        if (array.attrs.get('standard_name') in _STANDARD_NAMES[kind] or str(name).lower() in _NAMES[kind])
        and (not level or level_name(array) is not None)
    ]
    if len(matches) > 1:
        raise UserError(
            f'{source}: {", ".join(sorted(matches))} are all of the kind {kind}; one was expected: '
            'name a level, or drop the others from the file'
        )
    return matches[0] if matches else ''


def _canonical(
    data: xr.Dataset, names: list[str], level: float, source: str, statics: Sequence[str] = ()
) -> xr.Dataset:
    names = list(dict.fromkeys(names))  # winds may be requested beside variables derived from them
    for name in names:
        if name not in data:
            raise UserError(f"{source} has no variable '{name}': {suggestion(name, map(str, data.data_vars))}")
    selected = data  # whole, with the variables that describe its grid
    dim = level_name(selected[names[0]])
    if dim is not None:
        values = np.atleast_1d(selected[dim].values).astype(float)
        chosen = np.flatnonzero(np.isclose(values, level)) if level else np.arange(values.size)
        if len(chosen) != 1:
            wanted = f'not {level:g}' if level else 'and none is chosen'
            units = selected[dim].attrs.get('units', '')
            listed = ', '.join(f'{value:g}' for value in values)
            raise UserError(f"{source}: '{dim}' has {listed} {units}, {wanted}; name one of these levels")
        selected = selected.isel({dim: chosen[0]}) if dim in selected.dims else selected
    fields = canonical(selected, [*names, *statics], source=source)
    check_times(fields, names, source)
    return fields
