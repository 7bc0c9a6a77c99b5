"""Evaluation of the glaciers of one fold: outlines and area change, beside rivals."""

from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.downscale.probability import Mapper
from downscale_jax.evaluation.glaciers import report, rivals, tables
from downscale_jax.evaluation.glaciers.fold import Fold
from downscale_jax.evaluation.glaciers.outcome import FOREST, INDEX, INVENTORY, MAIN, RATIO, outcome_of
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.pipeline.records import Prepared


def evaluate(mapper: Mapper, provenance: str, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores the test fold and publishes: scores.json, details.json, figures, report.html, areas.csv and areas.gpkg.

    The truth is the true ice of a simulation, else the outlines of the inventory. `provenance`: checkpoint and training
    data in words.
    """
    fold, outlines = Fold(prepared, mapper, config), tables.read_outlines(prepared)
    views = [fold.view('test', date) for date in range(len(config['data']['dates']))]
    masks = predictions(views[0], fold)
    outcome = outcome_of(views, masks, fold)
    tables.write(outcome, outlines, workdir)
    return publish(report.publication(outcome, views, provenance, fold, workdir), workdir)


def predictions(first: View, fold: Fold) -> dict[str, np.ndarray]:
    """{method: ice, bool (y, x)} at the date of the outlines."""
    bands, pixels = fold.config['data']['bands'], fold.config['evaluation']['forest_pixels']
    known = fold.view('train', 0, mapped=False)
    masks = {
        MAIN: first.probability > 0.5,
        RATIO: rivals.band_ratio(first, bands),
        INDEX: rivals.snow_index(first, bands),
        FOREST: rivals.random_forest(first, known, pixels, fold.config['seed']),
        INVENTORY: first.outline if first.ice is not None else None,  # else it is the truth itself
    }
    return {name: mask for name, mask in masks.items() if mask is not None}
