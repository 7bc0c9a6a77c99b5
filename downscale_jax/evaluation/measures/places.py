"""Local statistics: the distribution of values over time at single places, such as large cities."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing import bars as drawing
from downscale_jax.evaluation.protocol import Sample, Setting, Variable
from downscale_jax.evaluation.results import Estimate, Figure, Result, Table, certain
from downscale_jax.evaluation.statistics import local
from downscale_jax.evaluation.statistics.bootstrap import weather_block
from downscale_jax.fields.geometry import places
from downscale_jax.runtime.errors import UserError

TRUTH = 'truth'


class Comparison(NamedTuple):
    """At how many places a method is nearer to the truth than a rival by a tenth; better minus worse."""

    better: int
    worse: int
    equal: int
    difference: Estimate


Comparisons = dict[str, dict[str, dict[str, Comparison]]]  # {method: {rival: {variable: ..}}}


class Places:
    """Wasserstein-1 distances between the distributions of predicted and true values; of ensembles of their means."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._stamps = setting, list[int]()
        self.series: dict[tuple[str, int], list[np.ndarray]] = {}
        try:
            self._rows, self._columns, inside = places.cells(setting.places, setting.statics)
        except UserError:  # a grid without latitudes and longitudes
            self._rows, self._columns, inside = np.zeros((3, 0), int)
        self._names = [setting.places.names[i] for i in np.flatnonzero(inside)]

    def add(self, sample: Sample) -> None:
        self._stamps.append(sample.stamp)
        for field in sample.fields(self._setting, TRUTH, *sample.methods):
            values = field.mean[self._rows, self._columns]
            self.series.setdefault((field.method, field.index), []).append(values)

    def result(self) -> Result:
        if not self._names:
            return Result(notes=['No place of the list lies on the grid: no local statistics.'])
        setting = self._setting
        scores: dict[str, dict[str, Estimate]] = {}
        details: Comparisons = {}
        scored: list[Variable] = []
        few = ', '.join(self._names[:4]) + (' and others' if len(self._names) > 4 else '')
        notes = [f'Local statistics at {len(self._names)} places: {few}.']
        for index, variable in enumerate(setting.variables):
            series = {method: np.stack(values) for (method, of), values in self.series.items() if of == index}
            known = np.isfinite(series[TRUTH]).any(1)
            if not known.any():
                continue
            scored.append(variable)
            if gaps := int((~known).sum()):
                notes.append(f'Local statistics of {variable.label}: {gaps} of {len(known)} times have no values.')
            series = {method: values[known] for method, values in series.items()}
            truth = series.pop(TRUTH)
            distances = {method: local.wasserstein(truth, values) for method, values in series.items()}
            for method, distance in distances.items():
                if np.isfinite(distance).any():
                    scores.setdefault(method, {})[setting.name('wasserstein', variable)] = certain(np.nanmean(distance))
            # each method is resampled once: of n methods there are n (n - 1) pairs
            block = weather_block(np.array(self._stamps)[known])
            again = {method: local.resampled(truth, values, block) for method, values in series.items()}
            for method in series:
                for rival in series:
                    if rival != method:
                        better, worse, equal = map(int, local.compare(distances[method], distances[rival]))
                        interval = local.interval_of(again[method], again[rival])
                        difference = np.array([better - worse, *interval])
                        compared = Comparison(better, worse, equal, difference)
                        details.setdefault(method, {}).setdefault(rival, {})[variable.name] = compared
        figures = [self._figure(details, scored)] if details else []
        return Result(scores, details, self._tables(details), figures, notes)

    def _tables(self, details: Comparisons) -> list[Table]:
        """Of the whole ensembles, without any of all trained methods."""
        setting, tables = self._setting, []
        for method in setting.whole or setting.singles:
            rows = {
                f'{variable}, against {rival}': [
                    *(certain(count) for count in (counts.better, counts.worse, counts.equal)),
                    counts.difference,
                ]
                for rival, by_variable in details.get(method, {}).items()
                for variable, counts in by_variable.items()
                if rival in setting.shown
            }
            note = (
                'Places where the Wasserstein-1 distance to the truth is smaller (larger) than the rival’s by a tenth.'
            )
            columns = ['Better', 'Worse', 'Equal', 'Better − worse']
            if rows:
                tables.append(Table(f'Local statistics: {method}', 'Variable', columns, rows, note))
        return tables

    def _figure(self, details: Comparisons, variables: Sequence[Variable]) -> Figure:
        setting = self._setting
        shown = {
            method: {
                rival: {v.label: by_variable[v.name]._asdict() for v in variables}
                for rival, by_variable in details[method].items()
                if rival in setting.shown
            }
            for method in setting.shown
            if method in details
        }
        caption = (
            'Places where the distribution of values over time is nearer to the truth’s than that of the rival, by a '
            'tenth of the Wasserstein-1 distance.'
        )
        drawn = drawing.places(shown, [v.label for v in variables], 'Local statistics', setting.title)
        return Figure('places', caption, drawn)
