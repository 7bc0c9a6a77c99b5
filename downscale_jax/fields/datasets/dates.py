"""Selection by dates in any CF calendar, and splits that must not overlap."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.runtime.errors import UserError

_DATE = re.compile(r'\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?')


def select_dates(dataset: xr.Dataset, pairs, what: str = 'dates') -> xr.Dataset:
    """The times within one (start, end) or several, both ends inclusive; '2016-08' is the whole month.

    ISO strings, in the data set's own calendar. Raises UserError where a date is malformed or nothing is selected.
    """
    index = dataset.indexes['time']
    chosen = _positions(index, pairs, what)
    if not len(chosen):
        raise UserError(
            f'{what} {listed(pairs)} select nothing; the data set has {_date_range(dataset["time"].values)}'
        )
    return isel_times(dataset, chosen)


def check_splits(splits: Mapping[str, Sequence], times) -> None:
    """Raises UserError where a split ({name: pairs as in `select_dates`}) of `times` is empty or shares a time."""
    index = xr.Dataset(coords={'time': ('time', np.asarray(times))}).indexes['time']
    positions = {name: _positions(index, pairs, f"split '{name}'") for name, pairs in splits.items()}
    names = list(splits)
    for number, name in enumerate(names):
        if not len(positions[name]):
            raise UserError(
                f"split '{name}' {listed(splits[name])} is empty; the data set has {_date_range(index.values)}"
            )
        for other in names[:number]:
            shared = np.intersect1d(positions[name], positions[other])
            if len(shared):
                raise UserError(
                    f"splits '{other}' {listed(splits[other])} and '{name}' {listed(splits[name])} share "
                    f'{_date_range(index.values[shared])}; they must not overlap'
                )


def iso(time) -> str:
    """ISO string of a time stamp (datetime64 or cftime), to the second."""
    return str(time.astype('datetime64[s]')) if isinstance(time, np.datetime64) else time.isoformat()


def _pairs(pairs) -> list[tuple[str, str]]:
    pairs = list(pairs)
    flat = not all(isinstance(pair, Sequence) and not isinstance(pair, str) for pair in pairs)
    return [tuple(pairs)] if flat else [tuple(pair) for pair in pairs]


def _date_range(times: np.ndarray) -> str:
    return f'{iso(times[0])} to {iso(times[-1])}'


def listed(pairs) -> str:
    """Pairs of dates as in `select_dates` in words."""
    return ', '.join(f'{start} to {end}' for start, end in _pairs(pairs)) or 'without dates'


def checked_pairs(pairs, what: str) -> list[tuple[str, str]]:
    """Pairs (start, end) of ISO dates, as in `select_dates`. Raises UserError for any other form."""
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise UserError(f'{what}: {pairs!r} is not a pair of dates; expected (start, end)')
    checked = _pairs(pairs)
    for pair in checked:
        if len(pair) != 2 or not all(isinstance(date, str) and _DATE.fullmatch(date) for date in pair):
            raise UserError(
                f"{what}: {pair} is not a pair of dates; expected (start, end) as in ('2016-08', '2016-09-15')"
            )
        start, end = pair
        shared = min(len(start), len(end))
        if start[:shared].replace(' ', 'T') > end[:shared].replace(' ', 'T'):
            raise UserError(f'{what}: {end} is before {start}; give the start first')
    return checked


def _positions(index, pairs, what: str) -> np.ndarray:
    chosen = [np.empty(0, int)]
    for start, end in checked_pairs(pairs, what):
        try:
            chosen.append(np.arange(len(index))[index.slice_indexer(start, end)])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{what}: {start} or {end} is not a date ({error}); correct it') from error
    return np.unique(np.concatenate(chosen))
