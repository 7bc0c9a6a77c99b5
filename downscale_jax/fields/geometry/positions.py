"""Positions of the cells of a grid: on the sphere, in the plane of a projection, and of the blocks that they form."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.blocks import block_centres, block_mean
from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM
from downscale_jax.fields.geometry.interpolation import unit_vectors


class Positions(NamedTuple):
    """Centres of cells [H, W, 2] in a plane or [H, W, 3] on the sphere, in km, and their coordinates in words."""

    km: np.ndarray
    words: str  # format of y and x, or latitude and longitude
    coordinates: tuple[np.ndarray, np.ndarray]  # [H, W] each

    def at(self, row: int, column: int) -> str:
        """The coordinates of a cell in words."""
        y, x = (plane[row, column] for plane in self.coordinates)
        return self.words.format(y, x)


Frame = Callable[[xr.Dataset, int], list[Positions]]


def on_the_sphere(grid: xr.Dataset, factor: int = 1) -> list[Positions]:
    """Positions of the blocks of `factor` x `factor` cells; none where the grid has no latitudes and longitudes.

    Two where blocks have no single centre, on a curvilinear grid: the mean of the cells on the sphere, and that of
    their latitudes and longitudes, which is what most programs write beside block means.
    """
    return _spherical(grid, ('lat', 'lon'), factor, '{:.6g} N, {:.6g} E')


def in_rotated_degrees(grid: xr.Dataset, factor: int = 1) -> list[Positions]:
    """As `on_the_sphere`, about the rotated pole, wherever it is."""
    return _spherical(grid, ('rlat', 'rlon'), factor, 'rlat {:.6g}, rlon {:.6g}')


def in_the_plane(grid: xr.Dataset, factor: int = 1) -> list[Positions]:
    """Positions in the plane of the projection of the grid; none where it has no x, y."""
    if not {'y', 'x'} <= set(grid.coords):
        return []
    y, x = np.meshgrid(*(block_centres(grid[n].values, factor, False) / 1000 for n in 'yx'), indexing='ij')
    return [Positions(np.stack([y, x], -1), 'y = {:.6g} km, x = {:.6g} km', (y, x))]


def _spherical(grid: xr.Dataset, names: tuple[str, str], factor: int, words: str) -> list[Positions]:
    if not set(names) <= set(grid.coords):
        return []
    lat, lon = (grid[name].values.astype(float) for name in names)
    if not (np.isfinite(lat).any() and np.isfinite(lon).any()):
        return []
    if lat.ndim == 1:
        lat, lon = np.meshgrid(block_centres(lat, factor, False), block_centres(lon, factor, True), indexing='ij')
        return [Positions(EARTH_RADIUS_KM * unit_vectors(lat, lon), words, (lat, lon))]
    means = block_mean(unit_vectors(lat, lon), factor)
    points = means / np.linalg.norm(means, axis=-1, keepdims=True)
    plain = tuple(block_mean(plane[..., None], factor)[..., 0] for plane in (lat, lon))
    both = [(points, degrees(points)), (unit_vectors(*plain), plain)] if factor > 1 else [(points, (lat, lon))]
    return [Positions(EARTH_RADIUS_KM * km, words, (north, east)) for km, (north, east) in both]


def degrees(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points on the unit sphere [..., 3] -> (latitude, longitude) [...], the inverse of `unit_vectors`."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x))


def block_coordinates(grid: xr.Dataset, factor: int) -> dict[str, tuple]:
    """{name: (dimensions, values, attributes)} of the blocks of `factor` x `factor` cells, without bounds."""
    coords: dict[str, tuple] = {}
    for name, coordinate in grid.coords.items():
        attributes = {key: text for key, text in coordinate.attrs.items() if key != 'bounds'}
        if coordinate.ndim == 0:
            coords[str(name)] = ((), coordinate.values, attributes)
        elif coordinate.ndim == 1 and name in ('lat', 'lon', 'y', 'x', 'rlat', 'rlon'):
            centres = block_centres(coordinate.values, factor, name in ('lon', 'rlon'))
            coords[str(name)] = (coordinate.dims, centres, attributes)
        elif coordinate.ndim == 2 and name in ('lat', 'lon') and (places := on_the_sphere(grid, factor)):
            coords[str(name)] = (coordinate.dims, places[0].coordinates[name == 'lon'], attributes)
    return coords
