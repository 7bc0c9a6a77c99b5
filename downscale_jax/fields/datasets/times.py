"""Time stamps: their encoding as seconds since 1970-01-01 of the data's own calendar, and matching of several axes."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import cftime
import numpy as np

EPOCH = 'seconds since 1970-01-01'
STANDARD = ('standard', 'gregorian', 'proleptic_gregorian')
REFORM = -12219292800  # 1582-10-15 in seconds: the standard calendar is Julian before
NEAR = datetime.timedelta(milliseconds=1)  # floating-point days since the year 1 are rounded to hundredths of it
NANOSECONDS = (-9214560000, 9214646400)  # 1678 and 2262 in seconds: the whole years that int64 nanoseconds hold


def encode_times(times: np.ndarray) -> np.ndarray:
    """Time stamps (datetime64 or cftime) -> int64 seconds, the nearest."""
    if np.issubdtype(times.dtype, np.datetime64):
        return (times.astype('datetime64[ms]') + np.timedelta64(500, 'ms')).astype('datetime64[s]').astype(np.int64)
    return np.round(cftime.date2num(times, EPOCH, calendar=times[0].calendar)).astype(np.int64)


def decode_times(seconds: np.ndarray, calendar: str) -> np.ndarray:
    """Inverse of `encode_times`: datetime64 in the standard calendars where nanoseconds reach, cftime objects
    elsewhere."""
    seconds = np.atleast_1d(np.asarray(seconds, np.int64))
    if calendar in STANDARD and ((seconds >= NANOSECONDS[0]) & (seconds < NANOSECONDS[1])).all():
        return seconds.astype('datetime64[s]').astype('datetime64[ns]')
    return np.atleast_1d(cftime.num2date(seconds, EPOCH, calendar=calendar))


def nanoseconds(times: np.ndarray) -> np.ndarray:
    """Time stamps as datetime64[ns] where the calendar is standard and all are between 1678 and 2261, else as cftime.

    A datetime64 beyond, of coarser units, is in the proleptic Gregorian calendar. Without this, years such as 850 or
    2300 would overflow to others. Stamps within a millisecond of a whole second are rounded to it: files hold times as
    floating-point numbers.
    """
    if not times.size:
        return times
    if times.dtype == np.dtype('datetime64[ns]'):
        return _rounded(times)
    if times.dtype.kind == 'O':
        times = np.array([_rounded_date(time) for time in times.ravel()], object).reshape(times.shape)
    calendar = 'proleptic_gregorian' if times.dtype.kind == 'M' else times.flat[0].calendar
    if calendar not in STANDARD:
        return times
    seconds = encode_times(times.ravel())
    if ((seconds < NANOSECONDS[0]) | (seconds >= NANOSECONDS[1])).any():
        return decode_times(seconds, calendar).reshape(times.shape) if times.dtype.kind == 'M' else times
    texts = times if times.dtype.kind == 'M' else [time.isoformat() for time in times.ravel()]
    return np.array(texts, 'datetime64[ns]').reshape(times.shape)


def _rounded(times: np.ndarray) -> np.ndarray:
    nearest = (times + np.timedelta64(500, 'ms')).astype('datetime64[s]').astype(times.dtype)
    return np.where(np.abs(times - nearest) <= np.timedelta64(NEAR), nearest, times)


def _rounded_date(time: Any) -> Any:
    above = datetime.timedelta(microseconds=time.microsecond)
    below = datetime.timedelta(seconds=1) - above
    return time - above if above <= NEAR else time + below if below <= NEAR else time


def in_one_calendar(series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Several arrays of time stamps in one calendar, so that they can be compared.

    The standard calendar and the proleptic Gregorian one agree from 1582-10-15 on. Raises ValueError for calendars that
    do not agree.
    """
    kinds = {'datetime64' if times.dtype.kind == 'M' else times[0].calendar for times in series if len(times)}
    if len(kinds) < 2:
        return list(series)
    if not kinds <= {'datetime64', *STANDARD}:
        raise ValueError(
            ' and '.join(sorted(kinds - {'datetime64'} | ({'standard'} if 'datetime64' in kinds else set())))
        )
    seconds = [encode_times(times) for times in series]
    if min(s.min() for s in seconds) < REFORM and len(kinds - {'datetime64'}) > 1:
        raise ValueError('standard and proleptic_gregorian before 1582-10-15')
    calendar = next(iter(sorted(kinds - {'datetime64'}, reverse=True)))
    return [np.atleast_1d(cftime.num2date(s, EPOCH, calendar=calendar)) for s in seconds]


def matching(axes: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str] | None:
    """({name: indices of the times that all have in common}, how they were matched); None where they do not match.

    Within the period that all cover, every time of one must be a time of the others. Otherwise monthly means are
    matched by month, wherever in the month they are stamped.
    """
    exact = {name: encode_times(times) for name, times in axes.items()}
    if (indices := _common(exact)) is not None:
        lost = {name: len(times) - len(indices[name]) for name, times in axes.items()}
        listed = ', '.join(f"{count} of '{name}'" for name, count in lost.items() if count)
        return indices, f'times that not all variables have are left out: {listed}'
    months = {name: _months(times) for name, times in axes.items()}
    monthly = all((np.diff(m) == 1).all() for m in months.values())
    if monthly and (indices := _common(months)) is not None:
        return indices, 'monthly values are matched by month, since their time stamps differ'
    return None


def _common(keys: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    first, last = max(k[0] for k in keys.values()), min(k[-1] for k in keys.values())
    indices = {name: np.flatnonzero((k >= first) & (k <= last)) for name, k in keys.items()}
    shared = [keys[name][index] for name, index in indices.items()]
    agree = all(np.array_equal(shared[0], other) for other in shared[1:])
    return indices if agree and len(shared[0]) else None


def _months(times: np.ndarray) -> np.ndarray:
    if times.dtype.kind == 'M':
        return times.astype('datetime64[M]').astype(int)
    return np.array([12 * (time.year - 1970) + time.month - 1 for time in times])


def month_of(time: Any) -> int:
    """1 to 12, of a datetime64 or cftime."""
    return int(time.astype('datetime64[M]').astype(int) % 12 + 1) if isinstance(time, np.datetime64) else time.month


def year_of(time: Any) -> int:
    """Of a datetime64 or cftime."""
    return int(time.astype('datetime64[Y]').astype(int) + 1970) if isinstance(time, np.datetime64) else time.year


def evenly(total: int, wanted: int | None) -> list[int]:
    """Indices of `wanted` evenly spread records of `total`, including the first and the last; None means all.

    They may share one hour or month, where the step is near a multiple of the day or year.
    """
    if wanted is None or wanted >= total:
        return list(range(total))
    return sorted({round(i) for i in np.linspace(0, total - 1, wanted)})
