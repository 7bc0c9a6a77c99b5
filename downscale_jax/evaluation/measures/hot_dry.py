"""Frequency of hot and dry times, where a temperature and a precipitation are among the targets."""

import numpy as np

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result, Table
from downscale_jax.evaluation.statistics import compound
from downscale_jax.evaluation.statistics.bootstrap import Accumulator

TRUTH = 'truth'


class HotDry:
    """Frequency over cells and times; a table, no score."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums, self._known = setting, Accumulator(), setting.reference.hot_dry()

    def add(self, sample: Sample) -> None:
        if self._known is None:
            return
        weight = np.where(np.isfinite(sample.truth).all(-1), self._setting.weight, 0.0)
        for method, members in {TRUTH: sample.truth[None], **sample.methods}.items():
            self.sums.add(method, sample.stamp, compound.day_sums(members, weight, sample.month, self._known))

    def result(self) -> Result:
        details = {method: self.sums.estimates(method, compound.summarise)['frequency'] for method in self.sums}
        if not details:
            return Result()
        note = (
            'Share of cells and times above the 0.9 quantile of temperature and below the 0.1 quantile of '
            'precipitation, for the calendar month in training, cell by cell (the extreme value where training has '
            'fewer than nine years): 1 % if the two were independent and the climate that of training. For an '
            'ensemble, the average over its members.'
        )
        rows = {method: [100 * frequency] for method, frequency in details.items()}
        return Result(details=details, tables=[Table('Hot and dry at once', 'Method', ['Frequency (%)'], rows, note)])
