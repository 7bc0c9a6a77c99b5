"""Evaluation of the glaciers of one fold: outlines and area change, beside rivals."""

from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.downscale.probability import Mapper
from downscale_jax.evaluation.glaciers import report, rivals, tables
from downscale_jax.evaluation.glaciers.outcome import FOREST, INDEX, INVENTORY, MAIN, RATIO, outcome_of, per_glacier
from downscale_jax.evaluation.glaciers.view import View, view
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.pipeline.glaciers import Glaciers, glaciers_of, split_of
from downscale_jax.pipeline.records import Prepared


def evaluate(mapper: Mapper, provenance: str, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores the test fold and publishes: scores.json, details.json, figures, report.html, areas.csv and areas.gpkg.

    The truth is the true ice of a simulation, else the outlines of the inventory. `provenance`: checkpoint and training
    data in words.
    """
    data = config['data']
    glaciers = glaciers_of(prepared, data['folds'])
    chosen = split_of(glaciers.fold, data['fold'], data['folds'], 'test')
    zone = config['evaluation']['zone']
    views = [view(prepared, glaciers, chosen, date, zone, mapper) for date in range(len(data['dates']))]
    masks = predictions(views[0], prepared, glaciers, config)
    outcome = outcome_of(views, masks, mapper, prepared, glaciers, config)
    details = {'glaciers': per_glacier(outcome), 'dates': data['dates']}
    tables.write(outcome, prepared, workdir)
    return publish(report.publication(outcome, views, masks, details, provenance, prepared, config, workdir), workdir)


def predictions(first: View, prepared: Prepared, glaciers: Glaciers, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """{method: ice, bool (y, x)} at the date of the outlines."""
    data, evaluation = config['data'], config['evaluation']
    train = split_of(glaciers.fold, data['fold'], data['folds'], 'train')
    known = view(prepared, glaciers, train, 0, evaluation['zone'])
    masks = {
        MAIN: first.probability > 0.5,
        RATIO: rivals.band_ratio(first, data['bands']),
        INDEX: rivals.snow_index(first, data['bands']),
        FOREST: rivals.random_forest(first, known, evaluation['forest_pixels'], config['seed']),
        INVENTORY: first.outline if first.ice is not None else None,  # else it is the truth itself
    }
    return {name: mask for name, mask in masks.items() if mask is not None}
