"""Distribution of values at single places over all times, of a method against the truth.

A method that draws the right values at the wrong times scores well here and badly in RMSE: both are to be read.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import block_length

MARGIN = 0.1
_CHUNK = 1 << 22  # values summed at a time: 16 MB in float32


class Counts(NamedTuple):
    """Number of places; a place where a distance is missing is in none of the three."""

    better: np.ndarray
    worse: np.ndarray
    equal: np.ndarray


def wasserstein(truth: np.ndarray, found: np.ndarray, axis: int = 0) -> np.ndarray:
    """Wasserstein-1 distance of the values along `axis`, in their unit; the other axes are kept, places or resamples.

    W1 = integral over p from 0 to 1 of |F^-1(p) - G^-1(p)|, F^-1 and G^-1 the sorted values: exact, for different
    numbers of values too. The order of values, here of times, does not matter. NaN where a value is missing.
    """
    x, y = (np.sort(np.moveaxis(np.asarray(values, np.float64), axis, -1), -1) for values in (truth, found))
    n, m = x.shape[-1], y.shape[-1]
    if n == m:
        return np.abs(x - y).mean(-1)
    # both quantile functions are steps: they change at multiples of 1/n and of 1/m, counted here in 1/(n m)
    edges = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    return np.abs(x[..., edges[:-1] // m] - y[..., edges[:-1] // n]) @ (np.diff(edges) / (n * m))


def distances(truth: np.ndarray, methods: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{method: Wasserstein-1 distance [P] to the truth [T, P]} of series [T, P], or of ensembles [T, M, P].

    The values of all members count as one distribution. It is better known than that of a single series: between equal
    distributions of T values each the distance is not zero but of the order of a standard deviation / sqrt(T).
    """
    return {
        name: wasserstein(truth, _members(found, truth).reshape(-1, truth.shape[1])) for name, found in methods.items()
    }


def compare(first: np.ndarray, second: np.ndarray, margin: float = MARGIN) -> Counts:
    """At how many places (last axis) the first of two distances [..., P] is better (smaller), worse, or neither.

    Better below 1 - margin of the second, worse above 1 + margin of it.
    """
    better, worse = first < (1 - margin) * second, first > (1 + margin) * second
    equal = ~better & ~worse & np.isfinite(first) & np.isfinite(second)
    return Counts(*(np.sum(places, -1) for places in (better, worse, equal)))


def interval(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    block: int | None = None,
    margin: float = MARGIN,
    seed: int = 0,
    samples: int = 1000,
) -> np.ndarray:
    """5 % and 95 % quantiles [2] of better - worse (`compare`) over resampled times.

    truth [T, P]; first, second [T, P] or [T, M, P], in order of time; see `resampled`.
    """
    mine, its = (resampled(truth, found, block, seed, samples) for found in (first, second))
    return interval_of(mine, its, margin)


def interval_of(first: np.ndarray, second: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """The same [2] of two that are `resampled` already; NaN without a resample."""
    if not len(first):
        return np.full(2, np.nan)
    counts = compare(first, second, margin)
    return np.quantile(counts.better - counts.worse, (0.05, 0.95))


def resampled(
    truth: np.ndarray, found: np.ndarray, block: int | None = None, seed: int = 0, samples: int = 1000
) -> np.ndarray:
    """Wasserstein-1 distances [S, P] of found [T, P] or [T, M, P] to truth [T, P] over resampled times.

    As in `bootstrap.bootstrap` whole blocks of `block` times are drawn, wrapping round the end, the same for the truth,
    for all methods and for all places, since neighbouring places share their weather. No resample (S = 0) with fewer
    than five times or three blocks.

    Drawing times again adds to short distances more than to long ones, so that more places come out equal: the interval
    tends towards zero, and may miss the difference of the sample itself.
    """
    count = len(truth)
    block = block or block_length(count)
    if count < max(5, 3 * block):
        return np.empty((0, truth.shape[1]))
    starts = np.random.default_rng(seed).integers(0, count, (samples, -(-count // block)))
    drawn = ((starts[..., None] + np.arange(block)) % count).reshape(samples, -1)[:, :count]
    times_drawn = np.zeros((samples, count), np.float32)
    np.add.at(times_drawn, (np.arange(samples)[:, None], drawn), 1)
    return _resampled(truth, found, times_drawn)


def _resampled(truth: np.ndarray, found: np.ndarray, times_drawn: np.ndarray) -> np.ndarray:
    """Distances [S, P], members pooled, where times count as often as they were drawn [S, T].

    W1 = integral over x of |F(x) - G(x)|: values are sorted once, and a resample only changes by how much F and G step
    up at each, five times faster than sorting anew. Single precision holds these whole numbers exactly.
    """
    found = _members(found, truth)
    count, members, _ = found.shape
    values = np.concatenate([truth, found.reshape(count * members, -1)]).T.astype(np.float64)
    order = np.argsort(values, 1)
    gaps = np.diff(np.take_along_axis(values, order, 1)).astype(np.float32)
    time = np.append(np.arange(count), np.repeat(np.arange(count), members))[order]
    step = np.where(order < count, members, -1).astype(np.float32)
    result = np.empty((len(times_drawn), truth.shape[1]))
    chunk = max(1, _CHUNK // values.size)
    for start in range(0, len(times_drawn), chunk):
        above = np.take(times_drawn[start : start + chunk], time, 1)
        above *= step
        np.abs(np.cumsum(above, -1, out=above), out=above)
        result[start : start + chunk] = np.einsum('spn,pn->sp', above[..., :-1], gaps)
    return result / (count * members)


def _members(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[T, M, P], M = 1 for a single series."""
    if found.ndim not in (2, 3) or truth.ndim != 2 or found.shape[:: found.ndim - 1] != truth.shape:
        raise ValueError(f'a method is {found.shape}, truth is {truth.shape}; expected [T, P] or [T, M, P], and [T, P]')
    return found.reshape(len(truth), -1, truth.shape[1])
