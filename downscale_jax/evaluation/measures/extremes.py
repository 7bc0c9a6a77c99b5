"""High values: their quantiles, the probabilities that an ensemble gives them, and their places."""

from functools import partial
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Estimate, Result, Table, certain
from downscale_jax.evaluation.statistics import extremes
from downscale_jax.evaluation.statistics.bootstrap import Accumulator

HIGH, EVENT = 0.99, 0.95  # levels of the scores: whose quantile is compared; above which a value is an event
WINDOWS = (1, 3)  # widths for the fractions skill score in coarse cells; the first is that of the score


class VariableDetails(NamedTuple):
    levels: tuple[float, ...]  # [L]
    thresholds: np.ndarray  # [L], quantiles of training
    windows: tuple[int, ...]  # [S], in cells
    methods: dict[str, dict[str, Estimate]]  # quantile_error, tail_crps [L, 3], fss [L, S, 3]


class Extremes:
    """Scores of values above quantiles of the training split, at all levels of `statistics.extremes`."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        widths = [[n * variable.coarse_cells for n in WINDOWS] for variable in setting.variables]
        self._windows = [tuple(cells + 1 - cells % 2 for cells in row) for row in widths]  # with a cell in the middle

    def add(self, sample: Sample) -> None:
        reference = self._setting.reference
        for field in sample.fields(self._setting):
            thresholds = reference.thresholds[field.index]
            shared = field.members, field.truth, field.weight
            sums = {
                **extremes.quantile_sums(*shared, reference.edges[field.index]),
                **extremes.fss_sums(*shared, thresholds, self._windows[field.index]),
                **extremes.tail_crps_sums(*shared, thresholds),
            }
            self.sums.add((field.method, field.index), sample.stamp, sums)

    def result(self) -> Result:
        setting, reference = self._setting, self._setting.reference
        high, event = extremes.LEVELS.index(HIGH), extremes.LEVELS.index(EVENT)
        found = {
            key: self.sums.estimates(key, partial(extremes.summarise, edges=reference.edges[key[1]]))
            for key in self.sums
        }
        scored = {
            key: {'tail': e['quantile_error'][high], 'tail_crps': e['tail_crps'][event], 'fss': e['fss'][event, 0]}
            for key, e in found.items()
        }
        details = {
            variable.name: VariableDetails(
                extremes.LEVELS,
                reference.thresholds[index],
                self._windows[index],
                {method: estimates for (method, of), estimates in found.items() if of == index},
            )
            for index, variable in enumerate(setting.variables)
        }
        tables = [self._table(v.label, v.units, details[v.name]) for v in setting.variables]
        return Result(setting.named(scored), details, tables)

    def _table(self, label: str, units: str, details: VariableDetails) -> Table:
        """One column per level, one row per quantity and method."""
        # a quantile map is made to get quantiles right: it belongs in this table
        shown = {*self._setting.shown, 'quantile_mapping'}
        methods = {name: estimates for name, estimates in details.methods.items() if name in shown}
        rows = {'Threshold': [certain(float(value)) for value in details.thresholds]}
        rows |= {f'Quantile bias: {name}': list(estimates['quantile_error']) for name, estimates in methods.items()}
        rows |= {f'CRPS of the tail: {name}': list(estimates['tail_crps']) for name, estimates in methods.items()}
        for place, cells in enumerate(details.windows):
            rows |= {
                f'FSS, {cells} cells: {name}': list(estimates['fss'][:, place]) for name, estimates in methods.items()
            }
        note = (
            'By quantile. Threshold: the quantile of training. Quantile bias: quantile of all values (of an ensemble, '
            'all members pooled) minus that of the truth. CRPS of the tail, FSS: above the threshold, FSS in '
            'windows of that width.'
        )
        return Table(f'Extremes: {label} ({units})', 'Quantity', [f'{level:g}' for level in details.levels], rows, note)
