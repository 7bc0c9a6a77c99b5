"""Normalisation of each grid point by its own climate, as published for DPDM: what is left is the anomaly.

(y - offset) / scale of values y that a `LogTransform` has made comparable; offset and scale [H, W, V] come from the
training split and stand among the static variables of its grid, so that no other region has them.
"""

from collections.abc import Iterable, Sequence

import numpy as np

KINDS = ('', 'standard', 'range')  # not at all; z-score; z-score, then [0, 1] between its least and its greatest
LEAST = 0.1  # of the median scale of points that change: where less does, what is interpolated still does


def names(variables: Sequence[str]) -> tuple[str, ...]:
    """Of the static variables: all offsets, then all scales."""
    return tuple(f'{what}_{v}' for what in ('offset', 'scale') for v in variables)


def fit(fields: Iterable[np.ndarray], kind: str) -> np.ndarray:
    """[H, W, 2 V] float32, offsets and scales, from fields [H, W, V] in time; 0 and 1 where all are missing.

    A z-score rescaled to its range is the value itself rescaled to its own range, so that one offset and one scale are
    enough for either kind.
    """
    count, mean, square, low, high = (np.zeros(()) for _ in range(5))
    for x in fields:
        known = np.isfinite(x)
        x = np.where(known, x, 0).astype(np.float64)
        count = count + known
        away = x - mean  # Welford 1962, cell by cell
        mean = mean + np.where(known, away / np.maximum(count, 1), 0)
        square = square + np.where(known, away * (x - mean), 0)
        seen = count > known
        low = np.where(known, np.where(seen, np.minimum(low, x), x), low)
        high = np.where(known, np.where(seen, np.maximum(high, x), x), high)
    standard = kind == 'standard'
    scale = np.sqrt(square / np.maximum(count, 1)) if standard else high - low
    there = count > 0
    scale = np.where(there, np.maximum(scale, LEAST * typical(scale)), 1)
    offset = np.where(there, mean if standard else low, 0)
    return np.concatenate([offset, scale], -1).astype(np.float32)


def typical(scale: np.ndarray) -> np.ndarray:
    """[V]: the median over points [H, W, V] that change at all, or what makes 1 the least where none does."""
    moving = [plane[plane > 0] for plane in np.moveaxis(scale, -1, 0)]
    return np.array([np.median(one) if one.size else 1 / LEAST for one in moving])
