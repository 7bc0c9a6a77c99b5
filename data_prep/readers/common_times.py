"""Times that two series of fields have in common, whatever their stamps within a day or month and their calendars."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.fields.datasets.dates import iso
from downscale_jax.runtime.errors import UserError

MONTH = 27.5, 31.5  # days between the stamps of monthly data
SAME_STEP = 0.75  # of the longer of two time steps: below it a series has times that the other lacks
STAMP_LENGTHS = {'month': 7, 'day': 10, 'minute': 16}  # characters of an ISO stamp that name a period


class Matches(NamedTuple):
    """Times that two series have in common."""

    positions: tuple[np.ndarray, np.ndarray]  # of equal length, in the first and in the second series
    unit: str  # by which they are matched: month, day or minute


class UnequalSteps(NamedTuple):
    """Time steps of two series in days, where those of one are shorter."""

    shorter: float
    longer: float
    finer: int  # the series with the shorter ones: 0 or 1

    def described(self, sources: Sequence[str]) -> str:
        """Both steps in words."""
        return (
            f'{sources[self.finer]} has time steps of {self.shorter:.3g} d, {sources[1 - self.finer]} of '
            f'{self.longer:.3g} d'
        )


def matched(stamps: Sequence[np.ndarray], sources: Sequence[str]) -> Matches:
    """The times that two series have in common, by month where both are monthly, by date where both are daily, by time
    stamp otherwise.

    Daily data are often stamped at 00:00 in one file and at 12:00 in another, monthly data on the first or in the
    middle of the month, and calendars differ. Raises UserError where nothing is in common, for several times in one
    month, day or minute, and for monthly data beside finer ones, of which only one time of each month would be used.
    """
    steps = unequal_steps(stamps)
    if steps and MONTH[0] < steps.longer < MONTH[1]:
        raise UserError(f'{steps.described(sources)}: form monthly means of {sources[steps.finer]}')
    unit = 'month' if all(map(_is_monthly, stamps)) else 'day' if all(map(_is_daily, stamps)) else 'minute'
    keys = [[_key(time, unit) for time in times] for times in stamps]
    for own, source, times in zip(keys, sources, stamps, strict=True):
        if len(set(own)) < len(own):
            count = Counter(own)
            twice = [iso(t) for t, key in zip(times, own, strict=True) if count[key] > 1]
            raise UserError(f'{source}: several times in one {unit}: {", ".join(twice[:4])}; keep one of them')
    places = {key: index for index, key in enumerate(keys[0])}
    pairs = [(places[key], index) for index, key in enumerate(keys[1]) if key in places]
    if not pairs:
        spans = [
            f'{source} ({iso(times[0])} to {iso(times[-1])})' for source, times in zip(sources, stamps, strict=True)
        ]
        raise UserError(f'{spans[0]} and {spans[1]} have no time in common')
    first, second = (np.array(index) for index in zip(*pairs, strict=True))
    return Matches((first, second), unit)


def unequal_steps(stamps: Sequence[np.ndarray]) -> UnequalSteps | None:
    """The time steps of two series, where one has steps of a day or longer and the other clearly shorter ones."""
    days = [days_between(times) for times in stamps]
    shorter, longer = sorted(days)
    if not (1 <= longer < np.inf and shorter < SAME_STEP * longer):
        return None
    return UnequalSteps(shorter, longer, days.index(shorter))


def days_between(times: np.ndarray) -> float:
    """Median spacing of time stamps in days, infinite for a single one."""
    if len(times) < 2:
        return np.inf
    steps = np.diff(times)
    seconds = [s / np.timedelta64(1, 's') if isinstance(s, np.timedelta64) else s.total_seconds() for s in steps]
    return float(np.median(seconds)) / 86400


def _is_monthly(times: np.ndarray) -> bool:
    return MONTH[0] < days_between(times) < MONTH[1]


def _is_daily(times: np.ndarray) -> bool:
    return days_between(times) == 1


def _key(time: Any, unit: str) -> str:
    """The part of an ISO stamp that names its period, equal in all calendars."""
    return iso(time)[: STAMP_LENGTHS[unit]]
