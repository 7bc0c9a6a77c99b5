"""High values: quantiles, fractions skill score, and the CRPS above a threshold.

Three sums by time, added before any ratio. `thresholds` are values of the field from the training split: quantiles of
the test truth would hide a bias.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.members import chunks, require_finite
from downscale_jax.evaluation.statistics.pointwise import fair_crps

LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
BINS = 2048


def edges(low: float, high: float) -> np.ndarray:
    """[BINS + 1] evenly spaced edges for values that range from low to high in the training split.

    Half the range is added on either side for values never seen there; a bin is a thousandth of the range wide. What
    lies farther out counts in the outermost bins.
    """
    margin = (high - low) / 2
    return np.linspace(low - margin, high + margin, BINS + 1)


def histogram(values: np.ndarray, weights: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Weight [B] of the values in each bin between evenly spaced edges [B + 1]; weights of the values' trailing axes.

    Values outside are counted in the outermost bins.
    """
    bins = edges.size - 1
    at = np.clip((values - edges[0]) * (bins / (edges[-1] - edges[0])), 0, bins - 1).astype(int)
    return np.bincount(at.ravel(), np.broadcast_to(weights, values.shape).ravel(), bins)


def quantiles(histogram: np.ndarray, edges: np.ndarray, levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Quantiles [..., L] of weights [..., B] by bin, as if values were spread evenly within bins; NaN without any."""
    below = np.cumsum(histogram, -1)
    values_at = []
    for level in levels:
        wanted = level * below[..., -1:]
        at = (below >= wanted).argmax(-1)[..., None]
        here, upto = (np.take_along_axis(values, at, -1) for values in (histogram, below))
        values_at.append(edges[at + 1] - ratio(upto - wanted, here) * (edges[1] - edges[0]))
    return np.concatenate(values_at, -1)


def quantile_sums(members: np.ndarray, truth: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> dict:
    """Weighted histograms [B] of one time, of all members together (each with 1/M of the weight) and of the truth.

    members [M, H, W], M = 1 for a single field; truth [H, W], NaN where missing; weight [H, W], 0 where a cell does not
    count. Raises ValueError where a member is not finite at a cell that counts.
    """
    sums = {'histogram': np.zeros(edges.size - 1), 'histogram_truth': np.zeros(edges.size - 1)}
    for cells, x in chunks(members, _counted(truth, weight)):
        y, w = (field.ravel()[cells].astype(np.float64) for field in (truth, weight))
        sums['histogram'] += histogram(x, w / len(x), edges)
        sums['histogram_truth'] += histogram(y, w, edges)
    return sums


def fss_sums(
    members: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray,
    thresholds: Sequence[float] | np.ndarray,
    windows: Sequence[int],
) -> dict[str, np.ndarray]:
    """Sums [Q, S] of one time for the fractions skill score (Roberts and Lean 2008, doi:10.1175/2007MWR2123.1).

    members, truth, weight as for `quantile_sums`; thresholds [Q]; windows [S], odd widths in cells. An
    event is a value above the threshold; of an ensemble the share of members that have it is taken (Schwartz et al.
    2010, doi:10.1175/2009WAF2222267.1), so that a perfect ensemble scores higher the more members it has.

    Fractions are of the valid cells in a window, not of all its cells: a coast or the edge of the domain, where windows
    are cut off, is no lack of events. Each valid cell is the centre of one window, which counts by the cell's weight.
    """
    valid = _counted(truth, weight)
    require_finite(members, valid)
    w = np.where(valid, weight, 0).astype(np.float64)
    sums = {name: np.zeros((len(thresholds), len(windows))) for name in ('fss_error', 'fss_reference')}
    shares = [_box(valid, window) for window in windows]
    for q, threshold in enumerate(thresholds):
        event, probability = (truth > threshold) & valid, np.mean(members > threshold, 0) * valid
        for s, (window, share) in enumerate(zip(windows, shares, strict=True)):
            expected, predicted = (ratio(_box(one, window), share)[valid] for one in (event, probability))
            sums['fss_error'][q, s] = np.square(predicted - expected) @ w[valid]
            sums['fss_reference'][q, s] = (np.square(predicted) + np.square(expected)) @ w[valid]
    return sums


def _box(field: np.ndarray, window: int) -> np.ndarray:
    """Mean over the window round each cell, zeros beyond the domain."""
    return ndimage.uniform_filter(field.astype(np.float64), window, mode='constant')


def tail_crps_sums(
    members: np.ndarray, truth: np.ndarray, weight: np.ndarray, thresholds: Sequence[float] | np.ndarray
) -> dict[str, np.ndarray]:
    """Sums of one time for the threshold-weighted CRPS, `tail_crps` [Q] and their weight.

    The integral of (F(z) - 1{y <= z})^2 over z from the threshold up (Gneiting and Ranjan 2011,
    doi:10.1198/jbes.2010.08110): the CRPS of max(x, threshold) against max(y, threshold), here in its fair form. Where
    neither passes the threshold it is 0. For a single field it is the absolute error of these. Arguments as for
    `fss_sums`.
    """
    sums = {'tail_crps': np.zeros(len(thresholds)), 'tail_weight': np.zeros(())}
    for cells, x in chunks(members, _counted(truth, weight)):
        y, w = (field.ravel()[cells].astype(np.float64) for field in (truth, weight))
        sums['tail_crps'] += [fair_crps(np.maximum(x, t), np.maximum(y, t)) @ w for t in thresholds]
        sums['tail_weight'] += w.sum()
    return sums


def summarise(sums: Sums, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers from the three sums over times, all in one dictionary, with any leading axes.

    quantile_error [..., L]: quantiles at LEVELS minus those of the truth, in the unit of the field, since a ratio means
    nothing for temperatures and winds. fss [..., Q, S] = 1 - sum (P_f - P_o)^2 / sum (P_f^2 + P_o^2), 1 for a perfect
    field and NaN without any event. tail_crps [..., Q].
    """
    predicted, expected = (quantiles(sums[name], edges) for name in ('histogram', 'histogram_truth'))
    return {
        'quantile_error': predicted - expected,
        'fss': 1 - ratio(sums['fss_error'], sums['fss_reference']),
        'tail_crps': ratio(sums['tail_crps'], sums['tail_weight'][..., None]),
    }


def _counted(truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.isfinite(truth) & (weight > 0)
