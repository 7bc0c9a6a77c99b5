"""Distribution of values at single places over all times, of a method against the truth.

A method with the right values at the wrong times scores well here and badly in RMSE: read both.
"""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import block_length, draws, too_few

MARGIN = 0.1
_CHUNK = 1 << 22  # values summed at a time: 16 MB in float32


class Counts(NamedTuple):
    """Number of places; a place where a distance is missing is in none of the three."""

    better: np.ndarray
    worse: np.ndarray
    equal: np.ndarray


def wasserstein(truth: np.ndarray, predicted: np.ndarray, axis: int = 0) -> np.ndarray:
    """Wasserstein-1 distance of the values along `axis`, in their unit; the other axes are kept, places or resamples.

    W1 = integral over p from 0 to 1 of |F^-1(p) - G^-1(p)|, F^-1 and G^-1 the sorted values. The order of values, here
    of times, does not matter. NaN where a value is missing.
    """
    x, y = (np.sort(np.asarray(values, np.float64), axis) for values in (truth, predicted))
    return np.abs(x - y).mean(axis)


def compare(first: np.ndarray, second: np.ndarray) -> Counts:
    """At how many places (last axis) the first of two distances [..., P] is better (smaller), worse, or neither.

    Better below 1 - MARGIN of the second, worse above 1 + MARGIN of it.
    """
    better, worse = first < (1 - MARGIN) * second, first > (1 + MARGIN) * second
    equal = ~better & ~worse & np.isfinite(first) & np.isfinite(second)
    return Counts(*(np.sum(places, -1) for places in (better, worse, equal)))


def interval_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """5 % and 95 % quantiles [2] of better - worse (`compare`) of `resampled` distances; NaN without a resample."""
    if not len(first):
        return np.full(2, np.nan)
    counts = compare(first, second)
    return np.quantile(counts.better - counts.worse, (0.05, 0.95))


def resampled(
    truth: np.ndarray, predicted: np.ndarray, block: int | None = None, seed: int = 0, samples: int = 1000
) -> np.ndarray:
    """Wasserstein-1 distances [S, P] of values [T, P] to truth [T, P] over resampled times.

    Blocks of times are drawn as in `bootstrap.draws`, the same for the truth, for all methods and for all places, since
    neighbouring places share their weather. No resample (S = 0) with fewer than five times or three blocks.

    Drawing times again adds to short distances more than to long ones, so that more places come out equal: the interval
    tends towards zero, and may miss the difference of the sample itself.
    """
    count = len(truth)
    block = block or block_length(count)
    if too_few(count, block):
        return np.empty((0, truth.shape[1]))
    return _resampled(truth, predicted, draws(count, block, samples, seed).astype(np.float32))


def _resampled(truth: np.ndarray, predicted: np.ndarray, times_drawn: np.ndarray) -> np.ndarray:
    """Distances [S, P] where times count as often as they were drawn [S, T].

    W1 = integral over x of |F(x) - G(x)|: values are sorted once, and a resample only changes by how much F and G step
    up at each, five times faster than sorting anew. Single precision holds these whole numbers exactly.
    """
    count = len(truth)
    values = np.concatenate([truth, predicted]).T.astype(np.float64)
    order = np.argsort(values, 1)
    gaps = np.diff(np.take_along_axis(values, order, 1)).astype(np.float32)
    time = np.tile(np.arange(count), 2)[order]
    step = np.where(order < count, 1, -1).astype(np.float32)
    result = np.empty((len(times_drawn), truth.shape[1]))
    chunk = max(1, _CHUNK // values.size)
    for start in range(0, len(times_drawn), chunk):
        above = np.take(times_drawn[start : start + chunk], time, 1)
        above *= step
        np.abs(np.cumsum(above, -1, out=above), out=above)
        result[start : start + chunk] = np.einsum('spn,pn->sp', above[..., :-1], gaps)
    return result / count
