"""Distribution of increments by lag: kurtosis of first differences and skewness of second differences.

First differences x(p + h) - x(p) of a field with sharp edges are mostly small and rarely large: their kurtosis exceeds
the 3 of a Gaussian field, most at short lags. Second differences x(p + h) - 2 x(p) + x(p - h) are skewed where narrow
features have one sign: positively by leads, which are lower than the ice on both sides, negatively by ridges. Both are
independent of location and amplitude, and no power spectrum determines them.
"""

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio

LAGS = (1, 2, 4, 8)  # cells


def day_sums(fields: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over fields [M, H, W] and both directions at each lag, [L] in float64; cells that are not known drop out.

    {'count', 'square', 'fourth'} of first differences, {'second_count', 'second_square', 'second_cube'} of second ones.
    """
    values = np.where(known, fields, np.nan).astype(np.float64)
    sums = [_sums(values, lag) for lag in LAGS]
    return {name: np.array([of_lag[name] for of_lag in sums]) for name in sums[0]}


def _sums(values: np.ndarray, lag: int) -> dict[str, float]:
    first, second = [], []
    for along in (values, values.swapaxes(-1, -2)):
        step = along[..., lag:] - along[..., :-lag]
        bend = step[..., lag:] - step[..., :-lag]
        first.append(step[np.isfinite(step)])
        second.append(bend[np.isfinite(bend)])
    one, two = np.concatenate(first), np.concatenate(second)
    square, second_square = one * one, two * two
    return {
        'count': float(one.size),
        'square': square.sum(),
        'fourth': square @ square,
        'second_count': float(two.size),
        'second_square': second_square.sum(),
        'second_cube': second_square @ two,
    }


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'kurtosis': [..., L], 'skewness': [..., L]}, NaN where all increments vanish."""
    variance = ratio(sums['square'], sums['count'])
    second_variance = ratio(sums['second_square'], sums['second_count'])
    return {
        'kurtosis': ratio(ratio(sums['fourth'], sums['count']), variance**2),
        'skewness': ratio(ratio(sums['second_cube'], sums['second_count']), second_variance**1.5),
    }
