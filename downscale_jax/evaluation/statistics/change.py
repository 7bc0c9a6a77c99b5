"""Change of a distribution between two periods: of its mean, its quantiles, and the share above a threshold."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.extremes import quantile_sums, quantiles
from downscale_jax.evaluation.statistics.members import chunks

WET, MILLIMETRES = 1.0, ('mm day-1', 'mm/day', 'mm d-1')  # a wet day, and the units in which precipitation has it
GAP = 10  # years between two periods, at least


def periods(years: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(first, last year) of the times before and after the largest gap, None where it is shorter than GAP years."""
    distinct = sorted({*years})
    gaps = np.diff(distinct)
    if not gaps.size or gaps.max() < GAP:
        return None
    at = int(gaps.argmax())
    return (distinct[0], distinct[at]), (distinct[at + 1], distinct[-1])


def sums(
    members: np.ndarray, truth: np.ndarray, weight: np.ndarray, edges: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Sums of one time: histograms [B], and sums of values, of those above the threshold, and of the weight.

    members [M, H, W], truth [H, W], NaN where missing, weight [H, W], as for `extremes.quantile_sums`.
    """
    result = quantile_sums(members, truth, weight, edges)
    for name in ('total', 'total_truth', 'above', 'above_truth', 'weight'):
        result[name] = np.zeros(())
    for cells, x in chunks(members, np.isfinite(truth) & (weight > 0)):
        y, w = (field.ravel()[cells].astype(np.float64) for field in (truth, weight))
        for suffix, values in (('', x), ('_truth', y[None])):
            result[f'total{suffix}'] += (values.mean(0) * w).sum()
            result[f'above{suffix}'] += ((values > threshold).mean(0) * w).sum()
        result['weight'] += w.sum()
    return result


def in_period(sums: Sums, period: int) -> dict[str, np.ndarray]:
    """The sums [...] of one time as [2, ...], zero in the other period."""
    return {name: np.stack([np.asarray(value) * (period == p) for p in (0, 1)]) for name, value in sums.items()}


def summarise(sums: Sums, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Changes of a method, of the truth (`.._truth`), and their difference (`.._error`), with any leading axes.

    sums [..., 2] and histograms [..., 2, B] of both periods. quantile [..., L], at `extremes.LEVELS`.
    """
    result = {}
    for suffix in ('', '_truth'):
        for name, above in (('mean', 'total'), ('exceedance', 'above')):
            result[f'{name}{suffix}'] = np.diff(ratio(sums[f'{above}{suffix}'], sums['weight']), axis=-1)[..., 0]
        result[f'quantile{suffix}'] = np.diff(quantiles(sums[f'histogram{suffix}'], edges), axis=-2)[..., 0, :]
    for name in ('mean', 'quantile', 'exceedance'):
        result[f'{name}_error'] = result[name] - result[f'{name}_truth']
    return result
