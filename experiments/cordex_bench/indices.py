"""Climate indices of one series of fields, exactly as CORDEX ML-Bench defines them.

Every index takes values [T, H, W], NaN where missing, and the calendar year of each day [T], and gives a map [H, W].
Years are calendar years on both hemispheres, a spell ends with the year, and a year counts however few days it has. A
missing day is neither hot, wet nor dry.
"""

from collections.abc import Callable, Iterator

import numpy as np

SUMMER = 300.0  # K
WET = 1.0  # mm/day

Index = Callable[[np.ndarray, np.ndarray], np.ndarray]


def su(tasmax: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Days over 300 K in a year, mean of the years."""
    return _mean([(part > SUMMER).sum(0) for part in by_year(tasmax, years)])


def txx(tasmax: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Highest value of a year, mean of the years."""
    return _mean([np.fmax.reduce(part) for part in by_year(tasmax, years)])


def txn(tasmax: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Lowest value of a year, mean of the years."""
    return _mean([np.fmin.reduce(part) for part in by_year(tasmax, years)])


def rx1day(pr: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Highest precipitation of a day in a year, mean of the years."""
    return txx(pr, years)


def sdii(pr: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Mean precipitation of all days with 1 mm or more; NaN without any."""
    count, total = np.zeros(pr.shape[1:], int), np.zeros(pr.shape[1:])
    for part in by_year(pr, years):
        wet = part >= WET
        count += wet.sum(0)
        total += np.where(wet, part, 0).sum(0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cdd(pr: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Longest run of days under 1 mm within a year, mean of the years."""
    return _mean([longest_run(part < WET) for part in by_year(pr, years)])


def cwd(pr: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Longest run of days of 1 mm or more within a year, mean of the years."""
    return _mean([longest_run(part >= WET) for part in by_year(pr, years)])


INDICES: dict[str, dict[str, Index]] = {
    'pr': {'rx1day': rx1day, 'sdii': sdii, 'cdd': cdd, 'cwd': cwd},
    'tasmax': {'su': su, 'txx': txx, 'txn': txn},
}


def longest_run(condition: np.ndarray) -> np.ndarray:
    """bool [T, H, W] -> the most days in a row on which it holds [H, W]."""
    run, longest = np.zeros((2, *condition.shape[1:]), int)
    for holds in condition:
        run = np.where(holds, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def by_year(values: np.ndarray, years: np.ndarray) -> Iterator[np.ndarray]:
    """The days of each year that has any."""
    for year in np.unique(years):
        yield values[years == year]


def _mean(maps: list[np.ndarray]) -> np.ndarray:
    """Mean of the years that have a value; NaN where none has."""
    stack = np.stack(maps).astype(np.float64)
    known = np.isfinite(stack)
    return np.where(known.any(0), np.where(known, stack, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
