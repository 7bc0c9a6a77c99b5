"""Opening of a region: scenes, outlines and elevation from files, on one grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from downscale_jax.fields.rasters import products, rasters
from downscale_jax.fields.rasters.outlines import read_outlines
from downscale_jax.fields.rasters.rasters import Layer
from downscale_jax.fields.rasters.region import Region
from downscale_jax.runtime.errors import UserError


def read_region(scenes: str, outlines: str, elevation: str, bands: Sequence[str]) -> Region:
    """The region of the scenes (`products.find`), with `outlines` and `elevation` brought onto their grid.

    Without an elevation the network sees zeros. Raises UserError for files that cannot be read or do not fit.
    """
    grid, found = products.scenes_of(products.find(scenes), bands)
    frame = read_outlines(outlines, grid)
    height = rasters.read(Layer(Path(elevation)), grid) if elevation else np.zeros(grid.shape, np.float32)
    if not np.isfinite(height).any():
        raise UserError(f'{elevation}: no elevation within the scenes: check place and projection')
    return Region(grid, tuple(bands), height, frame, found)
