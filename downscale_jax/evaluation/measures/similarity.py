"""Structural similarity of fields and members to the truth."""

import numpy as np

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio
from downscale_jax.evaluation.statistics.similarity import ssim_sums


class Similarity:
    """SSIM over windows of 11 x 11 cells without missing cells."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting):
            sums = ssim_sums(field.members, field.truth, field.weight, field.variable.data_range)
            self.sums.add((field.method, field.index), sample.stamp, sums)

    def result(self) -> Result:
        return Result(self._setting.named(self.sums.all_estimates(summarise)))


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    return {name: ratio(sums[name], sums['ssim_weight']) for name in ('ssim', 'ssim_member')}
