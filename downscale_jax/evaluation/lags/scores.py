"""Scores of told lags and of distances, summed over days before any ratio, with their intervals."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from scipy.stats import rankdata

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.pointwise import HIGHER, LOWER, Score
from downscale_jax.evaluation.summary import estimates

DAY = 86_400  # seconds
FEWEST_DAYS = 6  # that blocks of two days can be drawn from
SECTORS = 12  # of longitude, which stand in for days where there are fewer
REACH = 0.9  # of its final value

LAG, DISTANCE = 'Naming the lag', 'Distance against lag'
SCORES = {
    'cross_entropy': Score(
        'Cross-entropy', LOWER, 'nat', LAG, 'Mean of -log of the probability given to the true lag.'
    ),
    'accuracy': Score('Accuracy', HIGHER, '1', LAG, 'Share of pairs whose likeliest lag is the true one.'),
    'top3': Score('Top 3', HIGHER, '1', LAG, 'Share of pairs whose true lag is among the three likeliest.'),
    'lag_error': Score('Lag error', LOWER, 'h', LAG, 'Mean absolute difference of the likeliest lag and the true one.'),
    'median_error': Score(
        'Lag error of the median',
        LOWER,
        'h',
        LAG,
        'The same of the median of the probabilities, the answer that this error asks for.',
    ),
    'distance_rank': Score(
        'Rank correlation', HIGHER, '1', DISTANCE, "Spearman's, of the mean distance at each lag with the lag."
    ),
    'distance_reach': Score(
        'Reaches 90 %',
        HIGHER,
        'h',
        DISTANCE,
        'Lag at which the mean distance first reaches 90 % of that at the longest lag: a measure that saturates early '
        'cannot tell far from farther.',
    ),
}


def told(probabilities: np.ndarray, lag: np.ndarray) -> dict[str, np.ndarray]:
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
    """[K, K] share of the pairs of a lag (row) that are told to be of another (column); NaN without a pair."""
    classes = probabilities.shape[-1]
    counts = np.zeros((classes, classes))
    np.add.at(counts, (lag, probabilities.argmax(-1)), 1)
    return ratio(counts, counts.sum(1, keepdims=True))


def units(seconds: np.ndarray, column: np.ndarray, width: int) -> np.ndarray:
    """[N] what is resampled: the day of a pair, or where there are fewer than six its sector of longitude.

    Three days are too few to resample, but weather a sector and more apart is nearly independent.
    """
    days = seconds // DAY
    return days if len(np.unique(days)) >= FEWEST_DAYS else column * SECTORS // width


def sums(by: np.ndarray, values: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Values [N, ...] of pairs, added in groups of equal `by` [N], in ascending order, and their number, `count`."""
    groups = [by == one for one in np.unique(by)]
    return [{'count': mine.sum(), **{name: value[mine].sum(0) for name, value in values.items()}} for mine in groups]


def means(pairs: Mapping[str, np.ndarray], by: np.ndarray, step: float) -> dict[str, np.ndarray]:
    """{score: [3]}, value, low, high; errors in hours."""

    def of(total: Sums) -> dict[str, np.ndarray]:
        found = {name: ratio(total[name], total['count']) for name in pairs}
        return {name: value * step if name.endswith('_error') else value for name, value in found.items()}

    return estimates(sums(by, pairs), of)


def curve(distance: np.ndarray, lag: np.ndarray, classes: int, by: np.ndarray, step: float) -> dict[str, np.ndarray]:
    """Distances [N] against lag: `mean` [K, 3] and `deviation` [K, 3] over the mean at the longest lag, and
    `distance_rank`, `distance_reach` [3]."""
    at = np.eye(classes)[lag]
    values = {'pairs': at, 'sum': at * distance[:, None], 'square': at * np.square(distance)[:, None]}
    return estimates(sums(by, values), partial(_curve, step=step))


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
    """Spearman's with the lag, of curves [..., K]; NaN where a lag is missing or all are equal."""
    ranks = rankdata(means, axis=-1, nan_policy='propagate')
    ranks = ranks - ranks.mean(-1, keepdims=True)
    lags = np.arange(means.shape[-1]) - (means.shape[-1] - 1) / 2
    return ratio((ranks * lags).sum(-1), np.sqrt(np.square(ranks).sum(-1) * np.square(lags).sum()))


def reach(means: np.ndarray) -> np.ndarray:
    """Lag, in steps, at which curves [..., K] over lags 1..K first reach 90 % of their end; straight between the lags,
    and from zero at lag zero."""
    means = np.concatenate([np.zeros_like(means[..., :1]), means], -1) / means[..., -1:]
    above = np.argmax(means >= REACH, -1)  # lag 0 never is
    high = np.take_along_axis(means, above[..., None], -1)[..., 0]
    low = np.take_along_axis(means, np.maximum(above - 1, 0)[..., None], -1)[..., 0]
    return np.where(np.isfinite(means).all(-1), above - ratio(high - REACH, high - low), np.nan)


def by_class(
    errors: np.ndarray, classes: np.ndarray, by: np.ndarray, names: Sequence[str], step: float
) -> dict[str, np.ndarray]:
    """{class: [3]} mean in hours of the errors [N] of each class ([N] names), in the order of `names`; without empty
    ones."""
    found = {}
    for name in names:
        mine = classes == name
        if mine.any():
            found[name] = means({'lag_error': errors[mine]}, by[mine], step)['lag_error']
    return found


def better(mine: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], by: np.ndarray, step: float) -> dict:
    """{score: [3]} of one method minus another's, pair by pair: on resampled days both meet the same pairs."""
    shared = [name for name in mine if name in other]
    return means({name: mine[name] - other[name] for name in shared}, by, step)
