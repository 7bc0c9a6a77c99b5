"""Outcome of the test glaciers: sums of cells and areas of each, and the scores that follow."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.glaciers import change as area_change
from downscale_jax.evaluation.glaciers import scores
from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.fold import Fold
from downscale_jax.evaluation.glaciers.scores import DEFINITIONS, Counts
from downscale_jax.evaluation.glaciers.view import View

MAIN, RATIO, INDEX, FOREST, INVENTORY = 'network', 'band_ratio', 'ndsi', 'random_forest', 'inventory'
NAIVE, TRUTH = 'naive', 'truth'


class Outcome(NamedTuple):
    """The test glaciers of a fold, or of several folds. Arrays [N] hold all glaciers of the region."""

    counts: Mapping[str, Counts]  # by method, at the date of the outlines
    later: Mapping[str, Counts]  # by method, at the second date; empty where the truth is unknown
    change: Change | None  # None with one date
    chosen: np.ndarray  # [N] bool: test glaciers
    area: np.ndarray  # [N] km2
    displacement: float  # km, of the predicted boundary; NaN with one date
    clouded: np.ndarray  # [D, N] share of each glacier under cloud in its scene
    clouded_one_scene: np.ndarray  # and in the scene that one would take for the whole region

    @property
    def debris(self) -> np.ndarray | None:
        """[N] share of debris-covered ice, where it is known."""
        counts = self.counts[MAIN]
        if 'debris' not in counts:
            return None
        return counts['debris'] / np.maximum(counts['hits'] + counts['missed'], 1)


def outcome_of(views: Sequence[View], masks: Mapping[str, np.ndarray], fold: Fold) -> Outcome:
    """Sums and areas of the test glaciers from their view at each date, and the masks {method: ice} at the first."""
    count, chosen = len(fold.glaciers.area), fold.members('test')
    counts = {name: scores.count(mask, views[0], count) for name, mask in masks.items()}
    later, change, width = {}, None, np.nan
    if len(views) > 1:
        width = area_change.displacement(fold.view('validation', 0), count)
        first, last = (date.fromisoformat(text) for text in fold.config['data']['dates'])
        years = (last - first).days / 365.25
        change = area_change.change(views[0], views[1], chosen, years, width, fold.config['evaluation'])
        if views[1].ice is not None:
            later = {MAIN: scores.count(views[1].probability > 0.5, views[1], count)}
            later[INVENTORY] = scores.count(views[1].outline, views[1], count)
    clouds = (fold.prepared.statics[name].values for name in ('clouded', 'clouded_one_scene'))
    return Outcome(counts, later, change, chosen, fold.glaciers.area, width, *clouds)


def per_glacier(outcome: Outcome) -> dict[str, Any]:
    """What details.json holds of each test glacier, from which the scores of several folds together follow."""
    chosen = outcome.chosen

    def selected(counts: Mapping[str, Counts]) -> dict[str, Counts]:
        return {name: {key: values[chosen] for key, values in sums.items()} for name, sums in counts.items()}

    areas = {} if outcome.change is None else {
        name: value[chosen] if isinstance(value, np.ndarray) else value
        for name, value in outcome.change._asdict().items()
    }  # fmt: skip
    return {
        'index': np.flatnonzero(chosen),
        'counts': selected(outcome.counts),
        'later': selected(outcome.later),
        'change': areas,
        'displacement': outcome.displacement,
    }


def all_scores(outcome: Outcome) -> dict[str, dict[str, np.ndarray]]:
    """{method: {score: [3]}}, defined in scores.toml."""
    table = {name: dict(scores.scores(counts, outcome.chosen)) for name, counts in outcome.counts.items()}
    for name, counts in outcome.later.items():
        table[name]['iou_later'] = scores.scores(counts, outcome.chosen)['iou']
    if outcome.change is not None:
        for name, row in rates(outcome.change).items():
            table.setdefault(name, {}).update(row)
    return {name: {key: row[key] for key in DEFINITIONS if key in row} for name, row in table.items()}


def rates(change: Change) -> dict[str, dict[str, np.ndarray]]:
    """{method: {score: [3]}} of the regional rate, and its errors where the truth is known."""
    used = change.used
    table = {
        MAIN: {'rate': area_change.regional(change.rate, change.first, used)},
        NAIVE: {'rate': area_change.regional(change.naive, change.outline, used)},
    }
    if change.true_first is not None:
        true = change.true
        table[TRUTH] = {'rate': area_change.regional(true, change.true_first, used)}
        for name, rate, area in ((MAIN, change.rate, change.first), (NAIVE, change.naive, change.outline)):
            table[name] |= area_change.errors(rate, area, true, change.true_first, used)
    return table
