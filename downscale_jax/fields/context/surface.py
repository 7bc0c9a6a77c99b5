"""Topography and land: their names in archives, their units, and how they are read from a file.

`topography` is in m, 0 on the sea; `land` is 1 on land, 0 on the sea. Networks learn from them in training; other
regions bring their own.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.archives import Kind, on_pressure_levels, the_one
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.masks import LAND, flags_of
from downscale_jax.fields.datasets.store import load
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

GRAVITY = 9.80665  # m s-2, by which ECMWF divides a geopotential
SURFACE = {
    'topography': Kind(
        {'surface_altitude', 'altitude', 'bedrock_altitude', 'height_above_reference_ellipsoid',
         'height_above_mean_sea_level', 'height_above_geopotential_datum', 'geopotential', 'surface_geopotential'},
        {'z', 'elevation', 'elev', 'topo', 'topography', 'orog', 'orography', 'relief', 'rose', 'altitude', 'height',
         'band1', 'dem', 'bed_elevation', 'surface_elevation', 'geopotential', 'geopotential_at_surface'},
    ),
    'land': Kind({'land_binary_mask', 'land_area_fraction'}, {'land', 'lsm', 'sftlf', 'land_sea_mask'}),
}  # fmt: skip


def find_surface(dataset: xr.Dataset, name: str, source: str) -> str:
    """The variable of the kind `SURFACE[name]`, '' where there is none: a plane, possibly repeated in time.

    Raises UserError where several variables match.
    """
    dims = {str(n): array.squeeze().ndim for n, array in dataset.data_vars.items() if not on_pressure_levels(array)}
    return the_one([n for n, count in dims.items() if 2 <= count <= 3], dataset, SURFACE[name], name, source)


def heights(array: xr.DataArray) -> xr.DataArray:
    """[m] of a height, or of a geopotential [m2 s-2] by the standard gravity. Raises UserError for other units.

    A surface altitude without units, by CMIP's name or CF's, is in m as both define it.
    """
    if 'units' not in array.attrs and (array.name == 'orog' or array.attrs.get('standard_name') == 'surface_altitude'):
        return array.assign_attrs(units='m')
    try:
        geopotential = convert_units(array, 'm2 s-2')
    except UserError:
        return convert_units(array, 'm')
    return (geopotential / GRAVITY).assign_attrs(geopotential.attrs | {'units': 'm'})


def land_mask(is_land: xr.DataArray) -> xr.DataArray:
    """`land` int8: 1 on land, else 0."""
    attrs = {
        'units': '1',
        'standard_name': 'land_binary_mask',
        'flag_values': np.array([0, 1], np.int8),
        'flag_meanings': 'sea land',
    }
    return is_land.astype(np.int8).rename('land').drop_attrs().assign_attrs(attrs)


def land_fraction(land: xr.DataArray, attrs: Mapping[Hashable, Any]) -> xr.DataArray:
    """Between 0 and 1, of a canonical field whose attributes in the file are `attrs`.

    Flags are read by their meanings, percentages (such as CMIP's sftlf) are converted, and a sea fraction is inverted.
    """
    if flags := flags_of(attrs, LAND):
        return land.isin(flags).astype(np.float32)
    fraction = convert_units(land, '1') if 'units' in land.attrs else land
    return 1 - fraction if str(attrs.get('standard_name', '')).startswith('sea_') else fraction


_CONVERSIONS: dict[str, Callable[[xr.DataArray, Mapping[Hashable, Any]], xr.DataArray]] = {
    'topography': lambda field, attrs: heights(field),
    'land': lambda field, attrs: land_mask(land_fraction(field, attrs) >= 0.5),
}


def read_surface(data: xr.Dataset, names: Sequence[str], source: str) -> dict[str, xr.DataArray]:
    """{name: (lat, lon) or (y, x)} of those of topography and land in `names` that the file has under another name.

    For example ERA5's `z`, a geopotential, and `lsm`, a land fraction that counts from 0.5. They may be repeated in
    time but must not change. Raises UserError where several variables match, or units are neither of a height nor of a
    geopotential.
    """
    result = {}
    for name in SURFACE:
        match = find_surface(data, name, source) if name in names and name not in data.data_vars else ''
        field = without_time(canonical(data[[match]], [match], source=source)[match], source) if match else None
        if field is not None:
            try:
                result[name] = _CONVERSIONS[name](field, data[match].attrs).rename(name)
            except UserError as error:
                raise UserError(f"{source}: taken for '{name}', {error}") from error
    return result


def without_time(field: xr.DataArray, source: str) -> xr.DataArray | None:
    """A canonical field that may be repeated in time, at its first time; None where the first and the last differ."""
    if 'time' not in field.dims:
        return field
    ends = load(field.isel(time=[0, -1]), source)
    return ends.isel(time=0, drop=True) if ends[0].equals(ends[1].assign_coords(time=ends[0].time)) else None


def surface_of_relief(relief: xr.DataArray, land: xr.DataArray | None = None) -> dict[str, xr.DataArray]:
    """`topography` and `land` of a relief, which may include the sea floor; by default `land` is where it is above 0.

    Negative heights off the land become 0, since a sea's topography is its surface; land below sea level keeps its
    height, where a land mask identifies it.
    """
    land = land_mask(relief > 0) if land is None else land
    sea = (land.values < 0.5) & (relief.values < 0)
    topography = relief.copy(data=relief.where(~sea, 0).values).assign_attrs(long_name='topography, 0 on the sea')
    return {'topography': topography, 'land': land}
