"""Distribution of values over a whole domain: percentiles, bias maps, total variation, errors by time.

Weights are cell areas, 0 where no field exists, all [H, W]. Where the truth is missing at a time, no method is scored.
"""

import numpy as np
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.members import require_finite
from downscale_jax.fields.geometry.grid import cell_sizes_km, is_periodic

PERCENTILES = (2.0, 9.0, 25.0, 50.0, 75.0, 91.0, 98.0)  # at normal values about -2, -4/3, -2/3, 0, 2/3, 4/3, 2 sigma


def choose_cells(weight: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Flat indices [K] of the cells whose values are kept for percentiles, in order: all with a weight where they are
    at most `count`, else `count` of them at random, all equally likely. Choose once for all times and methods.

    Percentiles of all cells are exact; those of K random cells are estimates, with similar errors for similar
    methods. Times x K values must fit into memory.
    """
    cells = np.flatnonzero(weight > 0)
    if cells.size <= count:
        return cells
    return np.sort(np.random.default_rng(seed).choice(cells, count, replace=False))


def percentiles(values: np.ndarray, weight: np.ndarray, levels: tuple[float, ...] = PERCENTILES) -> np.ndarray:
    """Weighted percentiles [L] of values [..., K] over all axes; weight [K] of their cells. NaN values do not count.

    The smallest value below or at which lie `level` percent of the weight, so it is one of the values; NaN without any.
    """
    x, w = values.ravel(), np.broadcast_to(weight, values.shape).ravel()
    known = np.isfinite(x)
    x, w = x[known], w[known].astype(np.float64)
    if not x.size:
        return np.full(len(levels), np.nan)
    return np.percentile(x, levels, weights=w, method='inverted_cdf').astype(np.float64)


def map_sums(field: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """What one time adds to the bias maps, float64 [H, W]: times, values and their squares.

    The maps of many times do not fit into memory: keep a running sum, `sums = bootstrap.total([sums, map_sums(field,
    truth)])`. Raises ValueError where the field is not finite and the truth is.
    """
    valid = np.isfinite(truth)
    require_finite(field, valid)
    x, y = (np.where(valid, values, 0).astype(np.float64) for values in (field, truth))
    return {
        'times': valid.astype(np.float64),
        'field': x,
        'field_square': np.square(x),
        'truth': y,
        'truth_square': np.square(y),
    }


def bias_maps(sums: Sums) -> dict[str, np.ndarray]:
    """{'mean', 'standard_deviation'} over time, of the field minus of the truth [..., H, W]; NaN without any time.

    The standard deviation divides by the number of times.
    """
    means, deviations = {}, {}
    for name in ('field', 'truth'):
        means[name] = ratio(sums[name], sums['times'])
        # rounding may leave a constant cell a variance a little below zero
        variance = ratio(sums[f'{name}_square'], sums['times']) - means[name] ** 2
        deviations[name] = np.sqrt(np.maximum(variance, 0))
    return {
        'mean': means['field'] - means['truth'],
        'standard_deviation': deviations['field'] - deviations['truth'],
    }


def gradient(field: np.ndarray, grid: xr.Dataset) -> np.ndarray:
    """|gradient| [..., H, W] of a field, in its unit per km, by forward differences.

    sqrt((df/dx)^2 + (df/dy)^2), sizes of cells from `cell_sizes_km`. Across the date line where the grid is periodic;
    the last row, and the last column elsewhere, take the difference before them, so that no cell is lost.
    """
    field = field.astype(np.float64)
    dy, dx = cell_sizes_km(grid)
    down = np.diff(field, axis=-2)
    down = np.concatenate([down, down[..., -1:, :]], -2)
    if is_periodic(grid):
        across = np.roll(field, -1, -1) - field
    else:
        across = np.diff(field, axis=-1)
        across = np.concatenate([across, across[..., -1:]], -1)
    return np.hypot(down / dy[:, None], across / dx[:, None])


def frame_sums(field: np.ndarray, truth: np.ndarray, weight: np.ndarray, grid: xr.Dataset) -> dict[str, np.ndarray]:
    """Weighted sums of one time, float64 numbers: squared error, |gradient| of the field and of the truth.

    A gradient counts where field and truth have one. Raises ValueError where the field is not finite and the truth is.
    """
    counted = np.isfinite(truth) & (weight > 0)
    require_finite(field, counted)
    steepness, expected = gradient(np.where(counted, field, np.nan), grid), gradient(truth, grid)
    sloped = np.isfinite(steepness) & np.isfinite(expected) & (weight > 0)
    weights, slope_weights = weight[counted].astype(np.float64), weight[sloped].astype(np.float64)
    return {
        'weight': weights.sum(),
        'squared_error': np.square(field[counted].astype(np.float64) - truth[counted]) @ weights,
        'gradient': steepness[sloped] @ slope_weights,
        'gradient_truth': expected[sloped] @ slope_weights,
    }


def frame_scores(sums: Sums) -> dict[str, np.ndarray]:
    """`mse` and `total_variation` [...] from sums of one time, of many side by side, or of all together.

    Total variation is the mean |gradient| of the field over that of the truth, minus 1: -1 for a constant field.
    """
    return {
        'mse': ratio(sums['squared_error'], sums['weight']),
        'total_variation': ratio(sums['gradient'], sums['gradient_truth']) - 1,
    }
