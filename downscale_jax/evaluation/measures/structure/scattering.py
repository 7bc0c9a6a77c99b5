"""Wavelet scattering in windows free of missing cells: amplitude, sparsity and shape by scale."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from downscale_jax.evaluation.measures.structure.comparison import MEMBERS, Comparison, tables
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.structure import scattering
from downscale_jax.evaluation.statistics.windows import tapered, windows

NOTE = (
    'Scattering coefficients of the field by the wavelength of the wavelets in cells, means over the windows. '
    'Sparsity: second over first order. Shape: parallel over perpendicular wavelets, above that of a field with random '
    'phases (about 1.1) where structures are lines, below it where they are blobs.'
)


class Scattering:
    """Of single fields and of the first members."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._comparison = setting, Comparison(setting, scattering.summarise, compare)

    def add(self, sample: Sample) -> None:
        size = self._setting.window
        for index, variable in enumerate(self._setting.variables):
            truth, coarse = sample.truth[..., index], sample.coarse[..., index]
            known = np.isfinite(truth) & np.isfinite(coarse)
            zone = known & (coarse > variable.zone.above) if variable.zone else known
            origins = windows(known, zone, size)
            origins = origins[(origins % size == 0).all(-1)]  # of windows that do not overlap

            def sums(field, origins=origins):
                return scattering.scattering(tapered(field, origins, size))

            expected = sums(truth)
            for method in self._setting.complete:
                members = sample.methods[method][:MEMBERS, ..., index]
                mean = {name: value / len(members) for name, value in total([sums(one) for one in members]).items()}
                self._comparison.add(method, index, sample.stamp, mean, expected)

    def result(self) -> Result:
        compared, size = self._comparison.result(), self._setting.window
        cells = [f'{cells:.2g}' for cells in scattering.wavelengths(size)]
        pairs = [', '.join(pair) for pair in combinations(cells, 2)]
        columns = {
            'amplitude': [f'Amplitude, {cell}' for cell in cells],
            'sparsity': [f'Sparsity, {pair}' for pair in pairs],
            'shape': [f'Shape, {pair}' for pair in pairs],
        }
        made = tables(compared, self._setting, 'Scattering', columns, NOTE)
        return Result(compared.scores, compared.quantities, made)


def compare(found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The score."""
    return {'scattering': scattering.distance(found, truth)}
