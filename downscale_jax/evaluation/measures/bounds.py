"""Values outside the physical bounds, before they are clipped."""

import numpy as np

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio


class Bounds:
    """Share of values that a generator put outside the bounds, of all variables together."""

    def __init__(self, setting: Setting) -> None:
        self.sums = Accumulator()

    def add(self, sample: Sample) -> None:
        for method, (outside, values) in sample.clipped.items():
            sums = {'outside': np.float64(outside), 'values': np.float64(values)}
            self.sums.add(method, sample.stamp, sums)

    def result(self) -> Result:
        return Result(self.sums.all_estimates(summarise))


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    return {'out_of_bounds': ratio(sums['outside'], sums['values'])}
