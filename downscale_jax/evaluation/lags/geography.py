"""Places of patches on the globe: centres, bands of latitude, and a map of errors."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.evaluation.drawing import frame

BAND = 20  # degrees of latitude
CELLS = (6, 12)  # rows and columns of the map of errors
FEWEST = 3  # pairs in a cell of the map


class Places(NamedTuple):
    """Latitude and longitude (0 to 360) [N], in degrees."""

    latitude: np.ndarray
    longitude: np.ndarray


class ErrorMap(NamedTuple):
    """Means on coarse cells [R, C], south first, and where they lie: (west, east, south, north)."""

    values: np.ndarray
    extent: np.ndarray
    axes: tuple[str, str]  # names of x and y


def centres(statics: xr.Dataset, row: np.ndarray, column: np.ndarray, patch: int) -> Places | None:
    """Centres of patches that start at these cells; None on a grid without latitudes and longitudes."""
    if 'lat' not in statics.coords or 'lon' not in statics.coords:
        return None
    lat, lon = statics['lat'].values, statics['lon'].values
    if lat.ndim == 1:
        height, width = lat.size, lon.size
        middle = row + (patch - 1) / 2
        east = lon[(column + patch // 2) % width]
        return Places(np.interp(middle, np.arange(height), lat), east % 360)
    rows, columns = row + patch // 2, (column + patch // 2) % lat.shape[1]
    return Places(lat[rows, columns], lon[rows, columns] % 360)


def bands(latitude: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(name of the band of each latitude [N], all names from the north)."""
    edges = range(90 - BAND, -91, -BAND)
    names = [f'{frame.latitude(edge)} to {frame.latitude(edge + BAND)}' for edge in edges]
    index = np.clip((90 - latitude) // BAND, 0, len(names) - 1).astype(int)
    return np.array(names)[index], names


def error_map(error: np.ndarray, places: Places | None, row: np.ndarray, column: np.ndarray) -> ErrorMap:
    """Mean error of the patches whose centre lies in each coarse cell, NaN for fewer than FEWEST; without places by
    their first cell."""
    x, y = (column, row) if places is None else (places.longitude, places.latitude)
    cells = [count if np.ptp(values) else 1 for count, values in zip(CELLS, (y, x), strict=True)]
    counts, ys, xs = np.histogram2d(y, x, cells)
    total = np.histogram2d(y, x, cells, weights=error)[0]
    return ErrorMap(
        np.where(counts >= FEWEST, total / np.maximum(counts, 1), np.nan),
        np.array([xs[0], xs[-1], ys[0], ys[-1]]),
        ('column', 'row') if places is None else ('longitude (°E)', 'latitude (°N)'),
    )
