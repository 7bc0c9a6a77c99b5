"""Mean and standard deviation of a stream of arrays."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def per_channel(values: Any, x: Any) -> Any:
    """`values` [C] with the rank of `x` [..., C], so that they broadcast explicitly."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


class Moments:
    """Mean and standard deviation over the valid values of a stream of arrays, in float64."""

    def __init__(self, sums: np.ndarray | None = None):
        """`sums` [3] of another stream, of which this is the continuation."""
        self.count, self.total, self.squares = (0, 0.0, 0.0) if sums is None else (int(sums[0]), *sums[1:])

    @property
    def sums(self) -> np.ndarray:
        """[3]: the number of values, their sum, and that of their squares."""
        return np.array([self.count, self.total, self.squares])

    def merged(self, other: 'Moments') -> 'Moments':
        """Of both streams."""
        return Moments(self.sums + other.sums)

    def add(self, values: np.ndarray) -> None:
        values = values[np.isfinite(values)].astype(np.float64)
        self.count += values.size
        self.total += values.sum()
        self.squares += np.square(values).sum()

    @property
    def mean(self) -> float:
        return float(self.total / max(self.count, 1))

    @property
    def std(self) -> float:
        """1 where all values are equal to within the rounding of float32."""
        variance = self.squares / max(self.count, 1) - self.mean**2
        return float(np.sqrt(variance)) if variance > 1e-12 * self.mean**2 else 1.0


def channel_moments(fields: Iterable[np.ndarray], channels: int) -> list[Moments]:
    """Moments of each channel of a stream of arrays [..., C]."""
    moments = [Moments() for _ in range(channels)]
    for field in fields:
        for channel, values in zip(moments, np.moveaxis(field, -1, 0), strict=True):
            channel.add(values)
    return moments
