"""Geometry of a grid: sizes and areas of its cells, and whether it is periodic.

A grid is a canonical data set (`datasets.canonical`): x, y in metres, or lat, lon in degrees, or rlat, rlon in rotated
degrees, or 2-D lat, lon on a curvilinear grid. Arrays are NumPy [..., H, W] with rows along y or latitude.
"""

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.interpolation import full_circle, unit_vectors
from downscale_jax.runtime.errors import UserError

EARTH_RADIUS_KM = 6371.0
KM_PER_DEGREE = EARTH_RADIUS_KM * np.pi / 180
UNEVEN = 4e-3  # largest difference of steps, relative to a step, that rounding to float32 explains


def cell_sizes_km(grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(dy [H], dx [H]) in km of each row; on a curvilinear grid its median.

    Raises UserError for a grid without coordinates, or with 2-D ones of a single row or column.
    """
    axes = axes_of(grid)
    if axes == ('y', 'x'):
        dy, dx = (steps(grid[name].values) / 1000 for name in axes)
        return dy, np.full(dy.size, np.median(dx))
    if axes:
        lat = grid[axes[0]].values.astype(float)
        dy, dlon = steps(lat), float(np.median(steps(grid[axes[1]].values)))
        dx = dlon * KM_PER_DEGREE * np.cos(np.deg2rad(lat))
        # a row at the pole has no width: it gets that of a row a quarter of a cell away
        return dy * KM_PER_DEGREE, np.fmax(dx, dx.max() * np.sin(np.deg2rad(np.median(dy) / 4)))
    if not _has_planes(grid):
        raise UserError(f'the grid has neither x, y nor lat, lon coordinates, found {sorted(map(str, grid.coords))}')
    if min(grid['lat'].shape) < 2:
        raise UserError(f'a grid with 2-D lat and lon needs at least 2 x 2 cells, found {grid["lat"].shape}')
    points = unit_vectors(grid['lat'].values, grid['lon'].values)
    down, across = (EARTH_RADIUS_KM * np.linalg.norm(np.diff(points, axis=i), axis=-1) for i in (0, 1))
    down, across = (_medians(size) for size in (down, across))
    return np.append(down, down[-1]), across


def cell_size_km(grid: xr.Dataset) -> float:
    """Typical cell size in km: square root of median height times median width; for a single row or column the other
    size, NaN for a single cell. Raises as `cell_sizes_km`."""
    sizes = np.array([np.median(size) for size in cell_sizes_km(grid)])
    known = sizes[np.isfinite(sizes)]
    return float(np.sqrt(known.max() * known.min())) if known.size else np.nan


def _medians(sizes: np.ndarray) -> np.ndarray:
    """The median [H] of each row of sizes [H, W]; of all sizes where those of a row are missing."""
    known = np.isfinite(sizes).any(1)
    result = np.full(len(sizes), np.nanmedian(sizes))
    result[known] = np.nanmedian(sizes[known], axis=1)
    return result


def _has_planes(grid: xr.Dataset) -> bool:
    return all(name in grid.coords and grid[name].ndim == 2 for name in ('lat', 'lon'))


def axes_of(grid: xr.Dataset) -> tuple[str, str] | None:
    """The names of the 1-D coordinates along which sizes of cells are known, in order of preference; None without."""
    pairs = (('y', 'x'), ('rlat', 'rlon'), ('lat', 'lon'))
    return next((pair for pair in pairs if all(n in grid.coords and grid[n].ndim == 1 for n in pair)), None)


def steps(axis: np.ndarray) -> np.ndarray:
    """Sizes [n] of the cells along an axis: the median where they are equal but for rounding."""
    if axis.size < 2:
        return np.full(axis.size, np.nan)
    widths = np.abs(np.diff(axis.astype(float)))
    if np.ptp(widths) <= UNEVEN * np.median(widths):
        return np.full(axis.size, np.median(widths))
    return np.abs(np.gradient(axis.astype(float)))


def cell_areas_km2(grid: xr.Dataset) -> np.ndarray:
    """[H, W] on the sphere: by the steps of rotated degrees; by the bounds of 2-D latitudes and longitudes, or else
    corners midway between them; or by the steps of the axes.

    Raises UserError for a grid without coordinates, and where a cell of `mask` has no position.
    """
    (dy, dx), axes = cell_sizes_km(grid), axes_of(grid)
    width = steps(grid[axes[1]].values) if axes else np.ones(grid['lon'].shape[1])
    area = (dy * dx)[:, None] * (width / np.median(width))
    if _has_planes(grid) and axes != ('rlat', 'rlon'):
        points = unit_vectors(grid['lat'].values, grid['lon'].values)
        exact = _areas_of_corners(_midpoints(_beside_gaps(points)))
        exact = np.where(np.isfinite(points).all(-1), exact, np.nan)
        area = np.where(np.isfinite(exact), exact, area if axes else np.nan)
        if 'lat_bnds' in grid.coords and 'lon_bnds' in grid.coords:
            bounded = _areas_of_corners(unit_vectors(grid['lat_bnds'].values, grid['lon_bnds'].values))
            # files of CORDEX are in circulation whose last column has corners thousands of km away
            area = np.where(np.abs(bounded - exact) < 0.2 * exact, bounded, area)
    missing = ~np.isfinite(area) & (grid['mask'].values > 0 if 'mask' in grid else False)
    if missing.any():
        raise UserError(
            f'{missing.sum()} of {missing.size} cells have no latitude and longitude, but lie within the mask: fill '
            'the coordinates, or leave the cells out by data.mask'
        )
    return np.nan_to_num(area)


def _beside_gaps(points: np.ndarray) -> np.ndarray:
    """Points [H, W, 3] with missing ones beside others, which corners of cells need, extrapolated along the grid."""
    for _ in range(2):  # neighbours along the axes, then those across
        for axis, towards in ((0, 1), (0, -1), (1, 1), (1, -1)):
            rows = np.moveaxis(points, axis, 0)[::towards]
            guess = np.full_like(rows, np.nan)
            guess[2:] = 2 * rows[1:-1] - rows[:-2]
            points = np.where(np.isnan(points), np.moveaxis(guess[::towards], 0, axis), points)
    return points


def _midpoints(points: np.ndarray) -> np.ndarray:
    """Corners of the cells [H, W, 4, 3] midway between their centres [H, W, 3] on the unit sphere."""
    for axis in (0, 1):  # a further row and column on each side, as far away as those within
        points = np.moveaxis(points, axis, 0)
        points = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
        points = np.moveaxis(points, 0, axis)
    means = points[1:, 1:] + points[1:, :-1] + points[:-1, 1:] + points[:-1, :-1]
    means = means / np.linalg.norm(means, axis=-1, keepdims=True)
    return np.stack([means[:-1, :-1], means[:-1, 1:], means[1:, 1:], means[1:, :-1]], 2)


def _areas_of_corners(corners: np.ndarray) -> np.ndarray:
    """[...] km2 of convex polygons [..., corners, 3] on the unit sphere: the excess E of a fan of triangles,
    tan(E / 2) = |a . b x c| / (1 + a . b + b . c + c . a), Van Oosterom and Strackee (1983)."""
    a = corners[..., :1, :]
    b, c = corners[..., 1:-1, :], corners[..., 2:, :]
    volume = np.abs((a * np.cross(b, c)).sum(-1))
    excess = 2 * np.arctan2(volume, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1))
    return EARTH_RADIUS_KM**2 * excess.sum(-1)


def valid_area(grid: xr.Dataset) -> np.ndarray:
    """[H, W] float32, km2: the area of cells where `mask` is not zero, 0 elsewhere."""
    area = grid['cell_area'].values if 'cell_area' in grid else cell_areas_km2(grid)
    return np.where(grid['mask'].values > 0, area, 0).astype(np.float32)


def is_periodic(grid: xr.Dataset) -> bool:
    """True where the last column is the neighbour of the first, across the date line."""
    return 'lon' in grid.coords and grid['lon'].ndim == 1 and full_circle(grid['lon'].values)
