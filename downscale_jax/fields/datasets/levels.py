"""Vertical levels as variables: `u` at 850 hPa is `u_850`."""

from collections.abc import Hashable

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.archives import HEIGHT, LEVEL, is_pressure
from downscale_jax.fields.datasets.axes import NUMERIC_KINDS
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

NAMES = {
    'level', 'lev', 'plev', 'pressure', 'pressure_level', 'isobaricinhpa', 'isobaricinpa', 'hybrid', 'model_level',
    'sigma', 'height', 'heightaboveground', 'altitude', 'z', 'depth',
}  # fmt: skip


def level_dim(array: xr.DataArray) -> Hashable | None:
    """The vertical dimension of a variable, None without one."""
    return next((dim for dim in array.dims if _is_vertical(array, dim)), None)


def level_name(array: xr.DataArray) -> Hashable | None:
    """The vertical dimension of a variable, or else its scalar vertical coordinate; None without either."""
    return next((name for name in (*array.dims, *array.coords) if _is_vertical(array, name)), None)


def _is_vertical(array: xr.DataArray, name: Hashable) -> bool:
    attrs = array[name].attrs if name in array.coords else {}
    return str(name).lower() in NAMES or attrs.get('axis') == 'Z' or attrs.get('positive') in ('up', 'down')


def single_level(array: xr.DataArray) -> float | None:
    """The level of a field with one: hPa of a pressure, otherwise in its own unit; None where it is not known."""
    if (height := array.attrs.get(HEIGHT)) is not None:
        return float(height)
    levels = (c for name, c in array.coords.items() if c.ndim == 0 and _is_vertical(array, name))
    return next((float(_values(c)) for c in levels if c.dtype.kind in NUMERIC_KINDS), None)


def levels_as_variables(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """The data set, lazily, with one variable per level where a variable has several: `u_850` with pressures in hPa,
    `t_2` with heights in their own unit. A single level leaves the name as it is. Heights are kept in the attribute
    HEIGHT, pressures and each of several levels in LEVEL. Raises UserError where two variables would have the same
    name."""
    variables: dict[str, xr.DataArray] = {}
    for name, array in dataset.data_vars.items():
        dim = level_dim(array)
        levels = [None] if dim is None else _values(array[dim]).tolist()
        for index, level in enumerate(levels):
            key = f'{name}_{level:g}' if len(levels) > 1 else str(name)
            if key in variables:
                raise UserError(f"{source}: two fields are called '{key}': rename one of them")
            variables[key] = array if dim is None else _at_level(array, dim, index, level)
    kept = {name for array in variables.values() for name in array.coords}
    planes = {name: c for name, c in dataset.coords.items() if name in kept}
    return xr.Dataset(variables, planes, dataset.attrs).assign_coords(planes)


def _at_level(array: xr.DataArray, dim: Hashable, index: int, level: float) -> xr.DataArray:
    field, levels = array.isel({dim: index}, drop=True), array[dim]
    if str(dim).lower() in ('height', 'heightaboveground') and levels.attrs.get('units', 'm') == 'm':
        return field.assign_attrs({HEIGHT: level})
    return field.assign_attrs({LEVEL: level}) if levels.size > 1 or is_pressure(levels) else field


def _values(levels: xr.DataArray) -> np.ndarray:
    """In hPa where they are pressures."""
    try:
        return np.round(convert_units(levels, 'hPa').values.astype(float), 6)
    except UserError:
        return levels.values
