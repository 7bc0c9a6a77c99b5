"""The climate-change signal: change between two periods of the test split, of each method beside that of the truth."""

from functools import partial
from typing import NamedTuple

from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Estimate, Result, Table
from downscale_jax.evaluation.statistics import change
from downscale_jax.evaluation.statistics.bootstrap import Accumulator
from downscale_jax.evaluation.statistics.extremes import LEVELS

HOT = 0.95  # level of the quantile of training above which a value is high


class VariableDetails(NamedTuple):
    periods: tuple[tuple[int, int], tuple[int, int]]  # first and last year
    threshold: float  # above which a value counts
    levels: tuple[float, ...]  # [L], of the quantiles
    methods: dict[str, dict[str, Estimate]]


class Change:
    """Changes of the mean, of quantiles, and of how often a threshold is exceeded, pooled over cells and members.

    The threshold is 1 mm day-1 of precipitation in that unit (wet days), else the quantile HOT of training. Without two
    periods (`Setting.periods`) nothing is scored.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        high = setting.reference.thresholds[:, LEVELS.index(HOT)]
        self._thresholds = [
            change.WET if v.quantity == 'precipitation' and v.units in change.MILLIMETRES else float(quantile)
            for v, quantile in zip(setting.variables, high, strict=True)
        ]

    def add(self, sample: Sample) -> None:
        if self._setting.periods is None:
            return
        period = int(sample.year >= self._setting.periods[1][0])
        for field in sample.fields(self._setting):
            shared = field.members, field.truth, field.weight
            sums = change.sums(*shared, self._setting.reference.edges[field.index], self._thresholds[field.index])
            self.sums.add((field.method, field.index), sample.stamp, change.in_period(sums, period))

    def result(self) -> Result:
        setting, edges = self._setting, self._setting.reference.edges
        if setting.periods is None:
            return Result()
        found = {key: self.sums.estimates(key, partial(change.summarise, edges=edges[key[1]])) for key in self.sums}
        scored = {
            key: {
                'change_mean': e['mean_error'],
                'change_high': e['quantile_error'][LEVELS.index(0.99)],
                'change_extreme': e['quantile_error'][-1],
                'change_exceedance': e['exceedance_error'],
            }
            for key, e in found.items()
        }
        details = {
            variable.name: VariableDetails(
                setting.periods,
                self._thresholds[index],
                LEVELS,
                {method: estimates for (method, of), estimates in found.items() if of == index},
            )
            for index, variable in enumerate(setting.variables)
        }
        return Result(
            setting.named(scored), details, [self._table(v.label, v.units, details[v.name]) for v in setting.variables]
        )

    def _table(self, label: str, units: str, details: VariableDetails) -> Table:
        """One row for the truth and each method."""
        (begin, end), (later, last) = details.periods
        columns = ['mean', *(f'quantile {level:g}' for level in details.levels), f'share above {details.threshold:.4g}']
        methods = {name: e for name, e in details.methods.items() if name in self._setting.complete}
        any_method = next(iter(methods.values()))
        rows = {'truth': [any_method['mean_truth'], *any_method['quantile_truth'], any_method['exceedance_truth']]}
        rows |= {name: [e['mean'], *e['quantile'], e['exceedance']] for name, e in methods.items()}
        note = f'{later} to {last} minus {begin} to {end}, of all cells and members together; shares as fractions.'
        return Table(f'Change: {label} ({units})', 'Method', columns, rows, note)
