"""Closure: agreement of generated fields, filtered or averaged back to the coarse grid, with the coarse input."""

import numpy as np

from downscale_jax.evaluation.protocol import Field, Sample, Setting, mean_of
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio
from downscale_jax.evaluation.statistics.consistency import MOMENTS, consistency
from downscale_jax.fields.geometry.grid import cell_sizes_km

KERNEL, BLOCKS = 'closure', 'block_closure'


class Closure:
    """`closure` where the coarse field is a box mean on the fine grid, `block_closure` where it is a block mean."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        self._sizes = cell_sizes_km(setting.statics)

    def add(self, sample: Sample) -> None:
        if sample.blocks is None:
            generated = [method for method in sample.methods if method not in self._setting.baselines]
            for field in sample.fields(self._setting, *generated) if generated else ():
                self.sums.add((field.method, field.index), sample.stamp, self._of_kernel(field))
            return
        for method, members in sample.methods.items():
            assert self._setting.coarsen is not None
            gap = self._setting.coarsen(mean_of(members)) - sample.blocks
            for field in sample.fields(self._setting, method):
                sums = block_sums(gap[..., field.index], field.truth, field.weight)
                self.sums.add((method, field.index), sample.stamp, sums)

    def _of_kernel(self, field: Field) -> dict[str, np.ndarray]:
        kernel, periodic = field.variable.kernel_km, self._setting.periodic
        found = consistency(field.members, field.coarse, self._setting.weight, self._sizes, kernel, periodic)['member']
        return {'square': found[MOMENTS.index('square')], 'weight': found[MOMENTS.index('weight')]}

    def result(self) -> Result:
        return Result(self._setting.named(self.sums.all_estimates(summarise)))


def block_sums(gap: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """gap [h, w]: block mean minus coarse input; sums of its squares, and what the variance of the truth needs."""
    known = np.isfinite(gap)
    counted = weight > 0
    w, y = weight[counted], truth[counted].astype(np.float64)
    return {
        'gap': np.square(gap[known].astype(np.float64)).sum(),
        'blocks': np.float64(known.sum()),
        'truth_weight': w.sum(),
        'truth': w @ y,
        'truth_square': w @ y**2,
    }


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    if 'gap' not in sums:
        return {KERNEL: np.sqrt(ratio(sums['square'], sums['weight']))}
    mean, square = (ratio(sums[name], sums['truth_weight']) for name in ('truth', 'truth_square'))
    return {BLOCKS: np.sqrt(ratio(ratio(sums['gap'], sums['blocks']), square - mean**2))}
