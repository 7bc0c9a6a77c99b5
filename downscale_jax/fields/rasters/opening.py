"""Opening of a region: scenes, outlines and elevation from files or from xarray and geopandas, on one grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from downscale_jax.fields.rasters import products, rasters
from downscale_jax.fields.rasters.grid import MAPPING, RasterGrid
from downscale_jax.fields.rasters.outlines import fitted, read_outlines
from downscale_jax.fields.rasters.rasters import Layer
from downscale_jax.fields.rasters.region import ELEVATION, Region, Scene
from downscale_jax.runtime.errors import UserError, WrongTypeError, suggestion

if TYPE_CHECKING:
    import geopandas

CLOUD = 'cloud'
LOWEST, HIGHEST = -500, 9000  # m


def read_region(scenes: str, outlines: str, elevation: str, bands: Sequence[str]) -> Region:
    """The region of the scenes (`products.find`), with `outlines` and `elevation` brought onto their grid.

    Without an elevation the network sees zeros. Raises UserError for files that cannot be read or do not fit.
    """
    grid, found = products.scenes_of(products.find(scenes), bands)
    frame = fitted(read_outlines(outlines), grid, outlines)
    height = rasters.read(Layer(Path(elevation)), grid) if elevation else np.zeros(grid.shape, np.float32)
    check_heights(height, elevation)
    return Region(grid, tuple(bands), height, frame, found)


def check_heights(height: np.ndarray, source: str) -> None:
    """Raises UserError for an elevation [m] without values, and with impossible ones, such as fill values that the file
    does not declare, which interpolation mixes with their neighbours."""
    known = height[np.isfinite(height)]
    if not known.size:
        raise UserError(f'{source}: no elevation within the scenes: check place and projection')
    if known.min() < LOWEST or known.max() > HIGHEST:
        raise UserError(
            f'{source}: the elevation reaches from {known.min():g} to {known.max():g} m, where {LOWEST} to {HIGHEST} m '
            'are possible: declare its fill value, for example with gdal_edit.py -a_nodata, or correct its units'
        )


def region_of(scenes: xr.Dataset, outlines: 'geopandas.GeoDataFrame', bands: Sequence[str]) -> Region:
    """The region of a data set with the bands (time, y, x) as variables, `elevation` (y, x) and `cloud` (time, y, x) if
    there are any, coordinates x and y in metres, and the projection in `spatial_ref`, as rioxarray reads it.

    Raises UserError where a band or the projection is missing, and WrongTypeError for other types.
    """
    if not isinstance(scenes, xr.Dataset):
        raise WrongTypeError(f'scenes is of type {type(scenes).__name__}: an xarray Dataset or a path was expected')
    for band in bands:
        if band not in scenes:
            raise UserError(f"the scenes have no band '{band}': {suggestion(band, map(str, scenes.data_vars))}")
    if MAPPING not in scenes.coords or 'crs_wkt' not in scenes[MAPPING].attrs:
        raise UserError(f'the scenes have no projection: the coordinate {MAPPING} needs the attribute crs_wkt')
    if not {'time', 'y', 'x'} <= set(scenes[bands[0]].dims):
        raise UserError(f'the scenes have dimensions {scenes[bands[0]].dims}: time, y and x are needed')
    scenes = scenes.sortby('y', ascending=False).sortby('x').transpose('time', 'y', 'x', ...)
    grid = RasterGrid.of(scenes)

    def scene(number: int) -> Scene:
        one = scenes.isel(time=number)
        date = np.datetime64(str(one['time'].values)[:10])

        def cloud() -> np.ndarray:
            return one[CLOUD].values.astype(np.float32) if CLOUD in one else np.zeros(grid.shape, np.float32)

        def image() -> np.ndarray:
            return np.stack([one[band].values for band in bands], -1).astype(np.float32)

        return Scene(f'{date}-{number}', date, image, cloud)

    height = scenes[ELEVATION].values if ELEVATION in scenes else np.zeros(grid.shape)
    check_heights(height, ELEVATION)
    found = [scene(number) for number in range(scenes.sizes['time'])]
    frame = fitted(outlines, grid, 'outlines')
    return Region(grid, tuple(bands), height.astype(np.float32), frame, found)
