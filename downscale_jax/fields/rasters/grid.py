"""`RasterGrid`: a projected grid of square cells, rows from north to south."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

if TYPE_CHECKING:
    import affine

SQUARE = 1e-3  # relative difference of the sides of cells that count as square
MAPPING = 'spatial_ref'  # name of the grid mapping, as in rioxarray
DISTORTION = 0.01  # of areas on the map; of UTM at most 0.002, of the Mercator projection of web maps 1.15 at 47 N


def is_metric(crs: str, x: float, y: float) -> bool:
    """Whether x and y of a coordinate reference system are metres, and areas there those on the Earth."""
    from pyproj import CRS, Proj, Transformer

    system = CRS.from_user_input(crs)
    if not system.is_projected or any(axis.unit_conversion_factor != 1 for axis in system.axis_info):
        return False
    lon, lat = Transformer.from_crs(system, system.geodetic_crs, always_xy=True).transform(x, y)
    return bool(abs(Proj(system).get_factors(lon, lat).areal_scale - 1) < DISTORTION)


class RasterGrid(NamedTuple):
    """Cells of `cell` metres; (west, north) is the outer corner of the first cell in the coordinates of `crs`."""

    crs: str  # EPSG code or well-known text
    west: float
    north: float
    cell: float
    shape: tuple[int, int]  # rows, columns

    @property
    def cell_km2(self) -> float:
        """Area of a cell."""
        return self.cell**2 / 1e6

    @property
    def transform(self) -> 'affine.Affine':
        """From (column, row) of corners to (x, y), as rasterio takes it."""
        from affine import Affine

        return Affine(self.cell, 0, self.west, 0, -self.cell, self.north)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        rows, columns = self.shape
        return self.west, self.north - rows * self.cell, self.west + columns * self.cell, self.north

    def coordinates(self) -> dict[str, Any]:
        """Coordinates of xarray: centres of cells `y` and `x`, and the grid mapping."""
        rows, columns = self.shape
        axis = {'units': 'm', 'standard_name': 'projection_{}_coordinate'}
        y, x = ({**axis, 'standard_name': f'projection_{name}_coordinate'} for name in 'yx')
        return {
            'y': ('y', self.north - self.cell * (np.arange(rows) + 0.5), y),
            'x': ('x', self.west + self.cell * (np.arange(columns) + 0.5), x),
            MAPPING: ((), np.int32(0), {'crs_wkt': self.crs}),
        }

    @classmethod
    def of(cls, dataset: xr.Dataset) -> 'RasterGrid':
        """The grid of a data set with `coordinates`, rows from north to south.

        Raises UserError for cells that are not squares of one size, and where x and y are not metres on the ground.
        """
        y, x = (dataset[name].values.astype(float) for name in 'yx')
        crs, steps = dataset[MAPPING].attrs['crs_wkt'], np.concatenate([np.diff(x), -np.diff(y)])
        if not np.allclose(steps, steps[0], rtol=SQUARE, atol=0):
            raise UserError(
                f'the cells have sides from {steps.min():g} to {steps.max():g}: squares of one size are needed, as '
                'rio.reproject makes them'
            )
        if not is_metric(crs, float(x.mean()), float(y.mean())):
            raise UserError('x and y are not metres on the ground in this projection: reproject to a UTM zone')
        cell = float(x[1] - x[0])
        return cls(crs, x[0] - cell / 2, y[0] + cell / 2, cell, (len(y), len(x)))
