"""Decoding of the times of a file: CF units in any year and calendar, calendar months and years, CDO's and WRF's forms.

Results are datetime64[ns] where nanoseconds reach (1678 to 2261), objects of cftime elsewhere and in other calendars.
"""

import datetime
import re
import warnings
from collections.abc import Callable

import cftime
import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import is_valid_time, role_of
from downscale_jax.fields.datasets.times import nanoseconds
from downscale_jax.runtime.errors import UserError

CALENDARS = (
    'standard', 'gregorian', 'proleptic_gregorian', 'julian', 'noleap', '365_day', '360_day', 'all_leap', '366_day',
)  # fmt: skip
_ALIASES = {
    '': 'standard',
    '360': '360_day',
    '365': 'noleap',
    '366': 'all_leap',
    'no_leap': 'noleap',
    'none': 'standard',
}
_BY_CALENDAR = re.compile(r'\s*(months?|years?)\s+since\s+(.+)', re.IGNORECASE)
_ABSOLUTE = re.compile(r'\s*(day|month|year)\s+as\s+%Y(%m)?(%d)?(\.%f)?\s*', re.IGNORECASE)
_MONTHS = {'month': 1, 'year': 12}
_HUNDREDTHS = {'day': 2, 'month': 1, 'year': 0}  # pairs of digits after the year
# an offset from UTC after the reference date, as in '... 00:00:00 -6:00'; 'UTC' and 'Z' mean none
_OFFSET = re.compile(r'(.*\d:\d\S*?)\s*([+-])(\d{1,2})(?::?(\d\d))?\s*')
_ISO = re.compile(r'(\d{4})-(\d\d)(?:-(\d\d)(?:[T _](\d\d)(?::(\d\d)(?::(\d\d)(?:\.\d+)?)?)?Z?)?)?')
LARGEST = 1e30  # of a number that is a time: fill values of NetCDF are larger
SMALL_PART = 1e-6  # of a month or a year: a rounding error


def decoded(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """The data set, opened without decoding of times, with its times and their bounds decoded.

    A dimension of time without a coordinate gets the times along it: WRF's strings `Times`, otherwise the only ones, as
    WRF's `XTIME`. Months and years since a date are those of the calendar, a fraction is a part of that month or year.
    Raises UserError for an unknown calendar, and for units that give no dates.
    """
    times = {name: v for name, v in dataset.variables.items() if _is_time(v)}
    for variable in list(times.values()):
        bounds = dataset.variables.get(variable.attrs.get('bounds'))
        if bounds is not None and bounds.dtype.kind in 'iuf':
            inherited = {key: variable.attrs[key] for key in ('units', 'calendar') if key in variable.attrs}
            times[variable.attrs['bounds']] = bounds.copy(deep=False)._replace(attrs=inherited | bounds.attrs)
    replaced = {name: _decode(variable, f"{source}: '{name}'") for name, variable in times.items()}
    coords = {name: replaced.pop(name) for name in list(replaced) if name in dataset.coords}
    dataset = (dataset.assign(replaced) if replaced else dataset).assign_coords(coords)
    return _with_time_coordinates(dataset, source)


def _is_time(variable: xr.Variable) -> bool:
    units = str(variable.attrs.get('units', '')).lower()
    return variable.ndim <= 2 and variable.dtype.kind in 'iuf' and (' since ' in units or bool(_ABSOLUTE.match(units)))


def _decode(variable: xr.Variable, what: str) -> xr.Variable:
    units, given = variable.attrs['units'], str(variable.attrs.get('calendar', 'standard')).lower()
    calendar = _ALIASES.get(given, given)
    if calendar not in CALENDARS:
        raise UserError(f"{what} has the calendar '{given}'; valid are {', '.join(CALENDARS)}: correct the attribute")
    utc, offset = _without_offset(units)
    try:
        if match := _BY_CALENDAR.fullmatch(utc):
            values = _each(variable.values, _since(match[1], match[2], calendar))
        elif match := _ABSOLUTE.fullmatch(units):
            values = _each(variable.values, _absolute(match[1].lower(), calendar))
        else:
            values = _by_xarray(variable.values, utc, calendar)
        if values.dtype.kind == 'M':
            values = values - np.timedelta64(offset)
        elif offset:
            values = np.vectorize(lambda date: date and date - offset, otypes=[object])(values)
    except UserError:
        raise
    except Exception as error:  # cftime, pandas and xarray each raise their own kind, with advice for programmers
        raise UserError(
            f"{what} has units '{units}', which give no dates in the calendar '{calendar}'; use CF units such as "
            "'days since 2000-01-01'"
        ) from error
    attrs = {key: value for key, value in variable.attrs.items() if key not in ('units', 'calendar')}
    return xr.Variable(variable.dims, values, attrs, {'units': units, 'calendar': calendar})


def _without_offset(units: str) -> tuple[str, datetime.timedelta]:
    """Units since a date in UTC, and its offset: cftime ignores it, xarray only sometimes."""
    match = _OFFSET.fullmatch(units)
    if not match:
        return units, datetime.timedelta(0)
    offset = datetime.timedelta(hours=int(match[3]), minutes=int(match[4] or 0))
    return match[1], -offset if match[2] == '-' else offset


def _by_xarray(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """Dates of units of a fixed length. A reference date before 1582 is in the calendar that the file names: times
    since 1-1-1 of the standard calendar, which is Julian then, are two days off in the proleptic one."""
    unit, since, reference = re.split(r'(\s+since\s+)', units, maxsplit=1, flags=re.IGNORECASE)
    attrs = {'units': f'{unit.lower()}{since.lower()}{reference}', 'calendar': calendar}
    finite = np.abs(values) < LARGEST if values.dtype.kind == 'f' else np.ones(values.shape, bool)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that dates are beyond nanoseconds, and become cftime
        dates = xr.coders.CFDatetimeCoder().decode(xr.Variable('n', values[finite], attrs)).values
    if finite.all():
        return dates.reshape(values.shape)
    result = np.full(values.shape, np.datetime64('NaT') if dates.dtype.kind == 'M' else None, dates.dtype)
    result[finite] = dates
    return result


def _each(values: np.ndarray, date: Callable[[float], cftime.datetime]) -> np.ndarray:
    dates = np.array([date(float(value)) for value in values.ravel()], object)
    return nanoseconds(dates).reshape(values.shape)


def _since(unit: str, reference: str, calendar: str) -> Callable[[float], cftime.datetime]:
    months = _MONTHS[unit.lower().rstrip('s')]
    begin = cftime.num2date(0, f'days since {reference}', calendar)
    if begin.day > 28:
        raise UserError(f"'{unit} since {reference}': not every month has a day {begin.day}; use 'days since'")

    def date(value: float) -> cftime.datetime:
        whole = int(np.floor(value + SMALL_PART))
        start, end = (_shifted(begin, months * count) for count in (whole, whole + 1))
        part = value - whole
        return start if part < SMALL_PART else start + part * (end - start)

    return date


def _absolute(unit: str, calendar: str) -> Callable[[float], cftime.datetime]:
    """Of CDO's absolute time axes: 20000115.5 is noon of 15 January 2000 in 'day as %Y%m%d.%f'."""

    def date(value: float) -> cftime.datetime:
        whole = int(np.floor(value))
        parts = [1, 1]
        for place in reversed(range(_HUNDREDTHS[unit])):
            whole, parts[place] = divmod(whole, 100)
        start = cftime.datetime(whole, *parts, calendar=calendar)
        length = datetime.timedelta(days=1) if unit == 'day' else _shifted(start, _MONTHS[unit]) - start
        return start + datetime.timedelta(seconds=round((value - np.floor(value)) * length.total_seconds()))

    return date


def _shifted(date: cftime.datetime, months: int) -> cftime.datetime:
    """The same day of the month, that many months later."""
    year, month = divmod(12 * date.year + date.month - 1 + months, 12)
    return date.replace(year=year, month=month + 1)


def _with_time_coordinates(dataset: xr.Dataset, source: str) -> xr.Dataset:
    for dim in dataset.dims:
        along = {name: v for name, v in dataset.variables.items() if v.dims == (dim,)}
        own = 'Times' if dim not in along else dim if role_of(dataset, dim) == 'time' else None
        strings = [v for name, v in along.items() if name == own and _holds_strings(v)]
        if dim in along and not strings:
            continue
        dates = [v for name, v in along.items() if _holds_dates(v) and not is_valid_time(v, dim)]
        if strings:
            times = _of_strings(strings[0], f"{source}: '{own}'")
        elif len(dates) == 1:
            times = dates[0].values
        else:
            continue
        dataset = dataset.assign_coords({dim: (dim, times, {'standard_name': 'time'})})
    return dataset


def _holds_dates(variable: xr.Variable) -> bool:
    return variable.dtype.kind == 'M' or (
        variable.dtype.kind == 'O' and isinstance(variable.values[0], cftime.datetime)
    )


def _holds_strings(variable: xr.Variable) -> bool:
    return variable.dtype.kind in 'SUT' or (variable.dtype.kind == 'O' and isinstance(variable.values.flat[0], str))


def _of_strings(variable: xr.Variable, what: str) -> np.ndarray:
    """ISO 8601, and WRF's '2000-01-31_06:00:00'."""
    calendar = str(variable.attrs.get('calendar', 'standard')).lower()
    dates = []
    for value in variable.values:
        text = value.decode() if isinstance(value, bytes) else str(value)
        try:
            dates.append(_of_text(text.strip(), calendar))
        except ValueError as error:
            raise UserError(f"{what} holds '{text}'; dates such as 2000-01-31T06:00:00 were expected") from error
    return nanoseconds(np.array(dates, object))


def _of_text(text: str, calendar: str) -> cftime.datetime:
    match = _ISO.fullmatch(text)
    if not match:
        raise ValueError
    parts = [int(part or least) for part, least in zip(match.groups(), (1, 1, 1, 0, 0, 0), strict=True)]
    return cftime.datetime(*parts, calendar=calendar)
