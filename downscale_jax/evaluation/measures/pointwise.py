"""Accuracy and calibration cell by cell: CRPS, errors, spread over skill, ranks; by regime and by season."""

from functools import partial
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing import calibration as drawing
from downscale_jax.evaluation.protocol import Field, Sample, Setting, Variable
from downscale_jax.evaluation.results import (
    Estimate,
    Figure,
    Result,
    Table,
)
from downscale_jax.evaluation.statistics import ranks
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio
from downscale_jax.evaluation.statistics.pointwise import day_sums, summarise
from downscale_jax.evaluation.statistics.similarity import psnr

ALL, ZONE = 0, 1  # the first zones; the regimes follow
SCORES = ('crps', 'rmse', 'mae', 'bias', 'psnr', 'rmse_member', 'spread', 'spread_skill', 'reliability')
BY_CLASS = ('crps', 'rmse', 'spread_skill', 'reliability')  # scores given by regime and by season
IN_ZONE = ('crps', 'rmse', 'spread_skill', 'reliability')  # scores given for the zone as well


class Reliability(NamedTuple):
    nominal: np.ndarray  # [M]
    observed: Estimate  # [M, 3]


class MethodDetails(NamedTuple):
    """Of one method and variable; `ranks` [M + 1, 3] is 1 where the ensemble is calibrated."""

    regimes: dict[str, dict[str, Estimate]]
    seasons: dict[str, dict[str, Estimate]]
    ranks: Estimate | None
    reliability: Reliability | None


class Pointwise:
    """Scores of single cells, weighted by area; calibration and seasons over the zone where there is one."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.sums = Accumulator()
        self._seasons: list[str] = []
        self._stamps: list[int] = []

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting):
            # the same ties for all methods, whichever other times are scored
            ties = np.random.default_rng(sample.stamp % 2**64)
            sums = day_sums(field.members, field.truth, field.weight, zones(field), ties)
            for season in (None, sample.season):
                self.sums.add((field.method, field.index, season), sample.stamp, sums)

    def result(self) -> Result:
        scores: dict[str, dict[str, Estimate]] = {}
        details: dict[str, dict[str, MethodDetails]] = {}
        for method, index, season in self.sums:
            if season is None:
                variable = self._setting.variables[index]
                scores.setdefault(method, {}).update(self._flat(method, index, variable))
                details.setdefault(method, {})[variable.name] = self._details(method, index, variable)
        return Result(scores, details, self._tables(details), self._figures(scores, details))

    def _flat(self, method: str, index: int, variable: Variable) -> dict[str, Estimate]:
        """The scores over all cells, and over the zone with its name behind: 'crps_ice'."""
        found = self.sums.estimates((method, index, None), partial(flat, data_range=variable.data_range), counts)
        scores = {self._setting.name(name, variable): found[name][ALL] for name in SCORES if name in found}
        if variable.zone:
            zone = variable.zone.name
            scores |= {self._setting.name(f'{n}_{zone}', variable): found[n][ZONE] for n in IN_ZONE if n in found}
        return scores

    def _details(self, method: str, index: int, variable: Variable) -> MethodDetails:
        key = (method, index, None)
        by_zone = self.sums.estimates(key, summarise, counts)
        names = ranks.regime_names(variable.regimes)
        regimes = {
            name: {score: by_zone[score][zone] for score in (*BY_CLASS, 'share') if score in by_zone}
            for zone, name in enumerate(names, ZONE + 1)
            if by_zone and by_zone['share'][zone][0] > 0
        }
        seasons = {}
        for season in ranks.SEASONS:
            found = self.sums.estimates((method, index, season), summarise, counts_in_zone)
            if found:
                seasons[season] = {score: found[score][ZONE] for score in BY_CLASS if score in found}
        if 'reliability' not in by_zone:
            return MethodDetails(regimes, seasons, None, None)
        found = self.sums.estimates(key, histogram, counts)
        nominal = ranks.nominal(len(found['observed']))
        return MethodDetails(regimes, seasons, found['ranks'], Reliability(nominal, found['observed']))

    def _tables(self, details: dict[str, dict[str, MethodDetails]]) -> list[Table]:
        """By regime and season for every whole ensemble."""
        tables, rival = [], self._setting.baselines[0]
        for method in self._setting.whole:
            for variable in self._setting.variables:
                found, simple = details[method][variable.name], details[rival][variable.name]
                rows = {}
                for mine, other, unit in (
                    (found.regimes, simple.regimes, f' {variable.units}'),
                    (found.seasons, simple.seasons, ''),
                ):
                    for name, row in mine.items():
                        rows[f'{name}{unit}'] = [row['crps'], other[name]['crps'], *(row[s] for s in BY_CLASS[1:])]
                columns = [
                    f'CRPS ({variable.units})',
                    f'CRPS of {rival} ({variable.units})',
                    f'RMSE ({variable.units})',
                    'Spread / skill',
                    'Reliability error',
                ]
                zone = f'the {variable.zone.name} zone' if variable.zone else 'all cells'
                note = f'Regimes are classes of the coarse field, known beforehand; seasons are scored over {zone}.'
                tables.append(
                    Table(f'Calibration of {method}: {variable.label}', 'Regime, season', columns, rows, note)
                )
        return tables

    def _figures(
        self, scores: dict[str, dict[str, Estimate]], details: dict[str, dict[str, MethodDetails]]
    ) -> list[Figure]:
        setting, figures = self._setting, []
        for variable in setting.variables if setting.ensembles else ():
            shown = [method for method in setting.complete if method in setting.shown]
            by_method = {method: details[method][variable.name] for method in shown}
            groups = [list(by_method[setting.main].regimes), list(by_method[setting.main].seasons)]
            zone = f'in the {variable.zone.name} zone' if variable.zone else 'over all cells'
            whole = {method: by_method[method] for method in setting.whole}
            figures.append(
                Figure(
                    setting.name('calibration', variable),
                    f'Calibration of {variable.label} {zone}: rank of the truth among the members (1: flat) and '
                    'reliability; below, spread / skill and CRPS by regime of the coarse field (left, all cells) and '
                    f'by season (right, {zone}). Bars and bands: 5 to 95 % over resampled times.',
                    drawing.calibration(
                        {name: found.ranks for name, found in whole.items() if found.ranks is not None},
                        {name: found.reliability for name, found in whole.items() if found.reliability},
                        {name: by_class(found, 'spread_skill') for name, found in whole.items()},
                        {name: by_class(found, 'crps') for name, found in by_method.items()},
                        groups,
                        variable.units,
                        'Calibration',
                        f'{variable.label}, {zone}',
                    ),
                )
            )
        for generator, methods in setting.ensembles.items():
            if len(methods) > 1:
                figures.append(self._by_size(generator, methods, scores, details))
        return figures

    def _by_size(self, generator, methods, scores, details) -> Figure:
        """RMSE of the mean by number of members."""
        setting = self._setting
        curves = {
            variable.name: {
                int(method.rpartition('_')[2]): scores[method][setting.name('rmse', variable)] for method in methods
            }
            for variable in setting.variables
        }
        spreads = {v.name: float(scores[methods[-1]][setting.name('spread', v)][0]) for v in setting.variables}
        units = {variable.name: variable.units for variable in setting.variables}
        return Figure(
            f'members_{generator}',
            'Error of the mean of n members, and the error it would have if the truth were a member (dotted).',
            drawing.by_size(curves, spreads, units, f'Ensemble size: {generator}', setting.title),
        )


def zones(field: Field) -> np.ndarray:
    """[2 + R, H, W] bool: all cells, the zone (all cells where there is none), the regimes of the coarse field."""
    everywhere = np.ones(field.truth.shape, bool)
    zone = field.coarse > field.variable.zone.above if field.variable.zone else everywhere
    return np.concatenate([everywhere[None], zone[None], ranks.regimes(field.coarse, field.variable.regimes)])


def counts(sums: Sums) -> bool:
    return bool(sums['weight'][ALL] > 0)


def counts_in_zone(sums: Sums) -> bool:
    return bool(sums['weight'][ZONE] > 0)


def flat(sums: Sums, data_range: float) -> dict[str, np.ndarray]:
    """`summarise` and the PSNR, with zones first: {score: [Z, ...]}."""
    found = dict(summarise(sums))
    found['psnr'] = psnr(ratio(sums['squared_error'], sums['weight']), data_range)
    return found


def histogram(sums: Sums) -> dict[str, np.ndarray]:
    """Rank histogram and observed frequencies in the zone."""
    counted = sums['ranks'][..., ZONE, :]
    return {'ranks': ranks.rank_histogram(counted), 'observed': ranks.observed(counted)}


def by_class(details: MethodDetails, score: str) -> dict[str, Estimate]:
    """{regime or season: [3]}."""
    return {name: row[score] for name, row in {**details.regimes, **details.seasons}.items()}
