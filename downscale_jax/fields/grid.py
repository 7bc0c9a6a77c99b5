"""Grids: cell sizes, mask-aware box filter, the observation's image of a field.

Arrays are NumPy [..., H, W] with rows along y or latitude; sums run in float64. A grid is a canonical data set
(`store.canonical`): x, y in metres, or lat, lon in degrees, or 2-D lat, lon on a curvilinear grid.
"""

import functools

import numpy as np
import xarray as xr

from downscale_jax.fields.interpolation import (
    Matrices,
    apply_matrices,
    common,
    full_circle,
    interpolate,
    linear_matrix,
    unit_vectors,
)
from downscale_jax.runtime.errors import UserError

EARTH_RADIUS_KM = 6371.0


def cell_sizes_km(grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(dy [H], dx [H]) in km, row by row; on a curvilinear grid the median of each row."""
    if 'x' in grid.coords and 'y' in grid.coords:
        dy, dx = (float(np.median(np.abs(np.diff(grid[name].values)))) / 1000 for name in ('y', 'x'))
        return np.full(grid.sizes['y'], dy), np.full(grid.sizes['y'], dx)
    if 'lat' not in grid.coords or 'lon' not in grid.coords:
        raise UserError(f'the grid has neither x, y nor lat, lon coordinates, found {sorted(map(str, grid.coords))}')
    if grid['lat'].ndim == 1:
        degree = EARTH_RADIUS_KM * np.pi / 180
        lat, lon = grid['lat'].values.astype(float), grid['lon'].values.astype(float)
        dy = np.median(np.abs(np.diff(lat))) * degree
        dx = np.median(np.abs(np.diff(lon))) * degree * np.cos(np.deg2rad(lat))
        # a row at the pole has no width: it gets that of a row a quarter of a cell away
        return np.full(lat.size, dy), np.maximum(dx, dx.max() * np.sin(np.deg2rad(np.median(np.abs(np.diff(lat))) / 4)))
    points = unit_vectors(grid['lat'].values, grid['lon'].values)
    down = EARTH_RADIUS_KM * np.median(np.linalg.norm(np.diff(points, axis=0), axis=-1), axis=1)
    across = EARTH_RADIUS_KM * np.median(np.linalg.norm(np.diff(points, axis=1), axis=-1), axis=1)
    return np.append(down, down[-1]), across


def cell_areas_km2(grid: xr.Dataset) -> np.ndarray:
    """[H, W], the same along a row."""
    dy, dx = cell_sizes_km(grid)
    width = grid[next(iter(grid.data_vars))].shape[-1] if grid.data_vars else grid['lon'].shape[-1]
    return np.repeat((dy * dx)[:, None], width, 1)


def valid_area(grid: xr.Dataset) -> np.ndarray:
    """[H, W] float32, km2: of the cells where `mask` is not zero, 0 elsewhere."""
    area = grid['cell_area'].values if 'cell_area' in grid else cell_areas_km2(grid)
    return np.where(grid['mask'].values > 0, area, 0).astype(np.float32)


def is_periodic(grid: xr.Dataset) -> bool:
    """True where the last column is the neighbour of the first, across the date line."""
    return 'lon' in grid.coords and grid['lon'].ndim == 1 and full_circle(grid['lon'].values)


def box_weights(width: float) -> np.ndarray:
    """Weights of a centred box `width` cells wide: an odd number of taps, the ends weighing what they overlap.

    30 cells: 31 taps with half-weight ends, since 30 full ones would shift the field by half a cell.
    """
    half = max(width - 1, 0) / 2
    ends = half - np.floor(half)
    inner = np.ones(2 * int(np.floor(half)) + 1)
    return np.concatenate([[ends], inner, [ends]]) if ends > 1e-9 else inner


def box_filter(field: np.ndarray, weight: np.ndarray, widths_y: float, widths_x: np.ndarray, periodic: bool):
    """Mean over a box around each cell, by `weight` (cell area, zero where invalid): filter(f w) / filter(w).

    field, weight [..., H, W]; widths in cells, in x row by row [H]. Land neither gives nor takes: its weight is zero,
    and the result is NaN where the weight is zero or the field missing.
    """
    valid = (weight > 0) & np.isfinite(field)
    shared = common(valid)
    weight = np.where(shared, weight, 0.0).astype(np.float64)
    total = _box_sum(np.where(valid, field, 0.0) * weight, widths_y, widths_x, periodic)
    norm = _box_sum(weight, widths_y, widths_x, periodic)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(valid, total / norm, np.nan)


def _box_sum(x: np.ndarray, width_y: float, widths_x: np.ndarray, periodic: bool) -> np.ndarray:
    # rows of one width are summed together: a projected grid has a single one
    limited = np.minimum(np.round(widths_x, 3), x.shape[-1])
    along_x = np.empty(x.shape)
    for width in np.unique(limited):
        rows = limited == width
        along_x[..., rows, :] = _running_sum(x[..., rows, :], width, -1, periodic)
    return _running_sum(along_x, min(width_y, x.shape[-2]), -2, False)


def _running_sum(x: np.ndarray, width: float, axis: int, periodic: bool) -> np.ndarray:
    """Sum under `box_weights(width)` along an axis, by cumulative sums: independent of the width."""
    taps = box_weights(width)
    reach, end = taps.size // 2, taps[0] if taps[0] < 1 else 0.0
    inner = reach - 1 if end else reach
    x = np.moveaxis(x, axis, -1)
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)], mode='wrap' if periodic else 'constant')
    sums = np.pad(x.cumsum(-1), [(0, 0)] * (x.ndim - 1) + [(1, 0)])
    n, skip = x.shape[-1] - 2 * reach, reach - inner
    result = sums[..., skip + 2 * inner + 1 :][..., :n] - sums[..., skip:][..., :n]
    if end:
        result = result + end * (x[..., :n] + x[..., 2 * reach :])
    return np.moveaxis(result, -1, axis)


def observe(
    field: np.ndarray,
    weight: np.ndarray,
    sizes_km: tuple[np.ndarray, np.ndarray],
    kernel_km: float,
    spacing_km: float,
    noise: np.ndarray | None,
    periodic: bool,
) -> np.ndarray:
    """The observation's image of a fine field, on the fine grid: filtered, sampled, interpolated back.

    field, weight [..., H, W]; sizes_km from `cell_sizes_km`; `noise`: standard normals times the observation error,
    on the observation's grid [..., H', W'] (`observation_shape`), or None. spacing_km = 0 skips the sampling: the
    published form, nearly invertible by deconvolution, which no observation would allow.
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
    there, back = observation_matrices(field.shape[-2:], sizes_km, spacing_km, periodic)
    valid = np.isfinite(smooth)
    amount = apply_matrices(*there, common(valid).astype(np.float64))
    with np.errstate(invalid='ignore', divide='ignore'):
        # an observation stands where more than half of what it samples is there: none on land
        seen = np.where(amount > 0.5, apply_matrices(*there, np.where(valid, smooth, 0.0)) / amount, np.nan)
    if noise is not None:
        seen = seen + noise
    return np.where(weight > 0, interpolate(functools.partial(apply_matrices, *back), seen, periodic), np.nan)


def observation_points(cells: int, spacing: float) -> np.ndarray:
    """Centres of the observation's cells in fine cells, the first half a spacing from the edge."""
    count = max(int(np.ceil(cells / spacing - 1e-9)), 1)
    return np.clip((np.arange(count) + 0.5) * spacing - 0.5, 0, cells - 1)


def observation_shape(shape: tuple[int, int], sizes_km: tuple, spacing_km: float) -> tuple[int, int]:
    """(H', W') of the observation's grid; the fine grid's own where spacing_km = 0."""
    if not spacing_km:
        return shape
    h, w = (
        observation_points(n, spacing_km / float(np.median(size))).size for n, size in zip(shape, sizes_km, strict=True)
    )
    return h, w


def observation_matrices(
    shape: tuple[int, ...], sizes_km: tuple[np.ndarray, np.ndarray], spacing_km: float, periodic: bool
) -> tuple[Matrices, Matrices]:
    """(fine grid -> observation's grid, back), a matrix along y and one along x each."""
    pairs = []
    for n, size, period in zip(shape, sizes_km, (0.0, shape[1] if periodic else 0.0), strict=True):
        fine, points = np.arange(n, dtype=float), observation_points(n, spacing_km / float(np.median(size)))
        pairs.append((linear_matrix(fine, points, period), linear_matrix(points, fine, period)))
    (y_there, y_back), (x_there, x_back) = pairs
    return (y_there, x_there), (y_back, x_back)
