"""Glacier outlines as rasters, rasters as outlines, and geographic folds of glaciers."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import first_line

if TYPE_CHECKING:
    import geopandas


IDENTIFIERS = ('rgi_id', 'RGIId', 'id', 'GLIMSId')
AREAS = ('area_km2', 'Area')


def read_outlines(path: str) -> 'geopandas.GeoDataFrame':
    """Outlines of a shapefile, GeoPackage, or any other file that GDAL reads. Raises UserError where it cannot be
    read or holds no polygon."""
    import geopandas

    if not Path(path).exists():
        raise UserError(f'{path}: no such file')
    try:
        frame = geopandas.read_file(path)
    except Exception as error:  # GDAL raises many kinds
        raise UserError(f'{path} cannot be read as outlines ({first_line(error)}): check the file') from error
    kinds = set(frame.geom_type.dropna()) if isinstance(frame, geopandas.GeoDataFrame) else set()
    if not kinds & {'Polygon', 'MultiPolygon'}:
        raise UserError(f'{path} holds no polygon, only {", ".join(sorted(kinds)) or "none"}: give glacier outlines')
    return frame


def fitted(outlines: 'geopandas.GeoDataFrame', grid: RasterGrid, source: str) -> 'geopandas.GeoDataFrame':
    """Outlines that reach into the grid, in its coordinates, with `id` and `area_km2`.

    RGI 6 and 7 bring identifiers and areas; a missing area is that of the outline. Outlines that intersect themselves
    are repaired. Raises UserError where they have no coordinate reference system or none reaches into the grid;
    `source` names them in messages.
    """
    import geopandas
    import pandas
    from shapely.geometry import box

    if outlines.crs is None:
        raise UserError(f'{source}: no coordinate reference system: add the .prj of a shapefile, or assign one')
    frame = outlines[~(outlines.geometry.isna() | outlines.geometry.is_empty)].to_crs(grid.crs)
    if invalid := int((~frame.geometry.is_valid).sum()):
        messages.info(f'{source}: {invalid} of {len(frame)} outlines intersect themselves and are repaired')
        frame = frame.set_geometry(frame.geometry.make_valid())
    frame = frame[frame.geometry.area > 0]
    kept = frame[frame.geometry.intersects(box(*grid.bounds))]
    if not len(kept):
        raise UserError(f'{source}: none of the {len(frame)} outlines lies within the scenes: check their places')
    if len(kept) < len(frame):
        messages.info(f'{source}: {len(kept)} of {len(frame)} outlines reach into the scenes')
    named = next((kept[name].astype(str) for name in IDENTIFIERS if name in kept), None)
    stated = next((kept[name] for name in AREAS if name in kept), kept.geometry.area / 1e6)
    areas = pandas.to_numeric(stated, errors='coerce').fillna(kept.geometry.area / 1e6)
    columns = {'id': kept.index.astype(str) if named is None else named, 'area_km2': areas}
    return geopandas.GeoDataFrame(columns, geometry=kept.geometry, crs=kept.crs).reset_index(drop=True)


def counted(outlines: 'geopandas.GeoDataFrame', grid: RasterGrid, least: float) -> 'Counted':
    """The outlines of `least` km2 or more that hold a cell, with their numbers on the grid."""
    large = outlines[outlines['area_km2'] >= least].reset_index(drop=True)
    number = rasterised(large, grid)
    held = np.bincount(number.ravel(), minlength=len(large) + 1)[1:] > 0
    numbers = np.append(0, np.where(held, np.cumsum(held), 0))
    return Counted(large[held].reset_index(drop=True), numbers[number].astype(np.int32))


class Counted(NamedTuple):
    """Glaciers that count."""

    outlines: 'geopandas.GeoDataFrame'
    number: np.ndarray  # (y, x) int32: number of the glacier, from 1 in the order of `outlines`; 0: none


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
    """Number of the nearest glacier of each cell, (y, x), its own inside an outline."""
    from scipy.ndimage import distance_transform_edt

    index = distance_transform_edt(glacier == 0, return_distances=False, return_indices=True)
    return glacier[tuple(index)]
