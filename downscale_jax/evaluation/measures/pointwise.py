"""Accuracy and calibration cell by cell: CRPS, errors, spread over skill, ranks; by regime and by season."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing import calibration as drawing
from downscale_jax.evaluation.protocol import Field, Sample, Setting, Variable
from downscale_jax.evaluation.results import Estimate, Figure, Result, Table
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


Scores = Mapping[str, Mapping[str, Estimate]]
Details = Mapping[str, Mapping[str, MethodDetails]]  # by method and variable


class Pointwise:
    """Scores of single cells, weighted by area; calibration and seasons over the zone where there is one."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting):
            # the same ties for all methods, whichever other times are scored
            ties = np.random.default_rng(sample.stamp % 2**64)
            sums = day_sums(field.members, field.truth, field.weight, zones(field), ties)
            for season in (None, sample.season):
                self.sums.add((field.method, field.index, season), sample.stamp, sums)

    def result(self) -> Result:
        scored: dict[tuple[str, int], dict[str, Estimate]] = {}
        details: dict[str, dict[str, MethodDetails]] = {}
        for method, index in dict.fromkeys(key[:2] for key in self.sums):
            variable = self._setting.variables[index]
            summary = partial(by_zones, data_range=variable.data_range)
            if by_zone := self.sums.estimates((method, index, None), summary, lambda sums: sums['weight'][ALL] > 0):
                scored[method, index] = flat(by_zone, variable)
                details.setdefault(method, {})[variable.name] = self._details(method, index, by_zone)
        scores = self._setting.named(scored)
        known = [v for index, v in enumerate(self._setting.variables) if (self._setting.main, index) in scored]
        tables = [self._table(method, v, details) for method in self._setting.whole for v in known]
        return Result(scores, details, tables, self._figures(known, scores, details))

    def _details(self, method: str, index: int, by_zone: dict[str, Estimate]) -> MethodDetails:
        names = ranks.regime_names(self._setting.variables[index].regimes)
        regimes = {
            name: {score: by_zone[score][zone] for score in (*BY_CLASS, 'share') if score in by_zone}
            for zone, name in enumerate(names, ZONE + 1)
            if by_zone['share'][zone][0] > 0
        }
        by_season = {
            season: self.sums.estimates((method, index, season), summarise, lambda sums: sums['weight'][ZONE] > 0)
            for season in ranks.SEASONS
        }
        seasons = {
            season: {score: found[score][ZONE] for score in BY_CLASS if score in found}
            for season, found in by_season.items()
            if found
        }
        if 'reliability' not in by_zone:
            return MethodDetails(regimes, seasons, None, None)
        found = self.sums.estimates((method, index, None), histogram, lambda sums: sums['weight'][ALL] > 0)
        nominal = ranks.nominal(len(found['observed']))
        return MethodDetails(regimes, seasons, found['ranks'], Reliability(nominal, found['observed']))

    def _table(self, method: str, variable: Variable, details: Details) -> Table:
        """By regime and season, of a whole ensemble."""
        rival = self._setting.baselines[0]
        mine, simple = details[method][variable.name], details[rival][variable.name]
        rows = {
            f'{name}{unit}': [row['crps'], other[name]['crps'], *(row[score] for score in BY_CLASS[1:])]
            for by_class, other, unit in (
                (mine.regimes, simple.regimes, f' {variable.units}'),
                (mine.seasons, simple.seasons, ''),
            )
            for name, row in by_class.items()
        }
        columns = [
            f'CRPS ({variable.units})',
            f'CRPS of {rival} ({variable.units})',
            f'RMSE ({variable.units})',
            'Spread / skill',
            'Reliability error',
        ]
        zone = f'the {variable.zone.name} zone' if variable.zone else 'all cells'
        note = f'Regimes are classes of the coarse field, known beforehand; seasons are scored over {zone}.'
        return Table(f'Calibration of {method}: {variable.label}', 'Regime, season', columns, rows, note)

    def _figures(self, known: Sequence[Variable], scores: Scores, details: Details) -> list[Figure]:
        ensembles = self._setting.ensembles
        figures = [self._calibration(variable, details) for variable in known if ensembles]
        for generator, methods in ensembles.items():
            if len(methods) > 1 and known:
                figures.append(self._by_size(generator, methods, known, scores))
        return figures

    def _calibration(self, variable: Variable, details: Details) -> Figure:
        setting = self._setting
        by_method = {m: details[m][variable.name] for m in setting.complete if m in setting.shown}
        whole = {method: by_method[method] for method in setting.whole}
        groups = [list(by_method[setting.main].regimes), list(by_method[setting.main].seasons)]
        zone = f'in the {variable.zone.name} zone' if variable.zone else 'over all cells'
        caption = (
            f'Calibration of {variable.label} {zone}: rank of the truth among the members (1: flat) and reliability; '
            'below, spread / skill and CRPS by regime of the coarse field (left, all cells) and by season (right, '
            f'{zone}). Bars and bands: 5 to 95 % over resampled times.'
        )
        drawn = drawing.calibration(
            {name: row.ranks for name, row in whole.items() if row.ranks is not None},
            {name: row.reliability for name, row in whole.items() if row.reliability},
            {name: by_class(row, 'spread_skill') for name, row in whole.items()},
            {name: by_class(row, 'crps') for name, row in by_method.items()},
            groups,
            variable.units,
            'Calibration',
            f'{variable.label}, {zone}',
        )
        return Figure(setting.name('calibration', variable), caption, drawn)

    def _by_size(self, generator: str, methods: Sequence[str], known: Sequence[Variable], scores: Scores) -> Figure:
        """RMSE of the mean by number of members."""
        setting = self._setting
        errors = {
            setting.panel_title(v.name): {
                int(method.rpartition('_')[2]): scores[method][setting.name('rmse', v)] for method in methods
            }
            for v in known
        }
        spreads = {setting.panel_title(v.name): float(scores[methods[-1]][setting.name('spread', v)][0]) for v in known}
        units = {setting.panel_title(v.name): v.units for v in known}
        return Figure(
            f'members_{generator}',
            'Error of the mean of n members, and the error expected if the truth were a member (dotted).',
            drawing.by_size(errors, spreads, units, f'Ensemble size: {generator}', setting.title),
        )


def zones(field: Field) -> np.ndarray:
    """[2 + R, H, W] bool: all cells, the zone (all cells where there is none), the regimes of the coarse field."""
    everywhere = np.ones(field.truth.shape, bool)
    zone = field.coarse > field.variable.zone.above if field.variable.zone else everywhere
    return np.concatenate([everywhere[None], zone[None], ranks.regimes(field.coarse, field.variable.regimes)])


def by_zones(sums: Sums, data_range: float) -> dict[str, np.ndarray]:
    """`summarise` and the PSNR, [..., Z]."""
    return {**summarise(sums), 'psnr': psnr(ratio(sums['squared_error'], sums['weight']), data_range)}


def flat(estimates: Mapping[str, Estimate], variable: Variable) -> dict[str, Estimate]:
    """Scores over all cells, and over the zone with its name appended, 'crps_ice'."""
    scores = {name: estimates[name][ALL] for name in SCORES if name in estimates}
    if variable.zone:
        scores |= {f'{name}_{variable.zone.name}': estimates[name][ZONE] for name in IN_ZONE if name in estimates}
    return scores


def histogram(sums: Sums) -> dict[str, np.ndarray]:
    """Rank histogram and observed frequencies in the zone."""
    counted = sums['ranks'][..., ZONE, :]
    return {'ranks': ranks.rank_histogram(counted), 'observed': ranks.observed(counted)}


def by_class(details: MethodDetails, score: str) -> dict[str, Estimate]:
    """{regime or season: [3]}."""
    return {name: row[score] for name, row in {**details.regimes, **details.seasons}.items()}
