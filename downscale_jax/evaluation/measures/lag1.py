"""Lag-1 correlation of the anomaly with that of the next record: the persistence of details."""

import numpy as np

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio

TRUTH = 'truth'


class Lag1:
    """Between neighbouring records, where both are scored; the anomaly is the field minus the coarse input."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        self._before: dict[tuple[str, int], np.ndarray] = {}

    def add(self, sample: Sample) -> None:
        anomalies = {}
        for field in sample.fields(self._setting, TRUTH, *self._setting.complete):
            known = np.isfinite(field.truth)
            key = field.method, field.index
            anomalies[key] = np.where(known, field.members - field.coarse, np.nan)
            if sample.follows:
                self.sums.add(key, sample.stamp, lag_sums(self._before[key], anomalies[key], self._setting.weight))
        self._before = anomalies

    def result(self) -> Result:
        found = self.sums.all_estimates(summarise, lambda sums: min(sums['first'], sums['second']) > 0)
        notes = [
            f'Lag-1 correlation of {self._setting.variables[index].label}: {len(self.sums.times((method, index)))} '
            f'pairs of neighbouring records; of the truth {estimates["lag1"][0]:.2f}.'
            for (method, index), estimates in found.items()
            if method == TRUTH
        ]
        scores = self._setting.named(found)
        truth = scores.pop(TRUTH, {})
        return Result(scores, {TRUTH: truth}, notes=notes)


def lag_sums(first: np.ndarray, second: np.ndarray, area: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of a b, a^2, b^2 over members and the cells where the anomalies [M, H, W] of both records have values."""
    both = np.isfinite(first).all(0) & np.isfinite(second).all(0)
    a, b, w = first[:, both], second[:, both], area[both]
    pairs = {'product': (a, b), 'first': (a, a), 'second': (b, b)}
    return {name: np.einsum('mp,mp,p', x, y, w, dtype=np.float64) for name, (x, y) in pairs.items()}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    return {'lag1': ratio(sums['product'], np.sqrt(sums['first'] * sums['second']))}
