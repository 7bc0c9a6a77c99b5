"""Axes of maps: degrees where the grid is one of latitudes and longitudes, else kilometres from its corner; the coast.

The coast is the outline of the static field `land` of the data, where they have one, on their own cells.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from downscale_jax.evaluation.drawing.style import INK

EVEN = 0.05  # steps of coordinates differ by less than this share
WIDEST = 2.5  # largest ratio of the sides of a degree that maps show, that at 66 degrees


class Frame(NamedTuple):
    """Position and size of the cells of a map, in degrees or km; `aspect` is the ratio of one unit up to one across."""

    left: float
    bottom: float
    across: float  # width of a cell
    up: float  # height of a cell
    y_up: bool = True  # whether the first row is the lowest
    degrees: bool = False
    aspect: float = 1.0
    land: np.ndarray | None = None  # [H, W], 1 on land, else 0

    @property
    def origin(self) -> Literal['lower', 'upper']:
        """Where the first row lies, as imshow takes it."""
        return 'lower' if self.y_up else 'upper'

    def extent(self, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) of a field [H, W], as imshow takes it."""
        height, width = shape[:2]
        return self.left, self.left + width * self.across, self.bottom, self.bottom + height * self.up

    def relative_height(self, shape: tuple[int, ...]) -> float:
        """Height over width of the map of a field [H, W]."""
        return shape[0] * self.up * self.aspect / (shape[1] * self.across)

    def box(self, row: int, column: int, cells: int, height: int) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) of a square of cells in a map of `height` rows."""
        left = self.left + column * self.across
        bottom = self.bottom + (row if self.y_up else height - row - cells) * self.up
        return left, left + cells * self.across, bottom, bottom + cells * self.up

    def part(self, rows: slice, columns: slice, height: int) -> 'Frame':
        """The frame of a square window of a map of `height` rows."""
        left, _, bottom, _ = self.box(rows.start, columns.start, rows.stop - rows.start, height)
        land = None if self.land is None else self.land[rows, columns]
        return self._replace(left=left, bottom=bottom, land=land)

    def show(self, axes: Axes, values: np.ndarray, **look: Any) -> Any:
        """Draws a small map of a field [H, W], whose rows run as those of the map; returns the image.

        It has a coast and few ticks, labelled at the left and lower edges of the figure only.
        """
        image = axes.imshow(values, origin=self.origin, extent=self.extent(values.shape), aspect=self.aspect, **look)
        self.draw_coast(axes)
        self.label(axes, columns=2, rows=3)
        axes.label_outer()
        axes.spines[:].set_visible(False)
        axes.tick_params(length=2.5, labelsize=8)
        return image

    def draw_coast(self, axes: Axes) -> None:
        """Draws the outline of the land, if the domain has both land and sea."""
        if self.land is not None and self.land.min() < 0.5 < self.land.max():
            extent = self.extent(self.land.shape)
            axes.contour(self.land, [0.5], colors=INK, linewidths=0.6, extent=extent, origin=self.origin)

    def label(self, axes: Axes, columns: int = 3, rows: int = 4) -> None:
        """Sets round ticks, in degrees with their hemisphere; `columns` and `rows` are the most intervals."""
        for axis, count, name in ((axes.xaxis, columns, longitude), (axes.yaxis, rows, latitude)):
            steps = [1, 1.5, 2, 3, 5, 10] if self.degrees else [1, 2, 4, 5, 10]
            axis.set_major_locator(MaxNLocator(count, steps=steps, prune='upper' if count < 3 else None))
            if self.degrees:
                axis.set_major_formatter(FuncFormatter(name))


def in_km(cell_km: float, y_up: bool = True, land: np.ndarray | None = None) -> Frame:
    """Of square cells, from their lower left corner."""
    return Frame(0.0, 0.0, cell_km, cell_km, y_up, land=land)


def frame_of(grid: xr.Dataset, cell_km: float, y_up: bool) -> Frame:
    """In degrees on an even grid of latitudes and eastward longitudes, true to scale at its middle; else in km."""
    land = grid['land'].values if 'land' in grid else None
    lat, lon = (grid[name].values if name in grid.coords else np.zeros(0) for name in ('lat', 'lon'))
    if lat.ndim != 1 or min(lat.size, lon.size) < 2 or not (_is_even(lat) and _is_even(lon) and lon[0] < lon[-1]):
        return in_km(cell_km, y_up, land)
    up, across = (float(abs(axis[-1] - axis[0]) / (axis.size - 1)) for axis in (lat, lon))
    middle = np.cos(np.deg2rad((lat[0] + lat[-1]) / 2))
    aspect = 1 / max(float(middle), 1 / WIDEST)
    return Frame(float(lon[0]) - across / 2, float(lat.min()) - up / 2, across, up, y_up, True, aspect, land)


def _is_even(axis: np.ndarray) -> bool:
    steps = np.diff(axis)
    return bool(np.allclose(steps, steps.mean(), rtol=EVEN, atol=0))


def latitude(value: float, _: int | None = None) -> str:
    """'50°N'."""
    return '0°' if value == 0 else f'{abs(value):g}°{"N" if value > 0 else "S"}'


def longitude(value: float, _: int | None = None) -> str:
    """'10°W'; no hemisphere at 0 and 180 degrees."""
    value = (value + 180) % 360 - 180
    return f'{abs(value):g}°{"E" if value > 0 else "W"}' if value % 180 else f'{abs(value):g}°'
