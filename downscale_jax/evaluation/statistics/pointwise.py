"""Scores of a deterministic field or an ensemble against truth, summed over days before any ratio or root.

A day becomes a dictionary of weighted sums by zone (`day_sums`), days are added (`bootstrap.total`), and only the grand
total turns into numbers (`summarise`). The presentation of every score stands in `SCORES`.
"""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.ranks import rank_sums, reliability_error

_CHUNK = 1 << 17  # pixels sorted at a time: 50 members in float64 stay near 50 MB however large the domain
_SUMS = ('weight', 'error', 'squared_error', 'absolute_error', 'member_squared_error', 'crps', 'variance')


class Score(NamedTuple):
    """How a score is presented; `unit` is 'field' where the score has the unit of the target, '1' where it has none."""

    long_name: str
    reads: str
    unit: str
    table: str
    definition: str


LOWER, HIGHER, ZERO, ONE = 'lower is better', 'higher is better', 'nearer 0 is better', 'nearer 1 is better'
NEITHER = 'for information'
ACCURACY, ENSEMBLE = 'Accuracy', 'Ensemble and texture'

SCORES = {
    'crps': Score(
        'CRPS',
        LOWER,
        'field',
        ACCURACY,
        'Continuous ranked probability score, fair for a finite ensemble: mean |x − y| minus half the mean distance '
        'between two members. For a single field it is the mean absolute error.',
    ),
    'crps_ice': Score('CRPS, ice', LOWER, 'field', ACCURACY, 'CRPS over the ice zone.'),
    'rmse': Score(
        'RMSE', LOWER, 'field', ACCURACY, 'Root mean square error of the ensemble mean, or of the single field.'
    ),
    'rmse_ice': Score(
        'RMSE, ice',
        LOWER,
        'field',
        ACCURACY,
        'RMSE over the ice zone: cells whose coarse field exceeds the threshold of ice. The coarse field is known '
        'beforehand; a zone chosen by the truth would make a perfect ensemble look biased.',
    ),
    'mae': Score('MAE', LOWER, 'field', ACCURACY, 'Mean absolute error of the ensemble mean, or of the single field.'),
    'bias': Score('Bias', ZERO, 'field', ACCURACY, 'Mean of prediction minus truth.'),
    'psnr': Score(
        'PSNR',
        HIGHER,
        'dB',
        ACCURACY,
        'Peak signal-to-noise ratio of the ensemble mean, or of the single field: 20 log10(range / RMSE), the range '
        'that of the target in the training split.',
    ),
    'ssim': Score(
        'SSIM',
        HIGHER,
        '1',
        ACCURACY,
        'Structural similarity of the ensemble mean, or of the single field, to the truth (Wang et al. 2004: Gaussian '
        'windows of 11 x 11 cells, sigma 1.5), over the windows without land or gap; data range as for PSNR.',
    ),
    'rmse_member': Score(
        'RMSE of a member',
        NEITHER,
        'field',
        ENSEMBLE,
        'Root mean square error of one member. In a perfectly calibrated ensemble it is √2 times the error of the '
        'mean of infinitely many members, so a smooth field wins here without being better.',
    ),
    'ssim_member': Score(
        'SSIM of a member', NEITHER, '1', ENSEMBLE, 'SSIM of one member; it too favours smooth fields.'
    ),
    'spread': Score('Spread', NEITHER, 'field', ENSEMBLE, 'Square root of the mean ensemble variance (unbiased).'),
    'spread_skill': Score(
        'Spread / skill',
        ONE,
        '1',
        ENSEMBLE,
        'Spread, corrected for the number of members, over the RMSE of the ensemble mean. Below 1 the ensemble is '
        'too sure of itself, above 1 not sure enough.',
    ),
    'spread_skill_ice': Score('Spread / skill, ice', ONE, '1', ENSEMBLE, 'Spread / skill over the ice zone.'),
    'reliability_ice': Score(
        'Reliability error, ice',
        LOWER,
        '1',
        ENSEMBLE,
        'Mean distance, over the quantiles of the ensemble, between the nominal probability of a quantile and the '
        'frequency with which the truth lies below it, in the ice zone. 0: perfectly reliable.',
    ),
    'lag1': Score(
        'Lag-1 correlation',
        NEITHER,
        '1',
        ENSEMBLE,
        'Correlation of the anomaly (field minus coarse input), of a member where there are several, with that of the '
        'next record. It should be that of the truth.',
    ),
    'closure': Score(
        'Closure',
        LOWER,
        'field',
        ENSEMBLE,
        'Root mean square difference of a member, filtered back to the kernel of the coarse field, to that field. What '
        'was sampled on a coarse grid and has observation error cannot close to zero: the truth does not either.',
    ),
    'out_of_bounds': Score(
        'Out of bounds', LOWER, '1', ENSEMBLE, 'Share of values outside the physical bounds, before they are clipped.'
    ),
    'power_low': Score(
        'Power, least',
        ONE,
        '1',
        ENSEMBLE,
        'Power of the anomaly (field minus coarse input) over the power of the truth, of a member where there are '
        'several, at the wavelength where it is least, between the kernel of the coarse input and four cells.',
    ),
    'power_high': Score('Power, most', ONE, '1', ENSEMBLE, 'The same at the wavelength where it is most.'),
}

BY_CLASS = ('crps', 'rmse', 'spread_skill', 'reliability')  # also told by regime and by season


def day_sums(
    members: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray,
    zones: np.ndarray,
    ties: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Weighted sums over the valid pixels of one day in each zone, float64: [Z], `ranks` of an ensemble [Z, M + 1].

    members [M, H, W], M = 1 for a deterministic field; truth [H, W], NaN where there is none; weight [H, W], such as
    cell area, 0 or NaN where a pixel does not count; zones [Z, H, W] bool, which may overlap; ties draws the rank of a
    truth that equals members. Without a valid pixel every sum is 0.

    Raises ValueError where a member is not finite at a valid pixel: scoring a method on fewer pixels than the others
    would be unfair to them, so the caller takes such pixels out for all methods by weight 0.
    """
    if members.ndim != 3 or members.shape[1:] != truth.shape or len(members) == 0:
        raise ValueError(f'members are {members.shape}, truth is {truth.shape}; expected [M, H, W] and [H, W]')
    pixels = np.flatnonzero(np.isfinite(truth) & (weight > 0) & zones.any(0))
    members, zones = members.reshape(len(members), -1), zones.reshape(len(zones), -1)
    sums = {name: np.zeros(len(zones)) for name in _SUMS}
    if len(members) > 1:
        sums['ranks'] = np.zeros((len(zones), len(members) + 1))
    for start in range(0, len(pixels), _CHUNK):
        chosen = pixels[start : start + _CHUNK]
        x = members[:, chosen].astype(np.float64)
        if not np.isfinite(x).all():
            raise ValueError(
                f'{np.sum(~np.isfinite(x).all(0))} of {len(chosen)} valid pixels are not finite in a member; '
                'give weight 0 to pixels without a prediction'
            )
        y = truth.ravel()[chosen].astype(np.float64)
        weights = zones[:, chosen] * weight.ravel()[chosen].astype(np.float64)
        for name, value in _pixel_values(x, y).items():
            sums[name] += weights @ value
        if len(x) > 1:
            sums['ranks'] += rank_sums(x, y, weights, ties)
    return sums


def _pixel_values(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """What is summed, [pixels] each, for members x [M, pixels] and truth y [pixels]."""
    error = x.mean(0) - y
    return {
        'weight': np.ones_like(y),
        'error': error,
        'squared_error': error**2,
        'absolute_error': np.abs(error),
        'member_squared_error': ((x - y) ** 2).mean(0),
        'crps': fair_crps(x, y),
        'variance': x.var(0, ddof=1) if len(x) > 1 else np.zeros_like(y),
    }


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


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Numbers by name of score [..., Z] from sums over days; spread, its skill and reliability for ensembles only.

    `share` is the share of the first zone.

    spread_skill = sqrt((M + 1)/M x mean variance (ddof 1) / MSE of the ensemble mean), the averages before the root
    (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1). NaN where no pixel was valid.
    """
    mean = {name: ratio(sums[name], sums['weight']) for name in _SUMS}
    result = {
        'crps': mean['crps'],
        'rmse': np.sqrt(mean['squared_error']),
        'mae': mean['absolute_error'],
        'bias': mean['error'],
        'rmse_member': np.sqrt(mean['member_squared_error']),
        'share': ratio(sums['weight'], sums['weight'][..., :1]),
    }
    if 'ranks' in sums:
        members = sums['ranks'].shape[-1] - 1
        result['spread'] = np.sqrt(mean['variance'])
        result['spread_skill'] = np.sqrt((1 + 1 / members) * ratio(mean['variance'], mean['squared_error']))
        result['reliability'] = reliability_error(sums['ranks'])
    return result
