"""Scores of outlines, summed over glaciers before any ratio, with intervals over resampled glaciers."""

from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.evaluation.results import Estimate, read_definitions
from downscale_jax.evaluation.statistics.bootstrap import Sums, estimates, ratio

DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))
DEBRIS = 0.5  # share of debris from which a cell counts as covered

Counts = dict[str, np.ndarray]  # {name: [N]}, sums over the cells of each glacier


def count(prediction: np.ndarray, view: View, glaciers: int) -> Counts:
    """Sums over the scored cells of each glacier: hits, false alarms, misses, correct rejections; distances in m
    between the boundaries of `prediction` (y, x) and of the truth, both ways, with the numbers of boundary cells."""
    scored, truth = view.scored, view.truth
    cases = {
        'hits': prediction & truth,
        'false': prediction & ~truth,
        'missed': ~prediction & truth,
        'rejected': ~prediction & ~truth,
    }
    counts = {name: by_glacier(cells & scored, view.owner, glaciers) for name, cells in cases.items()}
    edges = [boundary(ice, scored) for ice in (prediction, truth)]
    counts |= {'distance': np.zeros(glaciers), 'edge': np.zeros(glaciers)}
    for edge, other in (edges, edges[::-1]):
        if other.any():
            metres = distance_transform_edt(~other) * view.grid.cell
            counts['distance'] += by_glacier(edge * metres, view.owner, glaciers)
            counts['edge'] += by_glacier(edge, view.owner, glaciers)
    if view.debris is not None:
        covered = scored & truth & (view.debris > DEBRIS)
        counts['debris'] = by_glacier(covered, view.owner, glaciers)
        counts['debris_hits'] = by_glacier(covered & prediction, view.owner, glaciers)
    return counts


def boundary(ice: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Cells of ice with a neighbour without, inside of the scored cells, bool (y, x)."""
    return ice & scored & ~binary_erosion(ice | ~scored, border_value=1)


def by_glacier(cells: np.ndarray, owner: np.ndarray, glaciers: int) -> np.ndarray:
    """[N] sums of `cells` (y, x) over those of each glacier."""
    inside = owner >= 0
    return np.bincount(owner[inside], cells[inside], minlength=glaciers)[:glaciers]


def scores(counts: Counts, chosen: np.ndarray) -> dict[str, Estimate]:
    """{score: [3]} over the glaciers `chosen` [N] bool; empty where there are none."""
    units = [{name: values[i] for name, values in counts.items()} for i in np.flatnonzero(chosen)]
    return estimates(units, summary, block=1)


def summary(total: Sums) -> dict[str, np.ndarray]:
    """Scores of sums with any leading axes."""
    hits, false, missed = (total[name] for name in ('hits', 'false', 'missed'))
    everything = hits + false + missed + total['rejected']
    result = {
        'iou': ratio(hits, hits + false + missed),
        'f1': ratio(2 * hits, 2 * hits + false + missed),
        'precision': ratio(hits, hits + false),
        'recall': ratio(hits, hits + missed),
        'accuracy': ratio(hits + total['rejected'], everything),
        'boundary': ratio(total['distance'], total['edge']),
    }
    if 'debris' in total:
        result['debris_recall'] = ratio(total['debris_hits'], total['debris'])
    return result
