"""Distribution of values over the domain: total variation, percentiles, bias maps, error time by time."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing import window as drawing
from downscale_jax.evaluation.drawing.frame import frame_of
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Figure, Result, Table, certain
from downscale_jax.evaluation.statistics import distributions
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, total

VALUES = 2_000_000  # kept for percentiles, of each variable and method
TRUTH = 'truth'


class MethodDetails(NamedTuple):
    """Of one method, or the truth, and one variable."""

    percentiles: np.ndarray  # at `statistics.distributions.PERCENTILES`
    squared_error: np.ndarray  # mean of each time, [T]; empty for the truth


class Distribution:
    """Of single fields and of ensemble means."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        self._maps: dict[tuple[str, int], Sums] = {}
        self._values: dict[tuple[str, int], list[np.ndarray]] = {}
        self._cells = distributions.choose_cells(setting.weight, max(1, VALUES // setting.times))

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting, TRUTH, *sample.methods):
            key, mean = (field.method, field.index), field.mean
            self._values.setdefault(key, []).append(
                np.where(np.isfinite(field.truth), mean, np.nan).ravel()[self._cells]
            )
            if field.method == TRUTH:
                continue
            sums = distributions.frame_sums(mean, field.truth, field.weight, self._setting.statics)
            self.sums.add(key, sample.stamp, sums)
            added = distributions.map_sums(mean, field.truth)
            self._maps[key] = total([self._maps[key], added]) if key in self._maps else added

    def result(self) -> Result:
        setting = self._setting
        details: dict[str, dict[str, MethodDetails]] = {}
        weight = setting.weight.ravel()[self._cells]
        for (method, index), values in self._values.items():
            variable = setting.variables[index]
            errors = np.array([distributions.frame_scores(sums)['mse'] for sums in self.sums.times((method, index))])
            percentiles = distributions.percentiles(np.stack(values), weight)
            details.setdefault(method, {})[variable.name] = MethodDetails(percentiles, errors)
        scores = setting.named(self.sums.all_estimates(distributions.frame_scores), 'total_variation')
        columns = [f'{level:g} %' for level in distributions.PERCENTILES]
        tables = []
        for variable in setting.variables:
            rows = {
                name: [*map(certain, by_variable[variable.name].percentiles)] for name, by_variable in details.items()
            }
            tables.append(Table(f'Percentiles: {variable.label} ({variable.units})', 'Method', columns, rows))
        return Result(scores, details, tables, [self._figure()])

    def _figure(self) -> Figure:
        setting = self._setting
        maps = {}
        for method in setting.shown:
            statistics = [distributions.bias_maps(self._maps[method, index]) for index in range(len(setting.variables))]
            maps[method] = {kind: np.stack([one[kind] for one in statistics], -1) for kind in statistics[0]}
        caption = 'Mean over times and standard deviation over times, of the method minus that of the truth.'
        title = 'Bias of mean and standard deviation'
        frame = frame_of(setting.statics, setting.cell_km, setting.rows_run_up)
        return Figure('bias', caption, drawing.bias(maps, setting.labels, setting.units, title, setting.title, frame))
