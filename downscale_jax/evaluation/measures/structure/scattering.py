"""Wavelet scattering in windows free of missing cells: amplitude, sparsity and shape by scale."""

from collections.abc import Mapping

import numpy as np

from downscale_jax.evaluation.measures.structure.comparison import Comparison, tables
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Result
from downscale_jax.evaluation.statistics.structure import scattering
from downscale_jax.evaluation.statistics.windows import tapered, windows

MEMBERS = 4  # of an ensemble that are scored, at most: the coefficients of one member are averages already
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

            def sums(fields, origins=origins):
                return scattering.scattering(np.concatenate([tapered(field, origins, size) for field in fields]))

            expected = sums(truth[None])
            for method in self._setting.complete:
                members = sample.methods[method][:MEMBERS, ..., index]
                found = {name: value / len(members) for name, value in sums(members).items()}
                self._comparison.add(method, index, sample.stamp, found, expected)

    def result(self) -> Result:
        compared, size = self._comparison.result(), self._setting.window
        cells = [f'{cells:.2g}' for cells in scattering.wavelengths(size)]
        pairs = [f'{first}, {second}' for k, second in enumerate(cells) for first in cells[:k]]
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
