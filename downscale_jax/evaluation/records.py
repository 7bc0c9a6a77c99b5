"""The choice of scored records: spread over the split and over hours and months, singly or in pairs of neighbours."""

import numpy as np

from downscale_jax.fields.datasets.times import encode_times, evenly, month_of

DAY = 86_400  # seconds
ALIASED = 0.5  # of the amplitude of a daily or annual cycle: the error of its mean over the chosen records


def neighbours(times: np.ndarray) -> np.ndarray:
    """bool [T - 1]: whether record i + 1 follows record i at the usual step, not across a gap between blocks.

    The usual step is the median one; half as much again is allowed for months of unequal length.
    """
    steps = np.diff(encode_times(times))
    return steps <= 1.5 * np.median(steps) if len(steps) else np.zeros(0, bool)


def choose(times: np.ndarray, wanted: int | None, in_pairs: bool) -> list[int]:
    """Indices of `wanted` records (None: all) of the split; in pairs of neighbours, so that change in time can be
    scored, or singly.

    They are evenly spaced from the first to the last, unless that samples only one part of the day or year (six of the
    8760 hours of a year would all be near midnight): then they are `balanced`.
    """
    if wanted is None or wanted >= len(times):
        return list(range(len(times)))
    if not in_pairs:
        even = evenly(len(times), wanted)
        return balanced(times, wanted) if aliased(times, even) else even
    even = pairs(times, wanted, np.linspace(0, len(times) - 2, wanted // 2))
    return pairs(times, wanted, balanced(times[:-1], wanted // 2)) if aliased(times, even) else even


def cycles(times: np.ndarray) -> np.ndarray:
    """[2, T]: the hour of the day and the month of the year, both from 0 to 1."""
    return np.stack([encode_times(times) % DAY / DAY, np.array([month_of(time) - 1 for time in times]) / 12])


def aliased(times: np.ndarray, chosen: list[int]) -> bool:
    """Whether the mean of a sinusoidal cycle of a day or a year over the chosen records may differ from that over all
    by more than `ALIASED`."""
    waves = np.exp(2j * np.pi * cycles(times))
    return bool((np.abs(waves[:, chosen].mean(1) - waves.mean(1)) > ALIASED).any())


def balanced(times: np.ndarray, wanted: int) -> list[int]:
    """One record of each of `wanted` equal parts of the split, as far in hour and month from those before as possible.

    Each record in turn minimises the sum of d (d - 1) over the earlier ones and both cycles, where d is their distance
    as a fraction of the cycle: a greedy minimum of the diaphony (Zinterhof 1976), which measures uneven coverage. Of
    equal records the nearest to an even spacing is taken.
    """
    phases, count = cycles(times), len(times)
    bounds = np.linspace(0, count, wanted + 1).astype(int)
    crowded, chosen = np.zeros(count), list[int]()
    for place, start, stop in zip(np.linspace(0, count - 1, wanted), bounds[:-1], bounds[1:], strict=True):
        part = np.arange(start, stop)
        # rounded: the order of sums must not decide between equals
        best = int(part[np.lexsort((np.abs(part - place), crowded[part].round(9)))[0]])
        chosen.append(best)
        distance = (phases - phases[:, [best]]) % 1
        crowded += (distance * (distance - 1)).sum(0)
    return chosen


def pairs(times: np.ndarray, wanted: int, places: np.ndarray | list[int]) -> list[int]:
    """Indices of `wanted` records, in pairs of neighbours where possible, each pair near one of the `places`.

    An odd number leaves one single.
    """
    count = len(times)
    starts, chosen = np.flatnonzero(neighbours(times)), set[int]()
    for place in places:
        free = [start for start in starts if not {start, start + 1} & chosen]
        if free:
            start = int(min(free, key=lambda index: abs(index - place)))
            chosen |= {start, start + 1}
    while len(chosen) < wanted:  # singles go where they are farthest from all others
        left = [index for index in range(count) if index not in chosen]
        chosen.add(max(left, key=lambda index: min((abs(index - other) for other in chosen), default=0)))
    return sorted(chosen)
