"""Scores of a deterministic field or an ensemble against truth, summed over days before any ratio or root.

A day becomes a dictionary of weighted sums (`day_sums`), days are added (`combine`), and only the grand total turns
into numbers (`summarise`): averaging daily roots or ratios would favour days with little ice.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Sums = dict[str, float]

_CHUNK = 1 << 17  # pixels sorted at a time: 50 members in float64 stay near 50 MB however large the domain


class Score(NamedTuple):
    """How a score is presented; `unit` is 'field' where the score has the unit of the target, '1' where it has none."""

    long_name: str
    reads: str
    unit: str
    definition: str


LOWER, ZERO, ONE, NEITHER = 'lower is better', 'nearer 0 is better', 'nearer 1 is better', 'for information'

SCORES = {
    'crps': Score(
        'CRPS',
        LOWER,
        'field',
        'Continuous ranked probability score, fair for a finite ensemble: mean |x − y| minus half the mean distance '
        'between two members. For a single field it is the mean absolute error.',
    ),
    'rmse': Score('RMSE', LOWER, 'field', 'Root mean square error of the ensemble mean, or of the single field.'),
    'mae': Score('MAE', LOWER, 'field', 'Mean absolute error of the ensemble mean, or of the single field.'),
    'bias': Score('Bias', ZERO, 'field', 'Mean of prediction minus truth.'),
    'rmse_member': Score(
        'RMSE of a member',
        NEITHER,
        'field',
        'Root mean square error of one member. In a perfectly calibrated ensemble it is √2 times the error of the '
        'mean of infinitely many members, so a smooth field wins here without being better.',
    ),
    'spread': Score('Spread', NEITHER, 'field', 'Square root of the mean ensemble variance (unbiased).'),
    'spread_skill': Score(
        'Spread / skill',
        ONE,
        '1',
        'Spread, corrected for the number of members, over the RMSE of the ensemble mean. Below 1 the ensemble is '
        'too sure of itself, above 1 not sure enough.',
    ),
    'out_of_bounds': Score(
        'Out of bounds', LOWER, '1', 'Share of values outside the physical bounds, before they are clipped.'
    ),
    'power_low': Score(
        'Power, least',
        ONE,
        '1',
        'Power of the anomaly (field minus coarse input) over the power of the truth, of a member where there are '
        'several, at the wavelength where it is least, between the kernel of the coarse input and four cells.',
    ),
    'power_high': Score('Power, most', ONE, '1', 'The same at the wavelength where it is most.'),
}


def day_sums(
    members: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray | None = None,
    lower: float | None = None,
    upper: float | None = None,
) -> Sums:
    """Weighted sums over the valid pixels of one day, float64.

    members [M, H, W], M = 1 for a deterministic field; truth [H, W], NaN where there is none; weight [H, W], such as
    cell area, 0 or NaN where a pixel does not count (default: 1 everywhere). With `lower` or `upper` the values outside
    are counted too. Without a valid pixel every sum is 0.

    Raises ValueError where a member is not finite at a valid pixel: scoring a method on fewer pixels than the others
    would be unfair to them, so the caller takes such pixels out for all methods by weight 0.
    """
    if members.ndim != 3 or members.shape[1:] != truth.shape or len(members) == 0:
        raise ValueError(f'members are {members.shape}, truth is {truth.shape}; expected [M, H, W] and [H, W]')
    weight = np.ones(truth.shape) if weight is None else np.broadcast_to(weight, truth.shape)
    valid = np.isfinite(truth) & (weight > 0)
    pixels = np.flatnonzero(valid)
    names = ['weight', 'error', 'squared_error', 'absolute_error', 'member_squared_error', 'crps', 'variance']
    names += ['out_of_bounds'] if (lower, upper) != (None, None) else []
    sums = dict.fromkeys(names, 0.0)
    members = members.reshape(len(members), -1)
    for start in range(0, len(pixels), _CHUNK):
        chosen = pixels[start : start + _CHUNK]
        x = members[:, chosen].astype(np.float64)
        if not np.isfinite(x).all():
            raise ValueError(
                f'{np.sum(~np.isfinite(x).all(0))} of {len(chosen)} valid pixels are not finite in a member; '
                'give weight 0 to pixels without a prediction'
            )
        y, w = truth.ravel()[chosen].astype(np.float64), weight.ravel()[chosen].astype(np.float64)
        for name, value in _pixel_values(x, y, lower, upper).items():
            sums[name] += float(np.sum(w * value))
    return sums


def _pixel_values(x: np.ndarray, y: np.ndarray, lower: float | None, upper: float | None) -> dict[str, np.ndarray]:
    """What is summed, [pixels] each, for members x [M, pixels] and truth y [pixels]."""
    error = x.mean(0) - y
    values = {
        'weight': np.ones_like(y),
        'error': error,
        'squared_error': error**2,
        'absolute_error': np.abs(error),
        'member_squared_error': ((x - y) ** 2).mean(0),
        'crps': fair_crps(x, y),
        'variance': x.var(0, ddof=1) if len(x) > 1 else np.zeros_like(y),
    }
    if (lower, upper) != (None, None):
        outside = (x < (-np.inf if lower is None else lower)) | (x > (np.inf if upper is None else upper))
        values['out_of_bounds'] = outside.mean(0)
    return values


def fair_crps(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair CRPS of members [M, ...] against truth [...]; the mean absolute error for M = 1.

    mean_i |x_i - y| - 1/(2 M (M - 1)) sum_ij |x_i - x_j| (Ferro 2014, doi:10.1002/qj.2270): its expectation is that of
    an infinite ensemble from the same distribution, so ensembles of different sizes compare. It may be negative at a
    pixel. The double sum in O(M log M): over the sorted members, sum_ij |x_i - x_j| = 2 sum_k (2k - M + 1) x_(k).
    """
    count = len(members)
    distance = np.abs(members - truth).mean(0)
    if count == 1:
        return distance
    ranks = 2.0 * np.arange(count) - (count - 1)
    return distance - np.tensordot(ranks, np.sort(members, 0), 1) / (count * (count - 1))


def combine(parts: Iterable[Mapping[str, float]]) -> Sums:
    """The sums of all days together, as if their pixels had been pooled."""
    parts = list(parts)
    return {name: math.fsum(part[name] for part in parts) for name in parts[0]} if parts else {}


def summarise(sums: Mapping[str, float], members: int = 1) -> dict[str, float]:
    """Numbers by name of score (see SCORES) from sums over days; spread and spread_skill for ensembles only.

    spread_skill = sqrt((M + 1)/M x mean variance (ddof 1) / MSE of the ensemble mean), the averages before the root
    (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1). NaN where no pixel was valid.
    """
    total = sums.get('weight', 0.0)
    mean = {name: value / total if total > 0 else math.nan for name, value in sums.items()}
    if not mean:
        return {}
    result = {
        'crps': mean['crps'],
        'rmse': math.sqrt(mean['squared_error']),
        'mae': mean['absolute_error'],
        'bias': mean['error'],
        'rmse_member': math.sqrt(mean['member_squared_error']),
    }
    if members > 1:
        variance, error = (1 + 1 / members) * mean['variance'], mean['squared_error']
        result['spread'] = math.sqrt(mean['variance'])
        result['spread_skill'] = math.sqrt(variance / error) if error > 0 else math.nan
    if 'out_of_bounds' in mean:
        result['out_of_bounds'] = mean['out_of_bounds']
    return result


def bootstrap(
    days: Sequence[Mapping[str, float]],
    summary: Callable[[Mapping[str, float]], Mapping[str, float]],
    seed: int = 0,
    samples: int = 1000,
    block: int | None = None,
) -> dict[str, tuple[float, float]]:
    """5 % and 95 % quantiles of every score over resampled days: {score: (low, high)}.

    days: sums by day, in order of time; summary: sums -> scores, such as `partial(summarise, members=8)`. Whole blocks
    of `block` consecutive days are drawn, wrapping round the end (Politis and Romano 1992), since neighbouring days
    share their errors; the default, n^(1/3), suits errors that last a few days: give more where they last longer.
    Equal seeds draw equal days, so methods can be compared. NaN with fewer than five days or three
    blocks: too few to tell.
    """
    days = [day for day in days if day['weight'] > 0]
    if not days:
        return {}
    count, names = len(days), list(days[0])
    block = block or max(1, round(count ** (1 / 3)))
    if count < max(5, 3 * block):
        return dict.fromkeys(summary(days[0]), (math.nan, math.nan))
    table = np.array([[day[name] for name in names] for day in days])
    starts = np.random.default_rng(seed).integers(0, count, (samples, -(-count // block)))
    drawn = ((starts[..., None] + np.arange(block)) % count).reshape(samples, -1)[:, :count]
    scores = [summary(dict(zip(names, table[row].sum(0), strict=True))) for row in drawn]
    quantiles = {name: np.quantile([score[name] for score in scores], (0.05, 0.95)) for name in scores[0]}
    return {name: (float(low), float(high)) for name, (low, high) in quantiles.items()}
