"""Distances between members: against their parameters, between schemes, and along time."""

import numpy as np
from scipy.stats import rankdata

from downscale_jax.evaluation.results import Estimate
from downscale_jax.evaluation.statistics.bootstrap import Sums, estimates, ratio

SAMPLES = 500


def of_parameters(values: np.ndarray) -> np.ndarray:
    """[M, M] Euclidean distance of parameters [M, K], each in units of its standard deviation."""
    scaled = (values - values.mean(0)) / values.std(0)
    return np.linalg.norm(scaled[:, None] - scaled, axis=-1)


def rank_correlation(distance: np.ndarray, parameters: np.ndarray, seed: int = 0) -> Estimate:
    """Spearman's correlation over pairs of members of two distances [M, M], with the 5 and 95 % quantiles over members
    drawn with replacement; pairs of a member with itself do not count."""
    members = len(distance)
    rng = np.random.default_rng(seed)
    resampled = [spearman(distance, parameters, rng.integers(0, members, members)) for _ in range(SAMPLES)]
    return np.array([spearman(distance, parameters, np.arange(members)), *np.nanquantile(resampled, (0.05, 0.95))])


def spearman(a: np.ndarray, b: np.ndarray, chosen: np.ndarray) -> float:
    """Over the distinct pairs of chosen members; NaN for fewer than three pairs and for equal distances."""
    first, second = np.triu_indices(len(chosen), 1)
    pairs = chosen[first], chosen[second]
    apart = pairs[0] != pairs[1]
    first_ranks, second_ranks = (rankdata(x[pairs][apart]) for x in (a, b))
    if apart.sum() < 3 or not (np.ptp(first_ranks) and np.ptp(second_ranks)):
        return np.nan
    return float(np.corrcoef(first_ranks, second_ranks)[0, 1])


def roughness(codes: np.ndarray) -> Estimate:
    """Mean squared step between successive times over that between any two times of members' codes [M, T, F]: 1 for
    times in random order, small for smooth curves. Intervals over resampled members."""
    times = codes.shape[1]
    members = [
        {
            'step': np.square(np.diff(series, axis=0)).sum() / (times - 1),
            'any': 2 * times / (times - 1) * np.square(series - series.mean(0)).sum() / times,
        }
        for series in codes.astype(np.float64)
    ]

    def summary(total: Sums) -> dict[str, np.ndarray]:
        return {'roughness': ratio(total['step'], total['any'])}

    return estimates(members, summary, block=1)['roughness']


def explained(truth: np.ndarray, reconstruction: np.ndarray) -> dict[str, Estimate]:
    """Share of the variance of standardised images [M, T, H W, C] that reconstructions keep: `all`, and by `channel`
    [C, 3]. Intervals over resampled members."""
    mean = truth.mean((0, 1, 2))
    members = [
        {
            'error': np.square(x - y).sum((0, 1), dtype=np.float64),
            'spread': np.square(x - mean).sum((0, 1), dtype=float),
        }
        for x, y in zip(truth, reconstruction, strict=True)
    ]

    def summary(total: Sums) -> dict[str, np.ndarray]:
        return {
            'all': 1 - ratio(total['error'].sum(-1), total['spread'].sum(-1)),
            'channel': 1 - ratio(total['error'], total['spread']),
        }

    return estimates(members, summary, block=1)
