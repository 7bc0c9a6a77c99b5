"""The choice of scored records: evenly spread over the split, singly or in pairs of neighbours."""

import numpy as np

from downscale_jax.fields.datasets.times import encode_times, evenly


def neighbours(times: np.ndarray) -> np.ndarray:
    """bool [T - 1]: whether record i + 1 follows record i at the usual step, not across a gap between blocks.

    The usual step is the median one; half as much again is allowed for months of unequal length.
    """
    steps = np.diff(encode_times(times))
    return steps <= 1.5 * np.median(steps) if len(steps) else np.zeros(0, bool)


def choose(times: np.ndarray, wanted: int | None, in_pairs: bool) -> list[int]:
    """Indices of `wanted` records (None: all) of the split, evenly spread; in pairs of neighbours, so that change in
    time can be scored, or singly."""
    if wanted is None or wanted >= len(times):
        return list(range(len(times)))
    return pairs(times, wanted) if in_pairs else evenly(len(times), wanted)


def pairs(times: np.ndarray, wanted: int) -> list[int]:
    """Indices of `wanted` records evenly spread over the split, in pairs of neighbours where possible.

    An odd number leaves one single.
    """
    count = len(times)
    starts, chosen = np.flatnonzero(neighbours(times)), set[int]()
    for place in np.linspace(0, count - 2, wanted // 2):
        free = [start for start in starts if not {start, start + 1} & chosen]
        if free:
            start = int(min(free, key=lambda index: abs(index - place)))
            chosen |= {start, start + 1}
    while len(chosen) < wanted:  # singles go where they are farthest from all others
        left = [index for index in range(count) if index not in chosen]
        chosen.add(max(left, key=lambda index: min((abs(index - other) for other in chosen), default=0)))
    return sorted(chosen)
