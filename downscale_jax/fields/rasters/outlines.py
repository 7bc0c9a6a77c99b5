"""Glacier outlines as rasters, rasters as outlines, and geographic folds of glaciers."""

from typing import TYPE_CHECKING

import numpy as np

from downscale_jax.fields.rasters.grid import RasterGrid

if TYPE_CHECKING:
    import geopandas


def rasterised(outlines: 'geopandas.GeoDataFrame', grid: RasterGrid) -> np.ndarray:
    """Number of the glacier whose outline holds the centre of each cell, from 1 in the order of `outlines`; 0: none.

    int32 (y, x). Where outlines overlap, the smallest glacier counts.
    """
    from rasterio.features import rasterize

    numbers = np.argsort(-outlines.geometry.area.values, kind='stable')
    shapes = [(outlines.geometry.iloc[i], int(i) + 1) for i in numbers]
    return rasterize(shapes, grid.shape, fill=0, transform=grid.transform, dtype='int32')


def vectorised(glacier: np.ndarray, grid: RasterGrid) -> 'geopandas.GeoDataFrame':
    """Outlines of the glaciers numbered in `glacier` (y, x), in this order, with `id` and `area_km2`."""
    import geopandas
    from rasterio.features import shapes
    from shapely.geometry import shape

    parts = [
        {'number': int(number), 'geometry': shape(polygon)}
        for polygon, number in shapes(glacier.astype(np.int32), glacier > 0, transform=grid.transform)
    ]
    frame = geopandas.GeoDataFrame(parts, columns=['number', 'geometry'], geometry='geometry', crs=grid.crs)
    frame = frame.dissolve('number').sort_index()
    frame['id'] = [f'{number:05d}' for number in frame.index]
    frame['area_km2'] = frame.geometry.area / 1e6
    return frame.reset_index(drop=True)


def folds(longitude: np.ndarray, area: np.ndarray, count: int) -> np.ndarray:
    """Fold [N] of each glacier, from 0 in the west: `count` intervals of longitude with equal area of ice."""
    order = np.argsort(longitude, kind='stable')
    middle = np.cumsum(area[order]) - area[order] / 2
    fold = np.empty(len(area), int)
    fold[order] = np.minimum((middle / area.sum() * count).astype(int), count - 1)
    return fold


def nearest(glacier: np.ndarray) -> np.ndarray:
    """Number of the nearest glacier of each cell, (y, x), its own inside of an outline."""
    from scipy.ndimage import distance_transform_edt

    index = distance_transform_edt(glacier == 0, return_distances=False, return_indices=True)
    return glacier[tuple(index)]
