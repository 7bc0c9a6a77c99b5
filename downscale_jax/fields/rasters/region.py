"""`Region`: scenes, elevation and glacier outlines on one grid."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from downscale_jax.fields.rasters.grid import RasterGrid

if TYPE_CHECKING:
    import geopandas

ELEVATION, SLOPE = 'elevation', 'slope'  # the last inputs of the network, after the bands
CLOUDY = 0.4  # probability from which a cell counts as cloud, as in s2cloudless


class Scene(NamedTuple):
    """A satellite image, read when it is needed."""

    name: str
    date: np.datetime64  # day
    read: Callable[[], np.ndarray]  # reflectance (y, x, band) float32, NaN without data
    cloud: Callable[[], np.ndarray]  # probability of cloud (y, x) float32

    def valid(self) -> np.ndarray:
        """Cells with data and without cloud, bool (y, x)."""
        return clear(self.read(), self.cloud())


class Region(NamedTuple):
    """All that is known of a region.

    outlines: polygons of glaciers in the coordinates of the grid, with the columns `id` and `area_km2`.
    """

    grid: RasterGrid
    bands: tuple[str, ...]
    elevation: np.ndarray  # m, (y, x)
    outlines: 'geopandas.GeoDataFrame'
    scenes: Sequence[Scene]
    truth: 'Truth | None' = None


class Truth(NamedTuple):
    """What only a simulation knows."""

    ice: dict[int, np.ndarray]  # by year: bool (y, x)
    debris: np.ndarray  # share of debris on the ice in the first year, (y, x)


def relief(elevation: np.ndarray, cell: float) -> np.ndarray:
    """Elevation [m] and slope [m/m] on cells of `cell` metres, (y, x, 2) float32."""
    slope = np.hypot(*np.gradient(elevation, cell))
    return np.stack([elevation, slope], -1).astype(np.float32)


def clear(image: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Cells of an image (y, x, band) with data and without cloud, bool (y, x)."""
    return np.isfinite(image).all(-1) & (cloud < CLOUDY)
