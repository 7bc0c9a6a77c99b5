"""Content of the glacier report: headline, tables, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from downscale_jax.evaluation.drawing import training
from downscale_jax.evaluation.glaciers import figures as drawing
from downscale_jax.evaluation.glaciers import scores
from downscale_jax.evaluation.glaciers.fold import Fold
from downscale_jax.evaluation.glaciers.outcome import MAIN, NAIVE, TRUTH, Outcome, all_scores, per_glacier, rates
from downscale_jax.evaluation.glaciers.scores import DEFINITIONS
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.evaluation.results import Figure, Publication, Table, certain
from downscale_jax.training.log import read

SIZES = (0.1, 0.5, 1.0, 5.0)  # km2: edges of the size classes
DEBRIS = (0.05, 0.25)  # share of debris-covered ice: edges of the classes


def publication(
    outcome: Outcome,
    views: Sequence[View],
    provenance: str,
    fold: Fold,
    workdir: Path,
) -> Publication:
    """Everything that is published of one fold."""
    table, data = all_scores(outcome), fold.config['data']
    return Publication(
        title='Glaciers: outlines and area change',
        lead=f'A U-Net maps glaciers in multispectral scenes. {int(outcome.chosen.sum())} glaciers of fold '
        f'{data["fold"]} are tested; neither they nor their surroundings were seen in training.',
        scores=table,
        definitions=DEFINITIONS,
        details={'glaciers': per_glacier(outcome), 'dates': data['dates']},
        facts=facts(table),
        tables=tables(outcome),
        figures=figures(outcome, views, fold, workdir),
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


def tables(outcome: Outcome) -> list[Table]:
    """IoU by size and by debris cover; clouds by scene."""
    methods = list(outcome.counts)
    result = []
    for title, classes, names in classes_of(outcome):
        found = scores.by_class(outcome.counts, classes, names)
        rows = {f'{name} ({int((classes == names.index(name)).sum())})': [row[m] for m in methods]
                for name, row in found.items()}  # fmt: skip
        result.append(Table(f'IoU by {title}', f'{title} (glaciers)', methods, rows))
    chosen = outcome.chosen
    rows = {
        f'date {i + 1}': [certain(100 * np.average(share[i][chosen], weights=outcome.area[chosen]))
                          for share in (outcome.clouded_one_scene, outcome.clouded)]
        for i in range(len(outcome.clouded))
    }  # fmt: skip
    columns = ['one scene for the region', 'clearest scene of each glacier']
    return [*result, Table('Glacier area under cloud or without data (%)', 'Date', columns, rows)]


def classes_of(outcome: Outcome) -> list[tuple[str, np.ndarray, list[str]]]:
    """(title, class of each glacier or -1, names) of the size classes and, where it is known, of debris cover."""
    edges = SIZES[1:]
    sizes = [f'{SIZES[0]:g}–{edges[0]:g} km²', f'{edges[0]:g}–{edges[1]:g} km²', f'{edges[1]:g}–{edges[2]:g} km²',
             f'over {edges[2]:g} km²']  # fmt: skip
    result = [('size', np.where(outcome.chosen, np.digitize(outcome.area, edges), -1), sizes)]
    if outcome.debris is not None:
        low, high = (f'{100 * edge:g}' for edge in DEBRIS)
        names = [f'under {low} %', f'{low}–{high} %', f'over {high} %']
        result.append(('debris cover', np.where(outcome.chosen, np.digitize(outcome.debris, DEBRIS), -1), names))
    return result


def figures(outcome: Outcome, views: Sequence[View], fold: Fold, workdir: Path) -> list[Figure]:
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
            drawing.classes(
                [(title, scores.by_class(outcome.counts, kinds, names)) for title, kinds, names in classes_of(outcome)],
                'IoU by class',
                subtitle,
            ),
        ),
    ]
    if outcome.change is not None:
        result.append(
            Figure(
                'change',
                'Left: rates of area change of the glaciers, the extreme ones in the outermost bars. Right: the '
                'regional rate by predictions at both dates, by the later prediction against the outlines (naive) and, '
                'in a simulation, the true one. Bars: 5–95 % interval.',
                drawing.change(outcome.change, regional_rates(outcome), 'Area change', subtitle),
            )
        )
    rows = read(workdir / 'metrics.jsonl')
    return [*result, Figure('training', 'Losses of the network.', training.training(rows, 'Training', subtitle))]


def regional_rates(outcome: Outcome) -> dict[str, np.ndarray]:
    """{method: [3]} in % per year."""
    assert outcome.change is not None
    return {name: row['rate'] for name, row in rates(outcome.change).items()}


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
