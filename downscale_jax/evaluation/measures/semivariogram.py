"""Semivariogram: the mean squared difference of values by distance, over that of the truth."""

import numpy as np

from downscale_jax.evaluation.drawing import ratios as drawing
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Estimate, Figure, Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums
from downscale_jax.evaluation.statistics.semivariogram import Pairs, choose, day_sums, summarise
from downscale_jax.runtime.errors import UserError

TEXTURE_KM = 500.0  # scored up to this distance, where fine structure shows


class Semivariogram:
    """Of single fields and of ensemble means."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        self._undefined = 'No distance of the semivariogram fits the grid.'  # where no pairs are found
        try:
            self.pairs = choose(setting.statics, setting.weight)
        except UserError as error:  # rotated axes without latitudes and longitudes
            none = np.zeros(0, int)
            self.pairs = Pairs(none, none, none, np.zeros(0))
            self._undefined = f'No semivariogram: {error}.'

    def add(self, sample: Sample) -> None:
        truths = [
            day_sums(field.truth, field.truth, field.weight, self.pairs)
            for field in sample.fields(self._setting, 'truth')
        ]
        for field in sample.fields(self._setting):
            predicted = day_sums(field.mean, field.truth, field.weight, self.pairs)
            sums = {**truths[field.index], 'difference': predicted['squared_difference']}
            self.sums.add((field.method, field.index), sample.stamp, sums)

    def result(self) -> Result:
        setting, kilometres = self._setting, self.pairs.kilometres
        if not kilometres.size:
            return Result(notes=[self._undefined])
        found = self.sums.all_estimates(self.summarise)
        curves: dict[str, dict[str, Estimate]] = {}
        truth = {}
        for (method, index), estimates in found.items():
            name = setting.variables[index].name
            curves.setdefault(method, {})[name] = estimates['variogram']
            sums = self.sums.total((method, index))  # those of the truth are the same for every method
            truth[name] = summarise(sums)['semivariogram']
        panels = [
            drawing.Curves(
                setting.panel_title(v.name), '1', truth[v.name], {m: curves[m][v.name] for m in setting.shown}
            )
            for v in setting.variables
        ]
        figure = Figure(
            'semivariogram',
            'Mean squared difference of values by distance, over twice the variance of the truth; below, relative to '
            'the truth: under 1 a field is too smooth.',
            drawing.variograms(kilometres, panels, 'Semivariogram', setting.title),
        )
        return Result(
            setting.named(found, 'semivariogram'),
            {'kilometres': kilometres, 'truth': truth, 'methods': curves},
            figures=[figure],
        )

    def summarise(self, sums: Sums) -> dict[str, np.ndarray]:
        """The curve [..., D] over that of the truth, and the score."""
        near = self.pairs.kilometres <= TEXTURE_KM
        with np.errstate(divide='ignore', invalid='ignore'):
            variogram = sums['difference'] / sums['squared_difference']
        score = np.abs(variogram[..., near] - 1).mean(-1) if near.any() else np.full(variogram.shape[:-1], np.nan)
        return {'variogram': variogram, 'semivariogram': score}
