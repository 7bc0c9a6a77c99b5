"""Statistics of the records of a training split, gathered part by part and merged in the order of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Statistics:
    """Of one part of the split, or of several that were merged."""

    extremes: np.ndarray  # [2, V]: least and greatest value of each target
    sums: Arrays = field(default_factory=dict)  # over the records
    series: Arrays = field(default_factory=dict)  # of chosen records, along the first axis

    def merged(self, later: 'Statistics') -> 'Statistics':
        """With those of a part that follows in time."""
        (low, high), (low_later, high_later) = self.extremes, later.extremes
        return Statistics(
            np.stack([np.fmin(low, low_later), np.fmax(high, high_later)]),
            {name: value + later.sums[name] for name, value in self.sums.items()},
            {name: np.concatenate([value, later.series[name]]) for name, value in self.series.items()},
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """By name, as an .npz file holds them."""
        sums = {f'sums.{name}': value for name, value in self.sums.items()}
        return {'extremes': self.extremes, **sums, **{f'series.{name}': value for name, value in self.series.items()}}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> 'Statistics':
        groups: dict[str, dict[str, np.ndarray]] = {'sums': {}, 'series': {}}
        for key, value in arrays.items():
            group, _, name = key.partition('.')
            if name:
                groups[group][name] = value
        return cls(arrays['extremes'], **groups)


class Extremes:
    """Least and greatest valid value of each of V variables."""

    def __init__(self, variables: int):
        self.values = np.full((2, variables), [[np.inf], [-np.inf]])

    def add(self, fields: np.ndarray) -> None:
        """Of fields [..., V] with a valid value of each."""
        axes = tuple(range(fields.ndim - 1))
        self.values[0] = np.fmin(self.values[0], np.nanmin(fields, axes))
        self.values[1] = np.fmax(self.values[1], np.nanmax(fields, axes))
