"""Periods that the values of a field stand for: lengths of months and years, and of the sums of accumulated amounts."""

import re
from collections.abc import Hashable, Mapping

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

KINDS = ('month', 'year')
START, END = 'period_start', 'period_end'  # coordinates along time
PER_MONTH_OR_YEAR = re.compile(r'(?<![a-z])(mo|y|ann|a\b)')  # in units; must not match the y of 'day'


def bounds_of_time(
    dataset: xr.Dataset, array: xr.DataArray, attrs: Mapping[Hashable, object]
) -> dict[str, xr.Variable]:
    """The coordinates START and END of a field of the data set, from the bounds of its time axis.

    Empty where the file has none, or where the field, by its CF attributes `attrs`, neither is a sum nor has units per
    month or year.
    """
    if not (_is_sum(attrs) or PER_MONTH_OR_YEAR.search(str(attrs.get('units', '')).lower())):
        return {}
    for coordinate in array.coords.values():
        if (bounds := bounds_of(dataset, coordinate)) is not None:
            return {
                key: xr.Variable('time', bounds[:, side], {'long_name': f'{key.replace("_", " ")} of each value'})
                for side, key in enumerate((START, END))
            }
    return {}


def bounds_of(dataset: xr.Dataset, coordinate: xr.DataArray) -> np.ndarray | None:
    """The bounds [n, 2] of a coordinate of time, None where the file has none."""
    name = coordinate.attrs.get('bounds', coordinate.encoding.get('bounds'))
    bounds = dataset.variables.get(name) if name else None
    if bounds is None or coordinate.ndim > 1 or bounds.shape != (*coordinate.shape, 2) or not _is_time(bounds):
        return None
    return bounds.values.reshape(-1, 2)


def lengths(array: xr.DataArray) -> xr.DataArray | None:
    """Days over which each value was summed (time,), None where that is unknown.

    Known for sums (cell_methods `time: sum`) with time bounds, or with one time in each of successive months. Raises
    UserError for bounds that enclose no time.
    """
    if not _is_sum(array.attrs):
        return None
    if START in array.coords:
        days = abs(((array[END] - array[START]) / np.timedelta64(1, 'D')).astype(np.float64).drop_attrs())
        if not (days > 0).all():
            raise UserError(
                f"'{array.name}' is a sum, but {int((~(days > 0)).sum())} of its {days.size} bounds of time are "
                'missing or enclose no time: correct the bounds'
            )
        return days
    time = array.coords.get('time')
    if time is None or time.size < 2 or not _is_time(time.variable):
        return None
    months = 12 * time.dt.year.values + time.dt.month.values
    return days_in(array, 'month') if (np.diff(months) == 1).all() else None


def days_in(array: xr.DataArray, kind: str) -> xr.DataArray | None:
    """Days of the month or year of each time (time,) in its calendar, None without times.

    Where bounds are known, that of the middle of the period, since means may be stamped at the start of the next month.
    """
    time = array.coords.get('time')
    if START in array.coords:
        start, end = array[START], array[END]
        time = start.copy(data=start.values + (end.values - start.values) / 2)
    if time is None or not _is_time(time.variable):
        return None
    days = time.dt.days_in_month if kind == 'month' else time.dt.days_in_year
    return days.astype(np.float64).drop_attrs()


def _is_sum(attrs: Mapping) -> bool:
    return bool(re.search(r'\btime: sum\b', str(attrs.get('cell_methods', ''))))


def _is_time(variable: xr.Variable) -> bool:
    return variable.dtype.kind == 'M' or (variable.dtype.kind == 'O' and hasattr(variable.values.flat[0], 'calendar'))
