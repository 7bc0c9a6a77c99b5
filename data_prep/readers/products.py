"""Readers of published sea-ice products: lazy canonical data sets (`datasets.canonical`) from raw files.

All return (time, y, x) in float32 with a boolean `mask` that is True on the sea. Deformation is in day-1: divergence
u_x + v_y and shear sqrt((u_x - v_y)^2 + (u_y + v_x)^2), both on the grid of the velocities.
`paths` is a file, a glob or a sequence of either, of successive times.
"""

from collections.abc import Callable, Hashable

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.files.paths import Paths, files_of
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError, suggestion

_EARTH_RADIUS = 6.371e6
_USABLE_DRIFT = 20  # OSI-405: 0..13 rejected, 20..25 to be used with care, 30 nominal
_DRIFT_OVER_LAND = 1


def read_nextsim(paths: Paths) -> xr.Dataset:
    """neXtSIM `Moorings` output: `sit` [m], `sic` [1], `divergence`, `shear` [day-1].

    Land is where thickness is missing at the first time. `siu`, `siv` must be along the grid's x and y, which run with
    the indices. Where the files have only latitude and longitude, distances are great circles between neighbours.
    """

    def read(data):
        _require(data, 'sit', 'sic', 'siu', 'siv')
        if 'eastward' in data['siu'].attrs.get('standard_name', ''):
            raise UserError(
                f'{_source(data)}: siu is eastward; velocity along x was expected: rotate siu and siv to the grid'
            )
        spacing = {dim: data[dim] for dim in ('x', 'y') if dim in data.coords and 'units' in data[dim].attrs}
        if len(spacing) == 2:
            spacing = {dim: _steps(convert_units(axis, 'm'), dim) for dim, axis in spacing.items()}
        else:
            _require(data, 'latitude', 'longitude')
            spacing = {dim: _great_circle(data['latitude'], data['longitude'], dim) for dim in ('x', 'y')}
        u, v = (convert_units(data[name], 'm day-1') for name in ('siu', 'siv'))
        fields = {
            'sit': convert_units(data['sit'], 'm'),
            'sic': convert_units(data['sic'], '1'),
            **_deformation(u, v, spacing['x'], spacing['y']),
            'mask': data['sit'].isel(time=0, drop=True).notnull(),
        }
        return _replace(data, fields, data['sit'])

    return _read(paths, read, ['sit', 'sic', 'divergence', 'shear'])


def read_cs2smos(paths: Paths) -> xr.Dataset:
    """AWI CryoSat-2/SMOS merged thickness, 25 km EASE2: `sit` and `sit_uncertainty` [m], `sic` [1].

    Thickness is missing off the ice: it becomes 0 where concentration is exactly 0, and stays NaN elsewhere.
    The sea is where the first file has a concentration.
    """

    def read(data):
        thickness, conc = 'analysis_sea_ice_thickness', 'sea_ice_concentration'
        _require(data, thickness, f'{thickness}_unc', conc)
        sic = convert_units(data[conc], '1')
        sit = convert_units(data[thickness], 'm')
        fields = {
            'sit': sit.where(~((sic == 0) & sit.isnull()), 0).assign_attrs(units='m'),
            'sit_uncertainty': convert_units(data[f'{thickness}_unc'], 'm'),
            'sic': sic,
            'mask': sic.isel(time=0, drop=True).notnull(),
        }
        return _replace(data, fields, data[thickness])

    return _read(paths, read, ['sit', 'sit_uncertainty', 'sic'])


def read_osisaf_concentration(paths: Paths) -> xr.Dataset:
    """OSI SAF concentration, OSI-401 and OSI-450, polar stereographic or EASE2: `sic` [1].

    The filtered field `ice_conc`. Land is defined by the `status_flag` of the first file; without a land flag the sea
    is where any time has a value.
    """

    def read(data):
        _require(data, 'ice_conc', 'status_flag')
        sic = convert_units(data['ice_conc'], '1')
        land = _land(data['status_flag'].isel(time=0, drop=True))
        mask = sic.notnull().any('time') if land is None else ~land
        return _replace(data, {'sic': sic, 'mask': mask}, data['ice_conc'])

    return _read(paths, read, ['sic'])


def read_osisaf_drift(paths: Paths) -> xr.Dataset:
    """OSI SAF low-resolution drift OSI-405, 62.5 km: `divergence`, `shear` [day-1].

    Displacement along x and y over `time_bnds` (48 h where absent), at the start positions; vectors with a status flag
    below 20 are dropped, so that nothing is differenced across them. In older files `dY` points against y, and the
    corrected `dY_v1p4`, `status_flag_v1p4` exist beside it: these take precedence.
    """

    def read(data):
        along_y = 'dY_v1p4' if 'dY_v1p4' in data else 'dY'
        flag = 'status_flag_v1p4' if 'status_flag_v1p4' in data else 'status_flag'
        _require(data, 'dX', along_y, flag)
        days = 2.0
        if 'time_bnds' in data:
            bounds = data['time_bnds']
            days = (bounds.isel({bounds.dims[-1]: 1}) - bounds.isel({bounds.dims[-1]: 0})) / np.timedelta64(1, 'D')
        usable = data[flag] >= _USABLE_DRIFT
        u, v = (convert_units(data[name], 'm').where(usable) / days for name in ('dX', along_y))
        dx, dy = (_steps(convert_units(data[dim], 'm'), dim) for dim in ('xc', 'yc'))
        fields = _deformation(u, v, dx, dy)
        fields['mask'] = data[flag].isel(time=0, drop=True) != _DRIFT_OVER_LAND
        return _replace(data, fields, data['dX'])

    return _read(paths, read, ['divergence', 'shear'])


READERS = {
    'nextsim': read_nextsim,
    'cs2smos': read_cs2smos,
    'osisaf_concentration': read_osisaf_concentration,
    'osisaf_drift': read_osisaf_drift,
}


def _read(paths: Paths, read: Callable[[xr.Dataset], xr.Dataset], names: list[str]) -> xr.Dataset:
    files = files_of(paths)
    if not files:
        raise UserError('no file of the product is given; expected a path, a glob or several of them')
    # one by one, since versions of a product differ in the variables beside the fields
    parts = [read(store.open_dataset(file)) for file in files]
    source = files[0] if len(files) == 1 else f'{files[0]} to {files[-1]}'
    try:
        joined = xr.concat(
            parts, 'time', data_vars='minimal', coords='minimal', compat='override', join='exact',
            combine_attrs='override',
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f'{source}: the files are not on one grid ({str(error).splitlines()[0]})') from error
    return canonical(joined.sortby('time'), names, mask='mask', source=source)


def _source(data: xr.Dataset) -> str:
    return data.encoding.get('source', 'the product')


def _require(data: xr.Dataset, *names: str) -> None:
    for name in names:
        if name not in data.variables:
            raise UserError(f"{_source(data)}: no variable '{name}'; {suggestion(name, map(str, data.variables))}")


def _replace(data: xr.Dataset, fields: dict[str, xr.DataArray], like: xr.DataArray) -> xr.Dataset:
    """The coordinates and grid mapping of `data` with new fields."""
    mapping = like.attrs.get('grid_mapping', '')
    planes = [n for n in ('lat', 'lon', 'latitude', 'longitude', mapping) if n in data.variables]
    kept = xr.Dataset({**fields, **{n: data[n] for n in planes}}, attrs=data.attrs).set_coords(planes)
    for name in fields:
        if mapping in planes:
            kept[name].attrs['grid_mapping'] = mapping
    kept['mask'].attrs = {'long_name': '1 where the field exists'}
    return kept


def _land(flags: xr.DataArray) -> xr.DataArray | None:
    meanings = str(flags.attrs.get('flag_meanings', '')).lower().split()
    position = next((i for i, meaning in enumerate(meanings) if meaning in ('land', 'over_land')), None)
    for kind in ('flag_masks', 'flag_values'):
        if position is not None and kind in flags.attrs:
            land = int(np.atleast_1d(flags.attrs[kind])[position])
            # a _FillValue has turned the bits into floats
            bits = flags.fillna(0).astype('int64')
            return (bits & land) != 0 if kind == 'flag_masks' else bits == land
    return None


def _steps(axis: xr.DataArray, dim: str) -> xr.DataArray:
    """Distance from each cell to the next [m], negative on an axis that falls, NaN for the last."""
    return axis.reset_coords(drop=True).astype('float64').diff(dim, label='lower').reindex({dim: axis[dim]})


def _great_circle(latitude: xr.DataArray, longitude: xr.DataArray, dim: str) -> xr.DataArray:
    """As `_steps`, by the haversine formula: exact enough for neighbours, where the cosine formula loses digits."""
    lat, lon = (angle.reset_coords(drop=True).astype('float64') * (np.pi / 180) for angle in (latitude, longitude))
    lat2, lon2 = lat.shift({dim: -1}), lon.shift({dim: -1})
    half = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    return 2 * _EARTH_RADIUS * np.arcsin(np.sqrt(half))


def _deformation(u: xr.DataArray, v: xr.DataArray, dx: xr.DataArray, dy: xr.DataArray) -> dict[str, xr.DataArray]:
    """Divergence and shear [day-1] of velocities in m day-1, with steps [m] along the last two dimensions (y, x)."""
    y, x = u.dims[-2:]
    u, v = (velocity.astype('float64') for velocity in (u, v))
    u_x, u_y, v_x, v_y = (_slope(*terms) for terms in ((u, dx, x), (u, dy, y), (v, dx, x), (v, dy, y)))
    shear = ((u_x - v_y) ** 2 + (u_y + v_x) ** 2) ** 0.5  # unlike np.sqrt, the power keeps the type for mypy
    return {
        'divergence': (u_x + v_y).assign_attrs(units='day-1', long_name='divergence of sea-ice velocity'),
        'shear': shear.assign_attrs(units='day-1', long_name='maximum shear of sea-ice velocity'),
    }


def _slope(field: xr.DataArray, steps: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """Mean of the differences to both neighbours, or the only one: exact for linear fields up to the coast."""
    forward = (field.shift({dim: -1}) - field) / steps
    backward = forward.shift({dim: 1})
    both = (forward + backward) / 2
    return both.fillna(forward).fillna(backward)
