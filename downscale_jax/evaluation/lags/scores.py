"""Scores of lag predictions and of distances, summed over days before any ratio, with their intervals."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from downscale_jax.evaluation.results import Estimate, read_definitions
from downscale_jax.evaluation.statistics.bootstrap import Sums, estimates, ratio
from downscale_jax.evaluation.statistics.contingency import contingency

REACH = 0.9  # of the distance at the longest lag
DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))


def by_pair(probabilities: np.ndarray, lag: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of each pair [N] from the probability of each class [N, K] and the true class [N]; errors in steps."""
    order = np.argsort(-probabilities, axis=-1, kind='stable')
    hit = order[:, :3] == lag[:, None]
    median = (probabilities.cumsum(-1) < 0.5 * probabilities.sum(-1, keepdims=True)).sum(-1)
    of_truth = np.take_along_axis(probabilities, lag[:, None], -1)[:, 0]
    return {
        'cross_entropy': -np.log(np.maximum(of_truth, 1e-12)),
        'accuracy': hit[:, 0].astype(float),
        'top3': hit.any(-1).astype(float),
        'lag_error': np.abs(order[:, 0] - lag).astype(float),
        'median_error': np.abs(median - lag).astype(float),
    }


def confusion(probabilities: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """[K, K] share of the pairs of each true lag (row) by predicted lag (column); NaN in rows without a pair."""
    counts = contingency(lag, probabilities.argmax(-1), probabilities.shape[-1])
    return ratio(counts, counts.sum(1, keepdims=True))


def sums(unit: np.ndarray, values: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Values [N, ...] of pairs added by unit [N], in ascending order, and their number, `count`."""
    groups = [unit == value for value in np.unique(unit)]
    return [{'count': group.sum(), **{name: x[group].sum(0) for name, x in values.items()}} for group in groups]


def means(pairs: Mapping[str, np.ndarray], unit: np.ndarray, step: float) -> dict[str, Estimate]:
    """{score: [3]}, errors in hours."""

    def summary(total: Sums) -> dict[str, np.ndarray]:
        return {name: ratio(total[name], total['count']) * (step if name.endswith('_error') else 1) for name in pairs}

    return estimates(sums(unit, pairs), summary)


def curve(distance: np.ndarray, lag: np.ndarray, classes: int, unit: np.ndarray, step: float) -> dict[str, np.ndarray]:
    """Distances [N] against lag: `mean` and standard `deviation` [K, 3], both relative to the mean at the longest lag,
    and `distance_rank`, `distance_reach` [3]."""
    at = np.eye(classes)[lag]
    values = {'pairs': at, 'sum': at * distance[:, None], 'square': at * np.square(distance)[:, None]}
    return estimates(sums(unit, values), partial(_curve, step=step))


def _curve(total: Sums, step: float) -> dict[str, np.ndarray]:
    mean, square = (ratio(total[name], total['pairs']) for name in ('sum', 'square'))
    final = mean[..., -1:]
    return {
        'mean': mean / final,
        'deviation': np.sqrt(np.maximum(square - mean**2, 0)) / final,
        'distance_rank': rank_correlation(mean),
        'distance_reach': step * reach(mean),
    }


def rank_correlation(means: np.ndarray) -> np.ndarray:
    """Spearman's correlation with the lag of curves [..., K]; NaN if a lag is missing or all are equal."""
    ranks = rankdata(means, axis=-1, nan_policy='propagate')
    ranks = ranks - ranks.mean(-1, keepdims=True)
    lags = np.arange(means.shape[-1]) - (means.shape[-1] - 1) / 2
    return ratio((ranks * lags).sum(-1), np.sqrt(np.square(ranks).sum(-1) * np.square(lags).sum()))


def reach(means: np.ndarray) -> np.ndarray:
    """Lag, in steps, at which curves [..., K] over lags 1..K first reach 90 % of their end; linear between the lags,
    from zero at lag zero."""
    means = np.concatenate([np.zeros_like(means[..., :1]), means], -1) / means[..., -1:]
    above = np.argmax(means >= REACH, -1)  # lag 0 never is
    high = np.take_along_axis(means, above[..., None], -1)[..., 0]
    low = np.take_along_axis(means, np.maximum(above - 1, 0)[..., None], -1)[..., 0]
    return np.where(np.isfinite(means).all(-1), above - ratio(high - REACH, high - low), np.nan)


def by_class(
    errors: np.ndarray, classes: np.ndarray, unit: np.ndarray, names: Sequence[str], step: float
) -> dict[str, np.ndarray]:
    """{class: [3]} mean error in hours of each class from the errors and classes of pairs [N], in the order of `names`;
    empty classes are left out."""
    groups = {name: classes == name for name in names}
    return {
        name: means({'lag_error': errors[group]}, unit[group], step)['lag_error']
        for name, group in groups.items()
        if group.any()
    }


def difference(
    scores: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], unit: np.ndarray, step: float
) -> dict[str, Estimate]:
    """{score: [3]} of one method minus another's, pair by pair: both are resampled together."""
    shared = [name for name in scores if name in other]
    return means({name: scores[name] - other[name] for name in shared}, unit, step)
