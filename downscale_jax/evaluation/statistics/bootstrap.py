"""Sums over times, their totals, and intervals from a block bootstrap over the times.

The sums of one time are a dictionary of numbers or arrays. Times are added, and only the grand total turns into
scores: averages of daily roots or ratios would favour days on which little is scored. A summary is vectorised: it takes
sums with any leading axes, here the resamples, and keeps these axes.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Sums = Mapping[Any, Any]  # numbers or arrays
Summary = Callable[[Sums], Mapping[Any, np.ndarray]]
WEATHER_DAYS = 5  # over which errors are correlated: the length of a block
FEWEST = 5  # times that can be resampled


def total(times: Sequence[Sums]) -> dict[Any, np.ndarray]:
    """The sums of all times together, as if their cells had been pooled."""
    return {name: np.sum([sums[name] for sums in times], 0) for name in times[0]} if times else {}


class Accumulator:
    """The sums of many times in order, by a key such as (method, variable)."""

    def __init__(self) -> None:
        self._times: dict[Hashable, list[Sums]] = {}
        self._stamps: dict[Hashable, list[int]] = {}

    def add(self, key: Hashable, stamp: int, sums: Sums) -> None:
        """Adds one time; `stamp` in seconds."""
        self._times.setdefault(key, []).append(sums)
        self._stamps.setdefault(key, []).append(stamp)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._times

    def __iter__(self) -> Iterator[Any]:
        return iter(self._times)

    def times(self, key: Hashable) -> list[Sums]:
        """The sums of each time."""
        return self._times.get(key, [])

    def stamps(self, key: Hashable) -> list[int]:
        """The stamp of each time."""
        return self._stamps.get(key, [])

    def total(self, key: Hashable) -> dict[Any, np.ndarray]:
        return total(self.times(key))

    def estimates(
        self, key: Hashable, summary: Summary, keep: Callable[[Sums], bool] = lambda _: True
    ) -> dict[Any, np.ndarray]:
        """{score: [..., 3]}, value, 5 and 95 % quantile, over the times to `keep`; empty without any."""
        kept = [(sums, stamp) for sums, stamp in zip(self.times(key), self.stamps(key), strict=True) if keep(sums)]
        return estimates([sums for sums, _ in kept], summary, weather_block([stamp for _, stamp in kept]))

    def all_estimates(
        self, summary: Summary, keep: Callable[[Sums], bool] = lambda _: True
    ) -> dict[Any, dict[Any, np.ndarray]]:
        """{key: its estimates}, without the keys that have none."""
        found = {key: self.estimates(key, summary, keep) for key in self}
        return {key: values for key, values in found.items() if values}


def estimates(times: Sequence[Sums], summary: Summary, block: int | None = None) -> dict[Any, np.ndarray]:
    """{score: [..., 3]}, value, 5 and 95 % quantile; `block` as in `bootstrap`; empty without times."""
    if not times:
        return {}
    intervals = bootstrap(times, summary, block=block)
    return {name: np.stack([value, *intervals[name]], -1) for name, value in summary(total(times)).items()}


def bootstrap(
    times: Sequence[Sums], summary: Summary, seed: int = 0, samples: int = 1000, block: int | None = None
) -> dict[Any, np.ndarray]:
    """5 % and 95 % quantiles of every score over resampled times: {score: [2, ...]}.

    times: sums in order of time, only those that hold something. Whole blocks of consecutive times are drawn (see
    `draws`), since neighbouring times share their errors; `block` defaults to `block_length`. Equal seeds draw equal
    times, so that methods can be compared. NaN with fewer than five times or three blocks, and where a resample leaves
    a score undefined.
    """
    count = len(times)
    if not count:
        return {}
    block = block or block_length(count)
    if too_few(count, block):
        return {name: np.full((2, *np.shape(value)), np.nan) for name, value in summary(total(times)).items()}
    drawn = draws(count, block, samples, seed)
    resampled = {name: np.tensordot(drawn, np.stack([sums[name] for sums in times]), 1) for name in times[0]}
    with np.errstate(invalid='ignore'):  # a quantile between infinities is undefined
        return {name: np.quantile(value, (0.05, 0.95), axis=0) for name, value in summary(resampled).items()}


def draws(count: int, block: int, samples: int, seed: int) -> np.ndarray:
    """[samples, count]: how often each of `count` times is drawn, whole blocks at a time.

    Blocks wrap round the end (Politis and Romano 1992). Where both the block and the number of times are even, blocks
    start at every second time, so that times scored in pairs of neighbours stay together.
    """
    step = 1 if block % 2 or count % 2 else 2
    starts = step * np.random.default_rng(seed).integers(0, -(-count // step), (samples, -(-count // block)))
    drawn = ((starts[..., None] + np.arange(block)) % count).reshape(samples, -1)[:, :count]
    counts = np.zeros((samples, count))
    np.add.at(counts, (np.arange(samples)[:, None], drawn), 1)
    return counts


def too_few(count: int, block: int) -> bool:
    """Whether `count` times are fewer than five, or than three blocks."""
    return count < max(FEWEST, 3 * block)


def block_length(count: int) -> int:
    """Default length of the blocks of `count` times: an even number near n^(1/3)."""
    return 2 * max(1, round(count ** (1 / 3) / 2))


def weather_block(stamps: Sequence[int]) -> int:
    """Number of times in WEATHER_DAYS for time stamps in seconds; at least `block_length`, at most a third of all."""
    count = len(stamps)
    step = float(np.median(np.diff(stamps))) if count > 1 else 1.0
    return int(np.clip(round(WEATHER_DAYS * 86_400 / step), block_length(count), max(1, count // 3)))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where `below` is not positive: no cell, no window, no power."""
    positive = np.asarray(below) > 0
    return np.where(positive, above / np.where(positive, below, 1), np.nan)
