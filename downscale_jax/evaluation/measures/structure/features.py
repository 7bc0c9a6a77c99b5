"""Connected features of the anomaly, field minus coarse field, beyond the truth's 5 and 95 % quantiles of the day."""

from collections.abc import Mapping

import numpy as np

from downscale_jax.evaluation.measures.structure.comparison import MEMBERS, Comparison, tables
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import ratio
from downscale_jax.evaluation.statistics.structure import features

NOTE = (
    'Features of the anomaly (field minus coarse field): connected cells below the 5 % or above the 95 % quantile of '
    "the truth's anomalies of the time. Area (in cells) and elongation (long over short axis) are those of the feature "
    'that a cell of a feature belongs to.'
)


class ConnectedFeatures:
    """Of single fields and of the first members."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._comparison = setting, Comparison(setting, features.summarise, compare)

    def add(self, sample: Sample) -> None:
        for index in range(len(self._setting.variables)):
            truth, coarse = sample.truth[..., index], sample.coarse[..., index]
            anomaly = np.where(self._setting.weight > 0, truth - coarse, np.nan)
            limits = features.thresholds(anomaly)
            expected = features.day_sums(anomaly[None], limits)
            for method in self._setting.complete:
                members = np.where(np.isfinite(anomaly), sample.methods[method][:MEMBERS, ..., index] - coarse, np.nan)
                found = features.day_sums(members, limits)
                self._comparison.add(method, index, sample.stamp, found, expected)

    def result(self) -> Result:
        compared = self._comparison.result()
        columns = {
            name: [f'{label}, {sign}' for sign in ('low', 'high')]
            for name, label in (('number', 'Number'), ('area', 'Area'), ('elongation', 'Elongation'))
        }
        made = tables(compared, self._setting, 'Connected features', columns, NOTE)
        return Result(compared.scores, compared.quantities, made)


def compare(found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The score, of SAL's relative differences |a - b| / ((a + b) / 2), between 0 and 2; 2 where only the truth has
    features."""
    parts = []
    for name, expected in truth.items():
        value = np.nan_to_num(found[name])
        parts.append(2 * ratio(np.abs(value - expected), value + expected))
    return {'features': np.stack(parts).mean((0, -1))}
