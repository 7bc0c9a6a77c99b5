"""The canonical form of a data set: (time, y, x) or (time, lat, lon) in float32, with recognised axes and a mask.

Lazy: only the first and the last field are read, as a check.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import archives
from downscale_jax.fields.datasets.angles import in_one_run
from downscale_jax.fields.datasets.axes import NAMES, NUMERIC_KINDS, role_of, roles_of
from downscale_jax.fields.datasets.coordinates import horizontal, mapping_of, with_rotated_axes
from downscale_jax.fields.datasets.field_times import report_unused_times, scalar_time, with_common_times
from downscale_jax.fields.datasets.masks import valid_cells
from downscale_jax.fields.datasets.periods import bounds_of_time
from downscale_jax.fields.datasets.sizes import check_fits
from downscale_jax.fields.datasets.store import load
from downscale_jax.fields.datasets.values.fill_values import check_packing, decoded
from downscale_jax.fields.datasets.values.screening import screened
from downscale_jax.runtime.errors import UserError, suggestion


def canonical(dataset: xr.Dataset, names: Sequence[str], mask: str = '', source: str = '') -> xr.Dataset:
    """The named variables as float32 in (time, y, x) or (time, lat, lon), NaN where missing, with a boolean `mask`.

    Dimensions are recognised by CF attributes, units and usual names (`axes`); the last two of an unknown kind are y
    and x. Singleton dimensions are dropped, directions kept. A variable without time stays (y, x). Versions and
    forecasts with several starts become one time axis (`archives`). Longitudes that jump from 179 to -179 continue at
    181, those sorted as 0 to 9, 350 to 359 are put into one run. The coordinates are those of `coordinates.horizontal`.

    `mask` (y, x) is True where the field exists; values elsewhere become NaN. It is read from the variable of that name
    (at its first time) by the rules of `masks.valid_cells`, and is True everywhere where `mask` is ''.

    Raises UserError for a variable that is missing, has no values or another shape, for times or axes that are not
    monotonic, and for fields that do not fit into memory.
    """
    source = source or dataset.encoding.get('source', 'the data set')
    dataset = in_one_run(archives.one_axis_of_time(archives.one_version(dataset)))
    names = list(names)
    for name in names + [mask] * bool(mask):
        if name not in dataset.variables:
            present = sorted(map(str, dataset.data_vars))
            raise UserError(
                f"{source}: no variable '{name}'; it has {', '.join(present) or 'none'}; "
                + suggestion(name, present, 'rename one, or add it')
            )
    check_fits(dataset, names, source)
    for name in names:
        check_packing(dataset[name], f"{source}: '{name}'")
    dataset = decoded(dataset, names)
    dataset = with_rotated_axes(dataset, dataset[names[0]])
    fields = {name: _ordered(dataset, name, source) for name in names}
    first = fields[names[0]]
    space = ('lat', 'lon') if 'lat' in first.dims else ('y', 'x')
    _check_one_grid(dataset, names, source)
    coords: dict[str, Any] = {**horizontal(dataset, dataset[names[0]], space, source)}
    timed = [name for name in names if 'time' in fields[name].dims]
    if timed:
        timed_fields = {name: fields[name] for name in timed}
        common, coords['time'] = with_common_times(dataset, timed_fields, source)
        for name in timed:
            if common[name].sizes == fields[name].sizes:
                coords |= bounds_of_time(dataset, dataset[name], fields[name].attrs)
        fields |= common
        report_unused_times(dataset, names, coords['time'].values, source)
    valid = xr.Variable(space, np.ones(first.shape[-2:], bool))
    if mask:
        valid = xr.Variable(space, _mask(dataset, mask, first, source))
        fields = {name: field.where(valid) for name, field in fields.items()}
    fields = {name: screened(field, dataset[name], source) for name, field in fields.items()}
    valid.attrs = {'long_name': '1 where the field exists'}
    result = xr.Dataset(fields | {'mask': valid}, coords)
    for name in ('title', 'institution', 'source', 'references'):
        if name in dataset.attrs:
            result.attrs[name] = dataset.attrs[name]
    result.encoding['source'] = source
    return result


def _check_one_grid(dataset: xr.Dataset, names: Sequence[str], source: str) -> None:
    grids = {name: [d for d in dataset[name].dims if role_of(dataset, d) != 'time'] for name in names}
    for name in names:
        if set(grids[name]) != set(grids[names[0]]):
            sizes = [dict(zip(grids[n], map(dataset.sizes.get, grids[n]), strict=True)) for n in (name, names[0])]
            raise UserError(
                f"{source}: '{name}' is on the grid {sizes[0]}, '{names[0]}' on {sizes[1]}; one grid was expected: "
                'interpolate one of them beforehand'
            )


def check_times(fields: xr.Dataset, names: Sequence[str], source: str) -> None:
    """Raises UserError where one of the named variables of a canonical data set has no time axis."""
    for name in names:
        if 'time' not in fields[name].dims:
            raise UserError(f"{source}: '{name}' has no time axis, found {fields[name].dims}; expected (time, y, x)")


def _ordered(dataset: xr.Dataset, name: str, source: str) -> xr.Variable:
    """The variable in canonical order, with only its descriptive attributes."""
    array = dataset[name]
    if array.dtype.kind not in NUMERIC_KINDS:
        raise UserError(f"{source}: '{name}' has type {array.dtype}; numbers were expected")
    roles = roles_of(dataset, array.dims)
    extra = [dim for dim in array.dims if roles[dim] not in NAMES]
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
    if 'time' not in variable.dims and scalar_time(dataset, array) is not None:
        variable = variable.expand_dims('time')
    variable = variable.transpose(..., *space)
    keep = ('units', 'standard_name', 'long_name', 'cell_methods', 'units_metadata')
    variable.attrs = {key: variable.attrs[key] for key in keep if key in variable.attrs}
    if (units := archives.units_of(array)) is not None:
        variable.attrs['units'] = units
    if mapping := mapping_of(dataset, array):
        variable.attrs['grid_mapping'] = mapping
    variable.encoding = {'source': source}
    return variable


def _mask(dataset: xr.Dataset, mask: str, first: xr.Variable, source: str) -> np.ndarray:
    variable = _ordered(dataset, mask, source)
    variable = variable.isel(time=0) if 'time' in variable.dims else variable
    if variable.sizes != {dim: first.sizes[dim] for dim in first.dims[-2:]}:
        raise UserError(
            f"{source}: the mask '{mask}' is {dict(variable.sizes)}, the fields {dict(first.sizes)}; they must agree"
        )
    valid = valid_cells(load(variable, source).values, mask, dataset[mask].attrs)
    if not valid.any():
        raise UserError(f"{source}: the mask '{mask}' leaves no cell; 1 on land, or non-zero where valid was expected")
    return valid
