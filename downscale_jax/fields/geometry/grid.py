"""Geometry of a grid: sizes and areas of its cells, and whether it is periodic.

A grid is a canonical data set (`datasets.canonical`): x, y in metres, or lat, lon in degrees, or 2-D lat, lon on a
curvilinear grid. Arrays are NumPy [..., H, W] with rows along y or latitude.
"""

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.interpolation import full_circle, unit_vectors
from downscale_jax.runtime.errors import UserError

EARTH_RADIUS_KM = 6371.0


def cell_sizes_km(grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(dy [H], dx [H]) in km of each row; on a curvilinear grid its median."""
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
    """[H, W], constant along each row."""
    dy, dx = cell_sizes_km(grid)
    width = grid[next(iter(grid.data_vars))].shape[-1] if grid.data_vars else grid['lon'].shape[-1]
    return np.repeat((dy * dx)[:, None], width, 1)


def valid_area(grid: xr.Dataset) -> np.ndarray:
    """[H, W] float32, km2: the area of cells where `mask` is not zero, 0 elsewhere."""
    area = grid['cell_area'].values if 'cell_area' in grid else cell_areas_km2(grid)
    return np.where(grid['mask'].values > 0, area, 0).astype(np.float32)


def is_periodic(grid: xr.Dataset) -> bool:
    """True where the last column is the neighbour of the first, across the date line."""
    return 'lon' in grid.coords and grid['lon'].ndim == 1 and full_circle(grid['lon'].values)
