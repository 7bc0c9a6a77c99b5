"""Outcome of the test glaciers: sums of cells and areas of each, and the scores that follow."""

from datetime import date
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.downscale.probability import Mapper
from downscale_jax.evaluation.glaciers import change as area_change
from downscale_jax.evaluation.glaciers import scores
from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.scores import DEFINITIONS, Counts
from downscale_jax.evaluation.glaciers.view import View, view
from downscale_jax.pipeline.glaciers import Glaciers, split_of
from downscale_jax.pipeline.records import Prepared

MAIN, RATIO, INDEX, FOREST, INVENTORY = 'network', 'band_ratio', 'ndsi', 'random_forest', 'inventory'
NAIVE, TRUTH = 'naive', 'truth'


class Outcome(NamedTuple):
    """The test glaciers of a fold, or of several folds."""

    counts: dict[str, Counts]  # by method, at the date of the outlines
    later: dict[str, Counts]  # by method, at the second date; empty where the truth is unknown
    change: Change | None  # None with one date
    chosen: np.ndarray  # [N] bool: test glaciers
    area: np.ndarray  # [N] km2
    debris: np.ndarray | None  # [N] share of debris-covered ice
    clouded: np.ndarray  # [D, N] share of each glacier under cloud in its scene
    clouded_one_scene: np.ndarray  # and in the scene that one would take for the whole region


def outcome_of(
    views: list[View],
    masks: dict[str, np.ndarray],
    mapper: Mapper,
    prepared: Prepared,
    glaciers: Glaciers,
    config: dict[str, Any],
) -> Outcome:
    """Sums and areas of the test glaciers."""
    data, evaluation = config['data'], config['evaluation']
    count = len(glaciers.area)
    chosen = split_of(glaciers.fold, data['fold'], data['folds'], 'test')
    counts = {name: scores.count(mask, views[0], count) for name, mask in masks.items()}
    later, change = {}, None
    if len(views) > 1:
        validation = split_of(glaciers.fold, data['fold'], data['folds'], 'validation')
        held_out = view(prepared, glaciers, validation, 0, evaluation['zone'], mapper)
        width = area_change.displacement(held_out, count)
        first, last = (date.fromisoformat(text) for text in data['dates'])
        years = (last - first).days / 365.25
        change = area_change.change(views[0], views[1], chosen, years, width, evaluation['outlier'])
        if views[1].ice is not None:
            later = {MAIN: scores.count(views[1].probability > 0.5, views[1], count)}
            later[INVENTORY] = scores.count(views[1].outline, views[1], count)
    debris = None
    if views[0].debris is not None:
        truth = np.maximum(counts[MAIN]['hits'] + counts[MAIN]['missed'], 1)
        debris = counts[MAIN]['debris'] / truth
    clouds = (prepared.statics[name].values for name in ('clouded', 'clouded_one_scene'))
    return Outcome(counts, later, change, chosen, glaciers.area, debris, *clouds)


def per_glacier(outcome: Outcome) -> dict[str, Any]:
    """Sums of each test glacier, from which the scores of several folds together follow."""
    chosen = outcome.chosen
    return {
        'index': np.flatnonzero(chosen).tolist(),
        'counts': {name: {key: values[chosen] for key, values in counts.items()}
                   for name, counts in outcome.counts.items()},
    }  # fmt: skip


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
