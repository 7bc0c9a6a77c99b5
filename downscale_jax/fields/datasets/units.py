"""Conversion of units: amounts of water and their depths, affine temperatures, months and years by the calendar."""

import re
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import periods
from downscale_jax.fields.datasets.spellings import Spelled, parse_units, registry
from downscale_jax.runtime.errors import UserError


class Conversion(NamedTuple):
    """y = (scale x + offset) days**power, for each (period, power) of `calendar` with the days of that month or year.

    `accumulated` says that x is an amount where y is a rate: y is then also divided by the days of accumulation.
    """

    scale: float
    offset: float
    calendar: tuple[tuple[str, int], ...] = ()
    accumulated: bool = False


def convert_units(array: xr.DataArray, units: str, source: str = '') -> xr.DataArray:
    """`array` in `units`, lazily; the same object where they are equal or `units` is ''. `source` prefixes messages.

    The mass of water per area and its depth are equivalent, and so are their rates: 1 kg m-2 is 1 mm, 1 kg m-2 s-1 is
    86400 mm day-1. Months and years have the lengths of the calendar at the times of the array. An amount becomes a
    rate only where it is a sum over known periods (`periods.lengths`), since its units do not include them. Differences
    of temperatures, such as anomalies, get no offset.

    Raises UserError where the array has no units, where units are unknown (`spellings`) or cannot be converted, and for
    units per month or year without times.
    """
    try:
        return _converted(array, units)
    except UserError as error:
        raise UserError(f'{source}: {error}' if source else str(error)) from error


def _converted(array: xr.DataArray, units: str) -> xr.DataArray:
    name, own = str(array.name or 'the array'), array.attrs.get('units')
    if own == units or units == '':
        return array
    if own is None:
        raise UserError(f"'{name}' has no units; '{units}' was expected: add the attribute units to the variable")
    found = conversion(str(own), units, name)
    data = array if found.scale == 1 else array * found.scale
    if found.offset and not is_difference(array.attrs):
        data = data + found.offset
    if found.accumulated:
        lengths = periods.lengths(array)
        if lengths is None:
            raise UserError(
                f"'{name}' is an amount in '{own}' where a rate in '{units}' is expected: give it the units of a rate "
                f"('{own} month-1' for monthly sums; '{own} day-1' for daily sums and, according to ECMWF's "
                'documentation, for monthly means of ERA5)'
            )
        data = data / lengths
    for period, power in found.calendar:
        days = periods.days_in(array, period)
        if days is None:
            raise UserError(
                f"'{name}' has no times to convert its units '{own}', which depend on the length of each {period}, to "
                f"'{units}': add a time coordinate, or give it units per day"
            )
        data = data * days**power
    dtype = array.dtype if array.dtype.kind == 'f' else np.float64
    return array.copy(data=data.data.astype(dtype, copy=False)).assign_attrs(units=units)


def conversion(own: str, units: str, name: str) -> Conversion:
    """From the units `own` of the variable `name` to `units`. Raises UserError where that is impossible."""
    (factor, unit), (target_factor, target) = _parsed(own, 'has', name), _parsed(units, 'is expected in', name)
    day, second, water = registry().Unit('day'), registry().Unit('second'), registry().Quantity(1000, 'kg m**-3')
    ratio = unit / target
    calendar = tuple((p, int(n)) for p in periods.KINDS if (n := ratio.dimensionality.get(f'[{p}]', 0)))
    for period, power in calendar:
        ratio = ratio * (day / registry().Unit(period)) ** power
        unit = unit * (day / registry().Unit(period)) ** power
    forms = {'same': {}, 'mass': water.dimensionality, 'depth': (1 / water).dimensionality}
    accumulated = (ratio / second).dimensionality in forms.values()
    if accumulated:
        unit, ratio = unit / day, ratio / day
    if ratio.dimensionality not in forms.values():
        raise UserError(f"'{name}' has units '{own}', which cannot be converted to '{units}'; correct one of them")

    def convert(value: float) -> float:
        quantity = registry().Quantity(value * factor, unit)
        if ratio.dimensionality == forms['mass']:
            quantity = quantity / water
        elif ratio.dimensionality == forms['depth']:
            quantity = quantity * water
        return quantity.to(target).magnitude / target_factor

    offset = convert(0.0)
    scale = float(f'{convert(1.0) - offset:.12g}') if offset else convert(1.0)  # the difference loses digits
    return Conversion(scale, offset, calendar, accumulated)


def are_equal(own: str, units: str, name: str) -> bool:
    """Whether values of the variable `name` are the same numbers in both units, such as 'mm/day' and 'kg m-2 day-1'."""
    if own == units:
        return True
    try:
        found = conversion(own, units, name)
    except UserError:
        return False
    return bool(np.isclose(found.scale, 1)) and not (found.offset or found.calendar or found.accumulated)


def _parsed(units: str, verb: str, name: str) -> Spelled:
    try:
        return parse_units(units)
    except UserError as error:
        raise UserError(
            f"'{name}' {verb} units '{units}', but {error}; correct the attribute, for example to 'K', 'mm day-1' or "
            "'m s-1'"
        ) from error


def is_difference(attrs: Mapping[Hashable, Any]) -> bool:
    """Whether CF attributes describe a difference of temperatures: by units_metadata, or by a name such as anomaly."""
    said = ' '.join(str(attrs.get(key, '')) for key in ('units_metadata', 'standard_name', 'long_name'))
    return bool(re.search('anomal|difference|departure', said.lower()))
