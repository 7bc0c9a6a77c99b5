"""Encoding of time stamps as seconds since 1970-01-01 of the data's own calendar."""

from typing import Any

import cftime
import numpy as np

EPOCH = 'seconds since 1970-01-01'
STANDARD = ('standard', 'gregorian', 'proleptic_gregorian')


def encode_times(times: np.ndarray) -> np.ndarray:
    """Time stamps (datetime64 or cftime) -> int64 seconds."""
    if np.issubdtype(times.dtype, np.datetime64):
        return times.astype('datetime64[s]').astype(np.int64)
    return np.round(cftime.date2num(times, EPOCH, calendar=times[0].calendar)).astype(np.int64)


def decode_times(seconds: np.ndarray, calendar: str) -> np.ndarray:
    """Inverse of `encode_times`: datetime64 in the standard calendars, cftime objects in the others."""
    if calendar in STANDARD:
        return np.asarray(seconds, np.int64).astype('datetime64[s]').astype('datetime64[ns]')
    return np.atleast_1d(cftime.num2date(seconds, EPOCH, calendar=calendar))


def month_of(time: Any) -> int:
    """1 to 12, of a datetime64 or cftime."""
    return int(time.astype('datetime64[M]').astype(int) % 12 + 1) if isinstance(time, np.datetime64) else time.month


def year_of(time: Any) -> int:
    """Of a datetime64 or cftime."""
    return int(time.astype('datetime64[Y]').astype(int) + 1970) if isinstance(time, np.datetime64) else time.year


def evenly(total: int, wanted: int) -> list[int]:
    """Indices of `wanted` evenly spread records of `total`, including the first and the last; 0 means all."""
    if not wanted or wanted >= total:
        return list(range(total))
    return sorted({round(i) for i in np.linspace(0, total - 1, wanted)})
