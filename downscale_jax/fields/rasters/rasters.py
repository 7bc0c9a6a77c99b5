"""Rasters of any format, projection and resolution that GDAL reads, brought onto a `RasterGrid`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from downscale_jax.fields.rasters.grid import SQUARE, RasterGrid, is_metric
from downscale_jax.runtime.errors import UserError


class Layer(NamedTuple):
    """One band of a file; the value is `scale` times the stored number plus `offset`."""

    path: Path
    band: int = 1  # from 1
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None  # where the file does not declare it


def grid_of(layer: Layer) -> RasterGrid:
    """The grid of a raster; a UTM grid around it where its cells are rotated or are not squares on the ground, as in
    degrees, feet and the Mercator projection of web maps.

    Raises UserError where the file cannot be read or has no coordinate reference system.
    """
    from rasterio.warp import calculate_default_transform

    with opened(layer.path) as source:
        transform, crs, height, width = source.transform, source.crs, source.height, source.width
        square = abs(transform.a + transform.e) < SQUARE * transform.a and transform.b == transform.d == 0
        west, south, east, north = source.bounds
        if not (square and is_metric(crs.to_wkt(), (west + east) / 2, (south + north) / 2)):
            crs = utm(source)
            transform, width, height = calculate_default_transform(
                source.crs, crs, source.width, source.height, *source.bounds
            )
    return RasterGrid(crs.to_wkt(), transform.c, transform.f, transform.a, (height, width))


def utm(source):
    """The UTM zone at the centre of a raster."""
    from rasterio.crs import CRS
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(source.crs, 'EPSG:4326', *source.bounds)
    zone = int(((west + east) / 2 + 180) // 6) % 60 + 1
    return CRS.from_epsg((32600 if south + north >= 0 else 32700) + zone)


def read(layer: Layer, grid: RasterGrid) -> np.ndarray:
    """The layer on the grid, bilinear, float32 (y, x), NaN where it has no value.

    Raises UserError where the file cannot be read, lacks the band or a coordinate reference system.
    """
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    with opened(layer.path) as source:
        if not 1 <= layer.band <= source.count:
            raise UserError(f'{layer.path}: band {layer.band} of {source.count}: choose an existing one')
        nodata = source.nodata if source.nodata is not None else layer.nodata
        rows, columns = grid.shape
        with WarpedVRT(
            source,
            crs=grid.crs,
            transform=grid.transform,
            width=columns,
            height=rows,
            resampling=Resampling.bilinear,
            src_nodata=nodata,
            nodata=np.nan,
            dtype='float32',
        ) as warped:
            try:
                values = warped.read(layer.band)
            except Exception as error:  # GDAL raises many kinds
                raise unreadable(layer.path, error) from error
            covered = warped.dataset_mask() > 0 if nodata is None else True
        scale, offset = source.scales[layer.band - 1], source.offsets[layer.band - 1]
    values = np.where(covered, values, np.nan)
    return (layer.scale * (scale * values + offset) + layer.offset).astype(np.float32)


def opened(path: Path):
    """An open raster. Raises UserError where the file is not a raster or has no coordinate reference system."""
    import rasterio

    if not Path(path).exists():
        raise UserError(f'{path}: no such file')
    try:
        source = rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        raise unreadable(path, error) from error
    # a local system ("engineering") has no place on the Earth
    if source.crs is None or not (source.crs.is_projected or source.crs.is_geographic):
        source.close()
        raise UserError(f'{path} has no coordinate reference system: assign one, for example with gdal_edit.py -a_srs')
    return source


def unreadable(path: Path, error: Exception) -> UserError:
    """The error of a damaged file."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f'{path} cannot be read as a raster ({lines[0]}): check the file')
