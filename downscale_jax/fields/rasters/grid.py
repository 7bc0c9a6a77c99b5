"""`RasterGrid`: a projected grid of square cells, rows from north to south."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    import affine

MAPPING = 'spatial_ref'  # name of the grid mapping, as in rioxarray


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
        """The grid of a data set with `coordinates`."""
        y, x = dataset['y'].values, dataset['x'].values
        cell = float(x[1] - x[0])
        return cls(dataset[MAPPING].attrs['crs_wkt'], x[0] - cell / 2, y[0] + cell / 2, cell, (len(y), len(x)))
