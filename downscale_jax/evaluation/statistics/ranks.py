"""Ranks of the truth among the members: histogram and reliability curve, and the classes by which they are split."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import ratio

SEASONS = ('DJF', 'MAM', 'JJA', 'SON')


def rank_sums(x: np.ndarray, y: np.ndarray, weights: np.ndarray, ties: np.random.Generator) -> np.ndarray:
    """Weight [Z, M + 1] of the pixels whose truth y [P] has 0, 1, .. M of the members x [M, P] below it.

    weights [Z, P] of each pixel in each zone. Where the truth equals members, its rank is drawn evenly among the places
    it may take (Hamill 2001, doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2): over open water all are zero.
    """
    below, equal = (x < y).sum(0), (x == y).sum(0)
    ranks = below + np.floor(ties.random(len(y)) * (equal + 1)).astype(int)
    return np.stack([np.bincount(ranks, zone, len(x) + 1) for zone in weights])


def rank_histogram(ranks: np.ndarray) -> np.ndarray:
    """Weight by rank [..., M + 1] -> frequency times M + 1: 1 everywhere in a calibrated ensemble."""
    return ratio(ranks * ranks.shape[-1], ranks.sum(-1, keepdims=True))


def nominal(members: int) -> np.ndarray:
    """Probability [M] below which the k-th smallest of M members marks a quantile, k/(M + 1)."""
    return np.arange(1, members + 1) / (members + 1)


def observed(ranks: np.ndarray) -> np.ndarray:
    """Frequency [..., M] with which the truth lies below the k-th smallest member, against `nominal`.

    The cumulated rank histogram: the members are the quantiles, so nothing is interpolated, and ties are shared.
    """
    return ratio(ranks.cumsum(-1)[..., :-1], ranks.sum(-1, keepdims=True))


def reliability_error(ranks: np.ndarray) -> np.ndarray:
    """Mean distance [...] between `observed` and `nominal` over the quantiles."""
    return np.abs(observed(ranks) - nominal(ranks.shape[-1] - 1)).mean(-1)


def regime_names(edges: Sequence[float]) -> list[str]:
    """Names of the classes between ascending edges; none without edges."""
    if not len(edges):
        return []
    return [f'below {edges[0]:g}', *(f'{a:g} to {b:g}' for a, b in pairwise(edges)), f'over {edges[-1]:g}']


def regimes(field: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """bool [R, ...]: the classes of a field between ascending edges, the lower edge in the class.

    Apply it to a field known beforehand: classes of the truth would make a perfect ensemble look biased. A missing
    value is in no class.
    """
    classes = np.where(np.isfinite(field), np.digitize(field, edges), -1)
    return classes == np.arange(len(regime_names(edges))).reshape(-1, *[1] * field.ndim)


def season(times: np.ndarray) -> np.ndarray:
    """Names in SEASONS for time stamps of any calendar."""
    return xr.DataArray(times, dims='time').dt.season.values
