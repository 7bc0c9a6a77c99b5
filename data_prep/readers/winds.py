"""Wind files as they are delivered -> canonical vorticity and divergence, lazily.

ERA5 of the Climate Data Store (NetCDF with old and new names, GRIB), ARCO-ERA5 (Zarr), GFS and their like: u and v, or
vorticity and divergence, recognised by standard names and by the usual ones.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from data_prep.records.series import CHUNK
from downscale_jax.fields import archives, store
from downscale_jax.fields.statics import of_file
from downscale_jax.fields.units import convert_units
from downscale_jax.fields.wind import ATTRIBUTES, vorticity_divergence
from downscale_jax.runtime.errors import UserError, nearest

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
_LEVELS = {
    'level', 'lev', 'plev', 'pressure', 'pressure_level', 'isobaricinhpa', 'isobaricinpa', 'hybrid', 'model_level',
    'sigma', 'height', 'heightaboveground', 'altitude', 'z',
}  # fmt: skip


def open_winds(
    path: str, variables: Sequence[str] = tuple(ATTRIBUTES), level: float = 0, statics: Sequence[str] = ()
) -> xr.Dataset:
    """Canonical `variables`, (time, lat, lon) or (time, y, x), with `mask`, of a file or store; and those of `statics`
    that it has, (lat, lon) or (y, x), `topography` and `land` also by other names (`fields.statics`).

    `vorticity` and `divergence` [s-1] are taken from the file where it has those that are asked for, else derived, all
    from its winds (`fields.wind`), a few times a chunk; other variables by their names in the file, or by those of
    `fields.archives`. `level`, in the file's own numbers, chooses among several; where one is named, winds without
    levels (at 10 m, beside those on pressure levels) do not count.

    Raises UserError, beside those of `store` and `fields.wind`: neither both winds nor what is asked for of vorticity
    and divergence, several of a kind, several levels and none chosen, a level that is not there, no times.
    """
    data = store.open_dataset(path)
    if {'valid_time_start', 'valid_time_stop'} <= set(data.attrs):
        # ARCO's time axis runs decades beyond its data on both sides
        data = data.sel(time=slice(data.attrs['valid_time_start'], data.attrs['valid_time_stop']))
    others = [name for name in variables if name not in ATTRIBUTES]
    data = archives.renamed(data, others, path)
    planes = of_file(data, statics, path)
    still = [name for name in statics if name in data.data_vars]
    wanted = [name for name in ATTRIBUTES if name in variables]
    given = [_find(data, name, level, path) for name in wanted]
    if all(given):
        fields = _canonical(data, given + others, level, path, still)
        results = {
            name: convert_units(fields[held], 's-1').assign_attrs(ATTRIBUTES[name])
            for name, held in zip(wanted, given, strict=True)
        }
    else:
        # all from the winds, also what is given: the two may lie on different levels, 850 hPa and 10 m
        winds = [_find(data, kind, level, path) for kind in 'uv']
        if not all(winds):
            held = ' and '.join(name for name in [*winds, *given] if name) or 'none of them'
            raise UserError(
                f'{path}: both winds{" on levels" if level else ""}, or {"both " if len(wanted) > 1 else ""}'
                f'{" and ".join(wanted)}, were expected, found {held}; '
                f'the file has {", ".join(sorted(map(str, data.data_vars)))}: add what is missing'
            )
        fields = _canonical(data, winds + others, level, path, still)
        derived = vorticity_divergence(_in_few_times(fields[winds]), *winds)
        results = {name: derived[name] for name in wanted}
    return fields.assign(results | planes)[[*variables, *still, *planes, 'mask']]


def _in_few_times(winds: xr.Dataset) -> xr.Dataset:
    """Chunks that reads of `CHUNK` times do not cut: a chunk is derived as a whole, whatever is then used of it.

    Small ones are never merged, since one time, read alone, would cost its neighbours too.
    """
    largest = max(max(array.chunksizes['time']) for array in winds.data_vars.values())
    return winds.chunk(time=CHUNK if largest > CHUNK else math.gcd(CHUNK, largest))


def _find(data: xr.Dataset, kind: str, level: float, source: str) -> str:
    """The one variable of a kind, '' where there is none."""
    found = [
        str(name)
        for name, array in data.data_vars.items()
        if (array.attrs.get('standard_name') in _STANDARD_NAMES[kind] or str(name).lower() in _NAMES[kind])
        and (not level or _level_name(array) is not None)
    ]
    if len(found) > 1:
        raise UserError(
            f'{source}: {", ".join(sorted(found))} are all of the kind {kind}; one was expected: '
            'name a level, or drop the others from the file'
        )
    return found[0] if found else ''


def _level_name(array: xr.DataArray) -> Hashable | None:
    return next((n for n in (*array.dims, *array.coords) if str(n).lower() in _LEVELS), None)


def _canonical(
    data: xr.Dataset, names: list[str], level: float, source: str, statics: Sequence[str] = ()
) -> xr.Dataset:
    names = list(dict.fromkeys(names))  # winds may be asked for beside what is derived from them
    for name in names:
        if name not in data:
            raise UserError(f"{source} has no variable '{name}': {nearest(name, map(str, data.data_vars))}")
    pair = data[[*names, *statics]]
    dim = _level_name(pair[names[0]])
    if dim is not None:
        values = np.atleast_1d(pair[dim].values).astype(float)
        chosen = np.flatnonzero(np.isclose(values, level)) if level else np.arange(values.size)
        if len(chosen) != 1:
            wanted = f'not {level:g}' if level else 'and none is chosen'
            units = pair[dim].attrs.get('units', '')
            listed = ', '.join(f'{value:g}' for value in values)
            raise UserError(f"{source}: '{dim}' has {listed} {units}, {wanted}; name one of these levels")
        pair = pair.isel({dim: chosen[0]}) if dim in pair.dims else pair
    fields = store.canonical(pair, [*names, *statics], source=source)
    store.check_timed(fields, names, source)
    return fields
