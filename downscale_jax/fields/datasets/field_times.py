"""Times of the fields of a data set: from its coordinates, increasing, and common to several variables."""

from collections.abc import Collection, Mapping

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import gridded, is_valid_time, role_of
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.periods import bounds_of
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.times import encode_times, in_one_calendar, matching, nanoseconds
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

DAY = 86_400  # seconds


def with_common_times(
    dataset: xr.Dataset, fields: Mapping[str, xr.Variable], source: str
) -> tuple[dict[str, xr.Variable], xr.Variable]:
    """Fields (time, ...) of variables of `dataset` at the times that all have, and these times, as the first has them.

    Raises UserError for times that are missing, do not increase, or do not match between variables.
    """
    axes = {name: times_of(dataset, name, source) for name in fields}
    first, *others = axes
    try:
        in_one_calendar(list(axes.values()))
    except ValueError as error:
        raise UserError(f'{source}: its variables are in different calendars ({error}): convert one') from error
    seconds = {name: encode_times(times) for name, times in axes.items()}
    chosen = dict(fields)
    if any(not np.array_equal(seconds[name], seconds[first]) for name in others):
        matched = matching(axes)
        if matched is None:
            listed = '; '.join(f"'{name}' {_described(times)}" for name, times in axes.items())
            raise UserError(
                f'{source}: the times of the variables do not match: {listed}: bring them to the same times'
            )
        indices, how = matched
        messages.info(f'{source}: {how}')
        chosen = {
            name: isel_times(xr.Dataset({name: field}), indices[name]).variables[name] for name, field in fields.items()
        }
        axes[first] = axes[first][indices[first]]
    return chosen, xr.Variable('time', axes[first], {'standard_name': 'time'})


def times_of(dataset: xr.Dataset, name: str, source: str) -> np.ndarray:
    """The times of a variable, datetime64[ns] or cftime.

    Raises UserError if there are none, or if some are missing or out of order.
    """
    array = dataset[name]
    dim, scalar = next((d for d in array.dims if role_of(dataset, d) == 'time'), None), scalar_time(dataset, array)
    if dim is None and scalar is not None:
        time = scalar.expand_dims('time')
    else:
        along = [c for n, c in array.coords.items() if c.dims == (dim,) and (n == dim or is_valid_time(c, dim))]
        if not along:
            raise UserError(f"{source}: the dimension '{dim}' has no coordinate; times were expected")
        # In GRIB `time` is the start of the forecast: the valid time of each field takes precedence
        time = min(along, key=lambda c: (not is_valid_time(c, dim), c.name != dim))
    values = time.values
    if values.dtype.kind != 'M' and not all(hasattr(value, 'calendar') for value in values[:1]):
        units = time.attrs.get('units', '')
        raise UserError(
            f"{source}: '{time.name}' has no dates (units '{units}'); CF units such as 'days since 2000-01-01' expected"
        )
    missing = np.isnat(values) if values.dtype.kind == 'M' else np.array([value is None for value in values])
    if missing.any():
        raise UserError(f"{source}: {missing.sum()} of {len(values)} values of '{time.name}' are missing: drop them")
    values = nanoseconds(values)
    late = np.flatnonzero(~(values[1:] > values[:-1]))
    if len(late):
        before, after = values[late[0]], values[late[0] + 1]
        what = 'occurs twice' if after == before else f'is followed by {iso(after)}'
        raise UserError(f'{source}: time {iso(before)} {what}; times must increase: sort them, drop the duplicates')
    return _within_periods(values, bounds_of(dataset, time), source)


def _within_periods(times: np.ndarray, bounds: np.ndarray | None, source: str) -> np.ndarray:
    """The middles of the periods, where all times are stamped at the ends of periods of a day or longer.

    CESM stamps the January mean with 1 February, 00:00: by this stamp it would belong to February.
    """
    if bounds is None or any(date is None or date != date for date in bounds.ravel()):
        return times
    start, end = (nanoseconds(side) for side in np.sort(bounds, axis=1).T)
    seconds = encode_times(end)
    if (seconds != encode_times(times)).any() or (seconds - encode_times(start)).min() < DAY:
        return times
    messages.info(f'{source}: times at the ends of their periods, such as {iso(times[0])}, are replaced by the middles')
    return start + (end - start) / 2


def scalar_time(dataset: xr.Dataset, array: xr.DataArray) -> xr.DataArray | None:
    """The single time of a field, where the file has it as a scalar."""
    scalars = [c for n, c in array.coords.items() if c.ndim == 0 and role_of(dataset, n) == 'time']
    return min(scalars, key=lambda c: c.attrs.get('standard_name') != 'time', default=None)


def report_unused_times(dataset: xr.Dataset, names: Collection[str], used: np.ndarray, source: str) -> None:
    """Warns of fields at times before or after all those `used`, which the named variables have.

    This happens where a variable has another name in some files of a series.
    """
    read, taken = encode_times(used), {dim for name in names for dim in dataset[name].dims}
    for dim in (dim for dim in dataset.dims if dim not in taken and role_of(dataset, dim) == 'time'):
        others = [name for name in gridded(dataset) if dim in dataset[name].dims]
        times = dataset[dim].values
        if not others or not (times.dtype.kind == 'M' or hasattr(times.flat[0], 'calendar')):
            continue
        apart = encode_times(times)
        if apart.min() > read.max() or apart.max() < read.min():
            messages.warning(
                f'{source}: at {len(times)} times from {iso(times[0])} to {iso(times[-1])} it has only '
                f'{", ".join(others)}, not {", ".join(names)}: if these are the same variables, rename them'
            )


def _described(times: np.ndarray) -> str:
    return f'{len(times)}, {iso(times[0])} to {iso(times[-1])}'
