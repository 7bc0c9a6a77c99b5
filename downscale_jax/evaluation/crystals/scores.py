"""Scores of predicted properties, summed over the images of a crystal before any ratio, with their intervals."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.evaluation.results import Estimate, read_definitions
from downscale_jax.evaluation.statistics.bootstrap import Sums, estimates, ratio
from downscale_jax.evaluation.statistics.contingency import contingency

DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))
SHORT = {'ln_effective_density': 'density', 'ln_effective_surface': 'surface'}  # names in scores


def by_crystal(answer: Answer, truth: Answer, group: np.ndarray, classes: int) -> list[dict[str, np.ndarray]]:
    """Sums over the images of each crystal [G]: counts, moments of the truth, squared errors, confusion [K, K]."""
    error = np.square(answer.numbers - truth.numbers)
    physical = np.square(np.exp(answer.numbers) - np.exp(truth.numbers))
    sums = []
    for crystal in np.unique(group):
        mine = group == crystal
        confusion = contingency(truth.label[mine], answer.label[mine], classes)
        sums.append({
            'count': mine.sum(), 'truth': truth.numbers[mine].sum(0), 'square': np.square(truth.numbers[mine]).sum(0),
            'error': error[mine].sum(0), 'physical': physical[mine].sum(0), 'confusion': confusion,
        })  # fmt: skip
    return sums


def summary(total: Sums) -> dict[str, np.ndarray]:
    """Scores from sums with any leading axes."""
    count = np.asarray(total['count'])[..., None]
    spread = total['square'] - np.square(total['truth']) / count
    right = np.diagonal(total['confusion'], axis1=-2, axis2=-1)
    return {
        'r2': 1 - ratio(total['error'], spread),
        'rmse': np.sqrt(ratio(total['physical'], count)),
        'balanced_accuracy': ratio(right, total['confusion'].sum(-1)).mean(-1),
    }


def scores(crystals: list[dict[str, np.ndarray]], numbers: tuple[str, ...]) -> dict[str, Estimate]:
    """{score: [3]} with intervals over resampled crystals; names of numbers are appended to theirs."""
    found = estimates(crystals, summary, block=1)
    named = {f'{score}_{SHORT[name]}': found[score][k] for score in ('r2', 'rmse') for k, name in enumerate(numbers)}
    return {**named, 'balanced_accuracy': found['balanced_accuracy']}


def by_class(crystals: list[dict[str, np.ndarray]], label: np.ndarray, names: tuple[str, ...]) -> Mapping[str, list]:
    """{class: [RMSE of each number [3] .., recall [3]]} from the sums of crystals and their classes [G]."""

    def of_class(total: Sums) -> dict[str, np.ndarray]:
        right = np.diagonal(total['confusion'], axis1=-2, axis2=-1).sum(-1)
        return {'rmse': summary(total)['rmse'], 'recall': ratio(right, total['count'])}

    rows = {}
    for k, name in enumerate(names):
        found = estimates([c for c, own in zip(crystals, label, strict=True) if own == k], of_class, block=1)
        rows[name] = [*found['rmse'], found['recall']] if found else []
    return {name: row for name, row in rows.items() if row}
