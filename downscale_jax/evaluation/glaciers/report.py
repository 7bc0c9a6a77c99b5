"""Content of the glacier report: headline, tables, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.glaciers import figures as drawing
from downscale_jax.evaluation.glaciers import scores
from downscale_jax.evaluation.glaciers.fold import Fold
from downscale_jax.evaluation.glaciers.outcome import MAIN, NAIVE, TRUTH, Outcome, all_scores, per_glacier
from downscale_jax.evaluation.glaciers.scores import DEFINITIONS
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.evaluation.results import Estimate, Figure, Publication, Table, certain

SIZES = (0.5, 1.0, 5.0)  # km2: edges of the size classes
DEBRIS = (0.05, 0.25)  # share of debris-covered ice: edges of the classes


class Classes(NamedTuple):
    """IoU of the glaciers by size, or by debris cover; classes without a glacier are left out."""

    title: str
    glaciers: Mapping[str, int]  # {class: number of glaciers}
    iou: Mapping[str, Mapping[str, Estimate]]  # {class: {method: [3]}}


def publication(
    outcome: Outcome,
    views: Sequence[View],
    provenance: str,
    fold: Fold,
    workdir: Path,
) -> Publication:
    """Everything that is published of one fold."""
    table, classes, data = all_scores(outcome), classes_of(outcome), fold.config['data']
    return Publication(
        title='Glaciers: outlines and area change',
        lead=f'A U-Net maps glaciers in multispectral scenes. {int(outcome.chosen.sum())} glaciers of fold '
        f'{data["fold"]} are tested; neither they nor their surroundings were seen in training.',
        scores=table,
        definitions=DEFINITIONS,
        details={'glaciers': per_glacier(outcome), 'dates': data['dates']},
        facts=facts(table),
        tables=tables(outcome, classes),
        figures=figures(outcome, table, classes, views, fold, workdir),
        notes=notes(outcome, provenance),
        config=fold.config,
    )


def facts(table: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, str]:
    """The headline: the network against its best rival, and the area change against the naive estimate."""
    iou = {name: float(row['iou'][0]) for name, row in table.items() if 'iou' in row}
    rival = max((name for name in iou if name != MAIN), key=lambda name: iou[name])
    result = {'IoU': f'{iou[MAIN]:.3f}', f'IoU of the best rival, {rival}': f'{iou[rival]:.3f}'}
    if 'rate' in table[MAIN]:
        value, low, high = table[MAIN]['rate']
        result['Area change'] = f'{value:.2f} ({low:.2f} to {high:.2f}) % a⁻¹'
        result['Naive estimate'] = f'{table[NAIVE]["rate"][0]:.2f} % a⁻¹'
    if TRUTH in table:
        result['True change'] = f'{table[TRUTH]["rate"][0]:.2f} % a⁻¹'
    return result


def tables(outcome: Outcome, classes: Sequence[Classes]) -> list[Table]:
    """IoU by size and by debris cover; clouds by scene."""
    methods = list(outcome.counts)
    result = []
    for title, glaciers, iou in classes:
        rows = {f'{name} ({glaciers[name]})': [row[m] for m in methods] for name, row in iou.items()}
        result.append(Table(f'IoU by {title}', f'{title} (glaciers)', methods, rows))
    chosen = outcome.chosen
    rows = {
        f'date {i + 1}': [certain(100 * np.average(share[i][chosen], weights=outcome.area[chosen]))
                          for share in (outcome.clouded_one_scene, outcome.clouded)]
        for i in range(len(outcome.clouded))
    }  # fmt: skip
    columns = ['one scene for the region', 'clearest scene of each glacier']
    return [*result, Table('Glacier area under cloud or without data (%)', 'Date', columns, rows)]


def classes_of(outcome: Outcome) -> list[Classes]:
    """By size and, where it is known, by debris cover."""
    low, middle, high = (f'{edge:g}' for edge in SIZES)
    sizes = [f'under {low} km²', f'{low}–{middle} km²', f'{middle}–{high} km²', f'over {high} km²']
    result = [_classes('size', outcome, outcome.area, SIZES, sizes)]
    if outcome.debris is not None:
        low, high = (f'{100 * edge:g}' for edge in DEBRIS)
        shares = [f'under {low} %', f'{low}–{high} %', f'over {high} %']
        result.append(_classes('debris cover', outcome, outcome.debris, DEBRIS, shares))
    return result


def _classes(title: str, outcome: Outcome, values: np.ndarray, edges: Sequence[float], names: Sequence[str]) -> Classes:
    """IoU of the test glaciers, grouped by `values` [N] at the `edges`."""
    chosen = {name: outcome.chosen & (np.digitize(values, edges) == k) for k, name in enumerate(names)}
    known = {name: glaciers for name, glaciers in chosen.items() if glaciers.any()}
    iou = {
        name: {method: scores.scores(counts, glaciers)['iou'] for method, counts in outcome.counts.items()}
        for name, glaciers in known.items()
    }
    return Classes(title, {name: int(glaciers.sum()) for name, glaciers in known.items()}, iou)


def figures(
    outcome: Outcome,
    table: Mapping[str, Mapping[str, Estimate]],
    classes: Sequence[Classes],
    views: Sequence[View],
    fold: Fold,
    workdir: Path,
) -> list[Figure]:
    """All figures."""
    data = fold.config['data']
    place = 'Idealised mountain range' if fold.prepared.meta['idealised'] else Path(data['path']).name
    subtitle = f'{place}, {int(outcome.chosen.sum())} test glaciers'
    result = [
        Figure(
            'map',
            'Part of the test fold in false colours, with outlines of the network, of the inventory and, in a '
            'simulation, of the true ice. Ice and snow are blue, rock and debris brown; cells under cloud are veiled.',
            drawing.outlines(views, data['bands'], data['dates'], 'Outlines', subtitle),
        ),
        Figure(
            'classes',
            'IoU of glaciers by size and debris cover. Bars: 5–95 % interval over resampled glaciers.',
            drawing.classes([(title, iou) for title, _, iou in classes], 'IoU by class', subtitle),
        ),
    ]
    if outcome.change is not None and outcome.change.used.any():
        rates = {name: row['rate'] for name, row in table.items() if 'rate' in row}
        result.append(
            Figure(
                'change',
                'Left: rates of area change of the glaciers, the extreme ones in the outermost bars. Right: the '
                'regional rate by predictions at both dates, by the later prediction against the outlines (naive) and, '
                'in a simulation, the true one. Bars: 5–95 % interval.',
                drawing.change(outcome.change, rates, 'Area change', subtitle),
            )
        )
    return [*result, losses(workdir, subtitle)]


def notes(outcome: Outcome, provenance: str) -> list[str]:
    """Notes on how the numbers were obtained, for the report."""
    result = [f'Network: {provenance}. Intervals: 5–95 % over resampled glaciers.']
    if outcome.change is not None:
        change = outcome.change
        missing = int((outcome.chosen & ~np.isfinite(change.rate)).sum())
        result.append(
            f'Area change over {change.years:.1f} years. Left out of the regional rate: outliers, '
            f'{int((change.outlier & outcome.chosen).sum())}; glaciers without a clear view at both dates, {missing}.'
        )
    return result
