"""Content of the report on crystal properties: headline, tables, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.crystals import figures as drawing
from downscale_jax.evaluation.crystals.rivals import FOREST, LINEAR, MEAN, Answer
from downscale_jax.evaluation.crystals.sample import Sample
from downscale_jax.evaluation.drawing.confusion import confusion
from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.results import Estimate, Figure, Table


class Summary(NamedTuple):
    """Scores of all methods on the test split."""

    scores: Mapping[str, Mapping[str, Estimate]]
    confusion: Mapping[str, np.ndarray]  # {method: [K, K] images}, rows are true classes
    classes: Mapping[str, Mapping[str, Sequence[Estimate]]]  # see `scores.by_class`
    crystals: int
    images: int
    fitted: int  # images that the rivals were fitted to


def facts(summary: Summary, main: str) -> dict[str, str]:
    """The headline: the network, and the forest in brackets."""
    network, forest = summary.scores[main], summary.scores[FOREST]
    titles = {'r2_density': 'R² of density', 'r2_surface': 'R² of surface', 'balanced_accuracy': 'Balanced accuracy'}
    return {
        f'{title}; {FOREST}': f'{network[name][0]:.3f}; {forest[name][0]:.3f}'
        for name, title in titles.items()
        if np.isfinite(network[name][0])
    }


def tables(summary: Summary, names: Sequence[str], main: str) -> list[Table]:
    """Scores by number of arms, of the network and of the forest."""
    return [
        Table(
            f'{method} by number of arms',
            'Arms',
            ('RMSE of density', 'RMSE of surface', 'share predicted correctly'),
            summary.classes[method],
        )
        for method in (main, FOREST)
    ]


def figures(summary: Summary, answer: Answer, test: Sample, names: Sequence[str], workdir: Path) -> list[Figure]:
    """All figures of the network's `answer`."""
    subtitle = f'{summary.images} test images of {summary.crystals} simulated crystals'
    shown = {name: matrix for name, matrix in summary.confusion.items() if name != MEAN and name != LINEAR}
    return [
        Figure(
            'examples',
            'Silhouettes of the test split with effective density ρ, effective surface s and number of arms: predicted '
            '(true).',
            drawing.examples(answer, test, names, 'Silhouettes and predictions', subtitle),
        ),
        Figure(
            'scatter',
            'Predicted against true effective density and surface of all test images; lines: perfect prediction.',
            drawing.scatter(answer, test.truth, 'Predicted against true properties', subtitle),
        ),
        Figure(
            'confusion',
            'Share of the images of each true number of arms by predicted number.',
            confusion(shown, names, 'Number of arms', subtitle),
        ),
        Figure(
            'orientation',
            'Errors by the smallest angle between an arm and the line of sight: at small angles an arm points at the '
            'camera and is hidden in the silhouette. Lines: means in tenths of the images; shading: 5–95 % interval '
            'over resampled crystals.',
            drawing.orientation(answer, test, 'Error against orientation', subtitle),
        ),
        losses(workdir, subtitle),
    ]


def notes(summary: Summary, provenance: str, split_by: str) -> list[str]:
    """Notes on how the numbers were obtained, for the report."""
    split = (
        'No crystal of the test split was seen in training.'
        if split_by == 'group'
        else 'WARNING: single images were dealt out to the splits, so that crystals of the test split were seen in '
        'training from other sides: these scores are too good.'
    )
    return [
        f'{summary.images} images of {summary.crystals} crystals. {split} Intervals: 5–95 % over resampled crystals.',
        f'The network: {provenance}. Rivals were fitted to {summary.fitted} images of the training split. {LINEAR}: '
        f'least squares and logistic regression; {FOREST}: forests with the published depths; {MEAN}: the mean of '
        'training and its most frequent class.',
    ]
