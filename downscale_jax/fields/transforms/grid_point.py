"""Normalisation of each grid point by its own climate, as published for DPDM, which leaves the anomaly.

(y - offset) / scale of standardised values y (`Standardisation`); offset and scale [H, W, V] are fitted to the training
split and stored with the static variables of its grid, so other regions do not have them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

KINDS = ('', 'standard', 'range')  # none; z-score; z-score rescaled to [0, 1] between its extremes
LEAST = 0.1  # smallest scale, relative to the median: points that hardly vary still receive interpolated variability


def names(variables: Sequence[str]) -> tuple[str, ...]:
    """Names of the static variables: all offsets, then all scales."""
    return tuple(f'{kind}_{v}' for kind in ('offset', 'scale') for v in variables)


@dataclass(frozen=True)
class PointMoments:
    """Moments and extremes of each grid point [H, W, V] over the valid values of a series of fields."""

    count: np.ndarray
    mean: np.ndarray
    square: np.ndarray  # sum of squared deviations from the mean
    low: np.ndarray
    high: np.ndarray

    def merged(self, later: 'PointMoments') -> 'PointMoments':
        """Of both series (Chan et al. 1983, equation 2.1)."""
        count = self.count + later.count
        away, share = later.mean - self.mean, later.count / np.maximum(count, 1)
        return PointMoments(
            count,
            self.mean + away * share,
            self.square + later.square + away**2 * share * self.count,
            np.where(later.count > 0, np.where(self.count > 0, np.minimum(self.low, later.low), later.low), self.low),
            np.where(
                later.count > 0, np.where(self.count > 0, np.maximum(self.high, later.high), later.high), self.high
            ),
        )

    def planes(self, kind: str) -> np.ndarray:
        """Offsets and scales [H, W, 2 V] float32; 0 and 1 where all values are missing.

        A z-score rescaled to its range equals the value rescaled to its range, so one offset and scale serve either.
        """
        standard = kind == 'standard'
        scale = np.sqrt(self.square / np.maximum(self.count, 1)) if standard else self.high - self.low
        known = self.count > 0
        scale = np.where(known, np.maximum(scale, LEAST * typical(scale)), 1)
        offset = np.where(known, self.mean if standard else self.low, 0)
        return np.concatenate([offset, scale], -1).astype(np.float32)


def moments(fields: Iterable[np.ndarray]) -> PointMoments:
    """Of a series of fields [H, W, V]."""
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
    return PointMoments(count, mean, square, low, high)


def typical(scale: np.ndarray) -> np.ndarray:
    """[V]: median over the points [H, W, V] with a positive scale; without any, the value that makes the smallest 1."""
    moving = [plane[plane > 0] for plane in np.moveaxis(scale, -1, 0)]
    return np.array([np.median(one) if one.size else 1 / LEAST for one in moving])
