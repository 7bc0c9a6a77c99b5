"""Content of AtmoDist's report: headline, tables, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.lags import figures as drawing
from downscale_jax.evaluation.lags.neighbours import Neighbours
from downscale_jax.evaluation.lags.scores import DEFINITIONS
from downscale_jax.evaluation.lags.summary import CHANCE, CLASSIFIER, MAIN, MIDDLE, UNTRAINED, Summary
from downscale_jax.evaluation.results import Figure, Table, certain
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.records import Prepared

Scores = Mapping[str, Mapping[str, float]]


def facts(table: Scores) -> dict[str, str]:
    """The headline: AtmoDist against its rivals."""
    main, chance, middle, classifier = (table[name] for name in (MAIN, CHANCE, MIDDLE, CLASSIFIER))
    ratios = {
        'Accuracy / chance': (main['accuracy'], chance['accuracy']),
        'Lag error / middle lag': (main['lag_error'], middle['lag_error']),
        'Median lag error / middle lag': (main['median_error'], middle['median_error']),
        'Lag error / MSE classifier': (main['lag_error'], classifier['lag_error']),
    }
    result = {name: f'{above / below:.2f}' for name, (above, below) in ratios.items() if below > 0}
    if 'distance_rank' in main:
        result['Rank correlation with lag'] = f'{main["distance_rank"]:.2f}'
    if 'distance_reach' in main and 'distance_reach' in classifier:
        result['90 % of the distance; of MSE'] = f'{main["distance_reach"]:.1f} h; {classifier["distance_reach"]:.1f} h'
    return result


def tables(summary: Summary) -> list[Table]:
    """Differences from the rivals, distances, and lag errors by class."""
    names = [name for name in DEFINITIONS if name in summary.differences[CLASSIFIER]]
    missing = certain(np.nan)
    result = [
        Table(
            f'{MAIN} minus its rivals',
            'Rival',
            [heading(name) for name in names],
            {rival: [row.get(name, missing) for name in names] for rival, row in summary.differences.items()},
            'On the same pairs; a difference is not significant if its interval contains zero.',
        ),
        Table(
            'Distances',
            'Distance',
            [heading(name) for name in ('distance_rank', 'distance_reach')],
            {name: [curve['distance_rank'], curve['distance_reach']] for name, curve in summary.distances.items()},
        ),
    ]
    for title, errors in (('latitude', summary.latitudes), ('season', summary.seasons)):
        if errors:
            rows = {name: [errors[method][name] for method in errors] for name in errors[MAIN]}
            result.append(Table(f'Lag error (h) by {title}', title.capitalize(), list(errors), rows))
    return result


def heading(name: str) -> str:
    """A score and its unit."""
    definition = DEFINITIONS[name]
    return definition.long_name if definition.unit == '1' else f'{definition.long_name} ({definition.unit})'


def figures(
    summary: Summary,
    neighbours: Sequence[Neighbours],
    earlier_stage: int,
    prepared: Prepared,
    config: Mapping[str, Any],
    workdir: Path,
) -> list[Figure]:
    """All figures; `earlier_stage` is the encoder's last but one."""
    step = float(prepared.meta['step_hours'])
    data = 'Idealised atmosphere' if prepared.meta['idealised'] else Path(config['data']['path']).name
    subtitle = f'{data}, {summary.labels.sum()} test pairs'
    shown = (MAIN, f'{MAIN}, stage {earlier_stage}', UNTRAINED, 'MSE', 'L1', '1/PSNR', '1 - SSIM')
    curves = {name: summary.distances[name] for name in shown if name in summary.distances}
    groups = [list(errors[MAIN]) for errors in (summary.latitudes, summary.seasons) if errors]
    result = [
        Figure(
            'confusion',
            'Share of the pairs of each true lag by predicted lag. White lines: within one step of the true lag.',
            drawing.confusion(
                {name: summary.confusion[name] for name in (MAIN, CLASSIFIER)},
                step,
                'Predicted against true lag',
                subtitle,
            ),
        ),
        Figure(
            'distance',
            'Left: mean distance between two patches of the same place by the lag between them, relative to that at '
            'the longest lag; shading: 5–95 % interval. A distance that follows the dynamics keeps growing. Right: '
            'standard deviation over pairs relative to their mean.',
            drawing.distance(curves, step, 'Distance against lag', subtitle),
        ),
        Figure(
            'skill',
            'Mean absolute error of the most likely lag by centre of the patch, by latitude and by season. Bars: '
            '5–95 % interval.',
            drawing.skill(
                summary.map,
                {name: {**summary.latitudes.get(name, {}), **summary.seasons[name]} for name in (MAIN, CLASSIFIER)},
                groups,
                'Lag error by place and season',
                subtitle,
            ),
        ),
    ]
    if neighbours:
        quantity = f'{prepared.transform_as(Standardisation).variables[0]}, transformed'
        result.append(
            Figure(
                'neighbours',
                'Patches of the test split and their nearest neighbours at other times, by the encoder and by MSE.',
                drawing.neighbours(neighbours, quantity, 'Nearest neighbours', subtitle),
            )
        )
    return [*result, losses(workdir, subtitle)]


def notes(summary: Summary, provenance: str, probed: str | None, fitted: int) -> list[str]:
    """Notes on how the numbers were obtained, for the report; `fitted`: pairs that the classifier was fitted to."""
    labels, constant = summary.labels, summary.constant
    probe = f' Its tail was trained on the finished encoder of {probed}.' if probed else ''
    return [
        f'{labels.sum()} pairs, evenly spread over {summary.days} days of the test split; {labels.min()} to '
        f'{labels.max()} per lag. The best constant prediction reaches an accuracy of {constant.accuracy:.3f} and an '
        f'error of {constant.lag_error:.2f} h. Intervals: 5–95 % over resampled blocks of {summary.blocks}.',
        f'{MAIN}: {provenance}.{probe} {CLASSIFIER}: logistic regression on the logarithm of the MSE and '
        "Fisher's z of the pattern correlation of each variable, their squares and products, fitted to "
        f'{fitted} pairs of the training split. {UNTRAINED}: a tail trained on an encoder with random weights.',
    ]
