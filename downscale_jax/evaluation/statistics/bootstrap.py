"""Sums by day -> their total, and how far a score would move had other days been drawn.

A day is a dictionary of sums, numbers or arrays; days are added and only the grand total turns into scores, since
averaging daily roots or ratios would favour days with little ice. A summary is vectorised: it takes sums with any
leading axes, here the resamples, and keeps them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Sums = Mapping[Any, np.ndarray]
Summary = Callable[[Sums], Mapping[str, np.ndarray]]


def total(days: Sequence[Sums]) -> dict[Any, np.ndarray]:
    """The sums of all days together, as if their pixels had been pooled."""
    return {name: np.sum([day[name] for day in days], 0) for name in days[0]} if days else {}


def stacked(several: Sequence[Sums], axis: int = 0) -> dict[Any, np.ndarray]:
    """The same sums of several variables, or of anything else, side by side along a new axis."""
    return {name: np.stack([one[name] for one in several], axis) for name in several[0]}


def bootstrap(
    days: Sequence[Sums], summary: Summary, seed: int = 0, samples: int = 1000, block: int | None = None
) -> dict[str, np.ndarray]:
    """5 % and 95 % quantiles of every score over resampled days: {score: [2, ...]}.

    days: sums by day in order of time, only those that hold something. Whole blocks of `block` consecutive days are
    drawn, wrapping round the end (Politis and Romano 1992), since neighbouring days share their errors; the default,
    `block_length`, suits errors that last a few days: give more where they last longer. Where
    blocks and the number of days are even, blocks begin at every second day, so that days scored in pairs of neighbours
    stay together. Equal seeds draw equal
    days, so methods can be compared. NaN with fewer than five days or three blocks, and where a resample leaves a score
    undefined: too few to tell.
    """
    count = len(days)
    if not count:
        return {}
    block = block or block_length(count)
    if count < max(5, 3 * block):
        return {name: np.full((2, *np.shape(value)), np.nan) for name, value in summary(total(days)).items()}
    times_drawn = blocks(count, block, samples, seed)
    resampled = {name: np.tensordot(times_drawn, np.stack([day[name] for day in days]), 1) for name in days[0]}
    with np.errstate(invalid='ignore'):  # between infinities lies nothing
        return {name: np.quantile(value, (0.05, 0.95), axis=0) for name, value in summary(resampled).items()}


def blocks(count: int, block: int, samples: int, seed: int) -> np.ndarray:
    """[samples, count]: how often each of `count` days is drawn, whole blocks at a time."""
    step = 1 if block % 2 or count % 2 else 2
    starts = step * np.random.default_rng(seed).integers(0, -(-count // step), (samples, -(-count // block)))
    drawn = ((starts[..., None] + np.arange(block)) % count).reshape(samples, -1)[:, :count]
    times_drawn = np.zeros((samples, count))
    np.add.at(times_drawn, (np.arange(samples)[:, None], drawn), 1)
    return times_drawn


def block_length(count: int) -> int:
    """Of blocks of `count` days: an even number near n^(1/3)."""
    return 2 * max(1, round(count ** (1 / 3) / 2))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where `below` is not positive: no cell, no window, no power."""
    positive = np.asarray(below) > 0
    return np.where(positive, above / np.where(positive, below, 1), np.nan)
