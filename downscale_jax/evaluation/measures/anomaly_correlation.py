"""Anomaly correlation with the truth, over cells and times together."""

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics import correlation
from downscale_jax.evaluation.statistics.bootstrap import Accumulator


class AnomalyCorrelation:
    """ACC against the climatology of the training split."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting):
            normal = self._setting.reference.climatology[sample.month - 1, ..., field.index]
            sums = correlation.day_sums(field.mean, field.truth, field.weight, normal)
            self.sums.add((field.method, field.index), sample.stamp, sums)

    def result(self) -> Result:
        return Result(self._setting.named(self.sums.all_estimates(correlation.summarise)))
