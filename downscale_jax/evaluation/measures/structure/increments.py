"""Increments by lag: how peaked and how skewed the differences of neighbouring values are."""

from collections.abc import Mapping

import numpy as np

from downscale_jax.evaluation.measures.structure.comparison import MEMBERS, Comparison, tables
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import ratio
from downscale_jax.evaluation.statistics.structure import increments

NOTE = (
    'Kurtosis of first and skewness of second differences along rows and columns. Gaussian fields have 3 and 0; leads, '
    'narrow and low, make the skewness positive.'
)


class Increments:
    """Of single fields and of the first members."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._comparison = setting, Comparison(setting, increments.summarise, compare)

    def add(self, sample: Sample) -> None:
        for index in range(len(self._setting.variables)):
            truth = sample.truth[..., index]
            known = np.isfinite(truth) & (self._setting.weight > 0)
            expected = increments.day_sums(truth[None], known)
            for method in self._setting.complete:
                found = increments.day_sums(sample.methods[method][:MEMBERS, ..., index], known)
                self._comparison.add(method, index, sample.stamp, found, expected)

    def result(self) -> Result:
        compared = self._comparison.result()
        columns = {
            name: [f'{label}, lag {lag}' for lag in increments.LAGS]
            for name, label in (('kurtosis', 'Kurtosis'), ('skewness', 'Skewness'))
        }
        made = tables(compared, self._setting, 'Increments', columns, NOTE)
        return Result(compared.scores, {'lags': increments.LAGS, 'fields': compared.quantities}, made)


def compare(found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The scores, means over the lags that fit into the domain."""
    with np.errstate(divide='ignore'):
        peaked = np.abs(np.log(ratio(found['kurtosis'], truth['kurtosis'])))
    skewed = np.abs(found['skewness'] - truth['skewness'])
    return {
        name: ratio(np.nansum(values, -1), np.isfinite(values).sum(-1))
        for name, values in (('increment_kurtosis', peaked), ('increment_skewness', skewed))
    }
