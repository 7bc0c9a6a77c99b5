"""The observation operator: a fine field filtered to the footprint of an instrument, sampled and interpolated back."""

import functools

import numpy as np

from downscale_jax.fields.geometry.boxes import box_filter
from downscale_jax.fields.geometry.interpolation import Matrices, apply_matrices, common, interpolate, linear_matrix
from downscale_jax.runtime.errors import UserError


def observe(
    field: np.ndarray,
    weight: np.ndarray,
    sizes_km: tuple[np.ndarray, np.ndarray],
    kernel_km: float,
    spacing_km: float,
    noise: np.ndarray | None,
    periodic: bool,
) -> np.ndarray:
    """A fine field as an instrument would observe it, on the fine grid: filtered, sampled, interpolated back.

    field, weight [..., H, W]; sizes_km from `cell_sizes_km`; `noise`: observation errors on the grid of the observation
    [..., H', W'] (`observation_shape`), or None. spacing_km = 0 skips the sampling: the published form, which unlike
    any observation is nearly invertible by deconvolution.
    """
    dy, dx = float(np.median(sizes_km[0])), sizes_km[1]
    if kernel_km < max(dy, float(np.median(dx))):
        raise UserError(
            f'kernel of {kernel_km:g} km is smaller than a cell of {max(dy, float(np.median(dx))):.3g} km: '
            'choose data.kernel_km of several cells'
        )
    smooth = box_filter(field, weight, kernel_km / dy, kernel_km / dx, periodic)
    if not spacing_km:
        return smooth if noise is None else smooth + noise
    to_observation, to_fine = observation_matrices(field.shape[-2:], sizes_km, spacing_km, periodic)
    valid = np.isfinite(smooth)
    amount = apply_matrices(*to_observation, common(valid).astype(np.float64))
    with np.errstate(invalid='ignore', divide='ignore'):
        # an observation exists where more than half of its footprint is valid: none on land
        observed = np.where(
            amount > 0.5, apply_matrices(*to_observation, np.where(valid, smooth, 0.0)) / amount, np.nan
        )
    if noise is not None:
        observed = observed + noise
    return np.where(weight > 0, interpolate(functools.partial(apply_matrices, *to_fine), observed, periodic), np.nan)


def observation_points(cells: int, spacing: float) -> np.ndarray:
    """Centres of the observation's cells in units of fine cells, the first half a spacing from the edge."""
    count = max(int(np.ceil(cells / spacing - 1e-9)), 1)
    return np.clip((np.arange(count) + 0.5) * spacing - 0.5, 0, cells - 1)


def observation_shape(shape: tuple[int, int], sizes_km: tuple, spacing_km: float) -> tuple[int, int]:
    """(H', W') of the observation's grid; that of the fine grid where spacing_km = 0."""
    if not spacing_km:
        return shape
    h, w = (
        observation_points(n, spacing_km / float(np.median(size))).size for n, size in zip(shape, sizes_km, strict=True)
    )
    return h, w


def observation_matrices(
    shape: tuple[int, ...], sizes_km: tuple[np.ndarray, np.ndarray], spacing_km: float, periodic: bool
) -> tuple[Matrices, Matrices]:
    """(fine grid -> observation's grid, the way back), each a matrix along y and one along x."""
    axes = []
    for n, size, period in zip(shape, sizes_km, (0.0, shape[1] if periodic else 0.0), strict=True):
        fine, points = np.arange(n, dtype=float), observation_points(n, spacing_km / float(np.median(size)))
        axes.append((linear_matrix(fine, points, period), linear_matrix(points, fine, period)))
    (y_to, y_from), (x_to, x_from) = axes
    return (y_to, x_to), (y_from, x_from)
