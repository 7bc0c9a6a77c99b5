"""Errors, CRPS, spread and ranks of a field or an ensemble against truth, summed by zone before any ratio or root."""

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.members import chunks
from downscale_jax.evaluation.statistics.ranks import rank_sums, reliability_error

_SUMS = ('weight', 'error', 'squared_error', 'absolute_error', 'member_squared_error', 'crps', 'variance')


def day_sums(
    members: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray,
    zones: np.ndarray,
    ties: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Weighted sums over the valid cells of one time in each zone, float64: [Z], `ranks` of an ensemble [Z, M + 1].

    members [M, H, W], M = 1 for a single field; truth [H, W], NaN where missing; weight [H, W], such as cell
    area, 0 or NaN where a cell does not count; zones [Z, H, W] bool, which may overlap; `ties` draws the rank of a
    truth that equals members. Without a valid cell every sum is 0.

    Raises ValueError where a member is not finite at a valid cell.
    """
    counted, zones = np.isfinite(truth) & (weight > 0) & zones.any(0), zones.reshape(len(zones), -1)
    sums = {name: np.zeros(len(zones)) for name in _SUMS}
    if len(members) > 1:
        sums['ranks'] = np.zeros((len(zones), len(members) + 1))
    for chosen, x in chunks(members, counted):
        y = truth.ravel()[chosen].astype(np.float64)
        weights = zones[:, chosen] * weight.ravel()[chosen].astype(np.float64)
        for name, value in _cell_values(x, y).items():
            sums[name] += weights @ value
        if len(x) > 1:
            sums['ranks'] += rank_sums(x, y, weights, ties)
    return sums


def _cell_values(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The summands [P] for members x [M, P] and truth y [P]."""
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
    """Fair CRPS of members [M, ...] against truth [...]; the absolute error for M = 1.

    mean_i |x_i - y| - 1/(2 M (M - 1)) sum_ij |x_i - x_j| (Ferro 2014, doi:10.1002/qj.2270): its expectation is that of
    an infinite ensemble from the same distribution, so ensembles of different sizes compare. It may be negative at a
    cell. The double sum in O(M log M): over the sorted members, sum_ij |x_i - x_j| = 2 sum_k (2k - M + 1) x_(k).
    """
    count = len(members)
    distance = np.abs(members - truth).mean(0)
    if count == 1:
        return distance
    ranks = 2.0 * np.arange(count) - (count - 1)
    return distance - np.tensordot(ranks, np.sort(members, 0), 1) / (count * (count - 1))


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Numbers by name of score [..., Z] from sums over times; spread, its skill and reliability for ensembles only.

    `share` is the weight of a zone over that of the first zone.

    spread_skill = sqrt((M + 1)/M x mean variance (ddof 1) / MSE of the ensemble mean), the averages before the root
    (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1). NaN where no cell was valid.
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
