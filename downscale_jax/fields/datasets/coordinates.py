"""Horizontal coordinates of a data set in canonical form: axes, 2-D latitude and longitude, bounds, grid mapping."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import projections
from downscale_jax.fields.datasets.angles import degrees
from downscale_jax.fields.datasets.axes import NAMES, NUMERIC_KINDS, role_of, roles_of
from downscale_jax.fields.datasets.store import load
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

Coordinates = dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]  # {name: (dimensions, values, attributes)}

_NAMES_AND_UNITS = {
    'lat': {'standard_name': 'latitude', 'units': 'degrees_north'},
    'lon': {'standard_name': 'longitude', 'units': 'degrees_east'},
    'y': {'standard_name': 'projection_y_coordinate', 'units': 'm'},
    'x': {'standard_name': 'projection_x_coordinate', 'units': 'm'},
    'rlat': {'standard_name': 'grid_latitude', 'units': 'degrees'},
    'rlon': {'standard_name': 'grid_longitude', 'units': 'degrees'},
}
_ROTATED = {'y': 'rlat', 'x': 'rlon'}
POLE, FARTHEST = 90.01, 1080.0  # largest valid latitude and longitude in degrees


def with_all_coordinates(dataset: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """The named variables, in their order, with every coordinate: indexing by a list drops bounds."""
    chosen = dataset[list(names)]
    return chosen.assign_coords({name: c.variable for name, c in dataset.coords.items() if name not in chosen.coords})


def horizontal(dataset: xr.Dataset, array: xr.DataArray, space: tuple[str, str], source: str) -> Coordinates:
    """The coordinates of the grid of `array`, whose canonical dimensions are `space`.

    `lat`, `lon` in degrees along the axes, or `y`, `x` in metres or `rlat`, `rlon` in rotated degrees with `lat`, `lon`
    (y, x): from the file, or else from the grid mapping. Bounds of latitudes and longitudes are `lat_bnds`,
    `lon_bnds`; the grid mapping is a scalar under its own name. Axes of cell numbers have no coordinates.

    Raises UserError for an axis that is not monotonic or has neither a unit of length nor 2-D coordinates beside it,
    and for 2-D coordinates that change in time.
    """
    dims = {role: dim for dim, role in roles_of(dataset, array.dims).items()}
    mapping = mapping_of(dataset, array)
    attributes = dataset[mapping].attrs if mapping else {}
    coords: Coordinates = {}
    if space == ('y', 'x'):
        coords |= _planes(dataset, array, dims, source)
    for role in space:
        if dims[role] in dataset.coords:
            coords |= _axis(dataset, dims[role], role, source, is_rotated=attributes.get('grid_mapping_name')
                            == projections.ROTATED, optional='lat' in coords)  # fmt: skip
    if 'lat' not in coords and (places := _from_mapping(coords, attributes)):
        for name, plane in zip(('lat', 'lon'), places, strict=True):
            coords[name] = space, plane, _attributes(name)
    if mapping:
        coords[mapping] = (), 0, {str(key): value for key, value in attributes.items()}
    return coords


def _from_mapping(coords: Coordinates, mapping: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    names = next((names for names in (('rlat', 'rlon'), ('y', 'x')) if set(names) <= set(coords)), None)
    return projections.geographic(coords[names[0]][1], coords[names[1]][1], mapping) if names else None


def with_rotated_axes(dataset: xr.Dataset, array: xr.DataArray) -> xr.Dataset:
    """The data set with the axes of `array` marked as rotated, where the grid mapping is rotated but the axes are
    identified only by their names, lat and lon."""
    mapping = mapping_of(dataset, array)
    if not mapping or dataset[mapping].attrs.get('grid_mapping_name') != projections.ROTATED:
        return dataset
    named = {'lat': 'grid_latitude', 'lon': 'grid_longitude'}
    roles = {dim: role_of(dataset, dim) for dim in array.dims}
    axes = {
        dim: dataset[dim].assign_attrs(standard_name=named[role])
        for dim, role in roles.items()
        if role in named and str(dataset[dim].attrs.get('units', '')).lower() in ('', 'degrees', 'degree', '1')
    }
    if any('standard_name' in dataset[dim].attrs for dim in axes) or len(axes) != 2:
        return dataset
    return dataset.assign_coords(axes)


def mapping_of(dataset: xr.Dataset, array: xr.DataArray) -> str:
    """The name of the grid mapping of `array`, or the only one of the data set; '' where there is none."""
    # xarray moves the name to the encoding when it decodes all coordinates; 'crs: x y' names axes too
    given = str(array.encoding.get('grid_mapping', array.attrs.get('grid_mapping', ''))).split()
    if given and (name := given[0].rstrip(':')) in dataset.variables:
        return name
    mappings = [str(name) for name, variable in dataset.variables.items() if 'grid_mapping_name' in variable.attrs]
    return mappings[0] if len(mappings) == 1 else ''


def _axis(dataset: xr.Dataset, dim: Hashable, role: str, source: str, is_rotated: bool, optional: bool) -> Coordinates:
    """The coordinate along a dimension, none for cell numbers. An `optional` one may lack a unit of length."""
    axis = dataset[dim]
    is_rotated |= 'grid_' in axis.attrs.get('standard_name', '') or dim in _ROTATED.values()
    name = _ROTATED[role] if role in _ROTATED and is_rotated else role
    if axis.dtype.kind not in NUMERIC_KINDS:
        raise UserError(f"{source}: the axis '{dim}' has type {axis.dtype}; numbers were expected: convert it")
    if name in ('y', 'x'):
        _check_partner(axis, source, optional)
        if 'units' not in axis.attrs and (np.diff(axis.values.astype(float)) == 1).all():
            return {}
        try:
            axis = convert_units(axis, 'm', source)
        except UserError:
            if optional:  # cell numbers or scan angles beside latitudes and longitudes
                return {}
            raise
    values = degrees(axis, source) if name not in ('y', 'x') else axis.values.astype(np.float64)
    if name in ('lon', 'rlon') and not _is_monotonic(values):
        values = np.unwrap(values, period=360.0)
    if not _is_monotonic(values):
        raise UserError(f"{source}: '{dim}' is not monotonic (from {axis.values[0]:g} to {axis.values[-1]:g}); its "
                        'values must increase or decrease throughout')  # fmt: skip
    if name == 'lat' and np.abs(values).max() > POLE:
        raise UserError(f"{source}: '{dim}' goes from {values.min():g} to {values.max():g}; latitudes from -90 to 90 "
                        'were expected: correct them, or their scale_factor')  # fmt: skip
    if name == 'lon' and abs(abs(values[-1] - values[0]) - 360) < 1e-3:
        messages.warning(f"{source}: the last column, at '{dim}' = {values[-1]:g}, repeats the first: drop it, so that "
                         'the grid closes around the globe')  # fmt: skip
    coords: Coordinates = {name: ((role,), values, _attributes(name))}
    return coords | _bounds(dataset, dataset[dim], coords, source) if name in ('lat', 'lon') else coords


def _check_partner(axis: xr.DataArray, source: str, optional: bool) -> None:
    """Raises UserError for an axis in degrees that is taken for one in metres, as the other axis is not an angle."""
    if not optional and str(axis.attrs.get('units', '')).lower().startswith('degree'):
        raise UserError(f"{source}: '{axis.name}' is in {axis.attrs['units']}, but the fields do not have both a "
                        'latitude and a longitude: name them by CF units, degrees_north and degrees_east')  # fmt: skip


def _attributes(name: str) -> dict[str, Any]:
    return dict(_NAMES_AND_UNITS[name])


def _is_monotonic(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _planes(dataset: xr.Dataset, array: xr.DataArray, dims: Mapping[str, Hashable], source: str) -> Coordinates:
    """`lat` and `lon` (y, x) with their bounds, where the file has them in two dimensions."""
    coords: Coordinates = {}
    for role in ('lat', 'lon'):
        plane = _plane(dataset, array, role, dims, source)
        if plane is not None:
            one: Coordinates = {role: (('y', 'x'), degrees(load(plane, source), source), _attributes(role))}
            coords |= one | _bounds(dataset, plane, one, source)
    return coords | _without_fill(coords, source)


def _without_fill(coords: Coordinates, source: str) -> Coordinates:
    """2-D latitudes and longitudes, NaN where they are missing: NEMO writes 0 N, 0 E on land, others fill values."""
    if not {'lat', 'lon'} <= set(coords):
        return {}
    lat, lon = coords['lat'][1], coords['lon'][1]
    missing = (np.abs(lat) > POLE) | (np.abs(lon) > FARTHEST)
    origin = (lat == 0) & (lon == 0)
    missing |= origin if origin.sum() > 1 else False
    if not missing.any():
        return {}
    if missing.all():
        raise UserError(f'{source}: none of its latitudes is between -90 and 90: correct their units or scale_factor')
    messages.warning(f'{source}: latitudes and longitudes of {missing.sum()} cells are fill values: taken as missing')
    return {
        name: (coords[name][0], np.where(missing, np.nan, coords[name][1]), coords[name][2]) for name in ('lat', 'lon')
    }


def _plane(
    dataset: xr.Dataset, array: xr.DataArray, role: str, dims: Mapping[str, Hashable], source: str
) -> xr.DataArray | None:
    """Latitude or longitude (y, x): first those that the variable names, then those with usual names, since drift
    products hold others as well. WRF repeats them in time; they must not change."""
    space = dims['y'], dims['x']
    names = [name for name, variable in dataset.variables.items() if _is_plane(dataset, variable.dims, space)]
    usual = [name for name in names if str(name).lower() in NAMES[role]]
    by_attributes = [name for name in names if role_of(dataset.set_coords(name), name) == role]
    named = str(array.encoding.get('coordinates', array.attrs.get('coordinates', ''))).split()
    candidates = sorted(usual + by_attributes, key=lambda name: (dataset[name].ndim, name not in named))
    if not candidates:
        return None
    plane = dataset[candidates[0]].reset_coords(drop=True)
    for dim in set(plane.dims) - set(space):
        ends = load(plane.isel({dim: [0, -1]}), source)
        first, last = (ends.isel({dim: end}).values for end in (0, -1))
        if not np.allclose(first, last, rtol=0, atol=1e-4, equal_nan=True):
            raise UserError(f"{source}: '{plane.name}' changes along '{dim}': the grid moves; cells that stay in place "
                            'were expected: split the file where the grid moves')  # fmt: skip
        plane = plane.isel({dim: 0})
    return plane.transpose(*space)


def _is_plane(dataset: xr.Dataset, dims: Iterable[Hashable], space: tuple[Hashable, Hashable]) -> bool:
    """Whether dimensions are those of space, or of space and time."""
    others = set(dims) - set(space)
    return set(space) <= set(dims) and all(role_of(dataset, dim) == 'time' for dim in others)


def _bounds(dataset: xr.Dataset, array: xr.DataArray, coords: Coordinates, source: str) -> Coordinates:
    """{name of the bounds: bounds} of the only one of `coords`, whose attributes then name them; {} without bounds."""
    ((name, (dims, centres, attributes)),) = coords.items()
    bounds = str(array.attrs.get('bounds', array.encoding.get('bounds', '')))
    if bounds not in dataset.variables or dataset[bounds].dims[:-1] != array.dims:
        return {}
    corners = degrees(load(dataset[bounds], source).assign_attrs(units=array.attrs.get('units', '')), source)
    if name == 'lon':  # beside their centres, whichever way longitudes are counted
        corners = centres[..., None] + (corners - centres[..., None] + 180) % 360 - 180
    attributes['bounds'] = f'{name}_bnds'
    return {f'{name}_bnds': ((*dims, 'bnds' if len(dims) == 1 else 'vertices'), corners, {})}
