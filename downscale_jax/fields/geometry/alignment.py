"""Place and orientation of fields against a reference grid: turned and cut to it, or refused.

Cells are compared one by one by their distance on the sphere, whatever the form of the coordinates; where one side has
no latitudes and longitudes, in the plane of their common projection or in rotated degrees.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM
from downscale_jax.fields.geometry.interpolation import closes
from downscale_jax.fields.geometry.mapping import same_mapping
from downscale_jax.fields.geometry.positions import (
    Positions,
    in_rotated_degrees,
    in_the_plane,
    on_the_sphere,
)
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

FRAMES = (on_the_sphere, in_the_plane, in_rotated_degrees)  # in order of preference
TOLERANCE = 0.1  # of the shorter side of a block
ROUNDING = 1e-3  # of its longer side: rounding of coordinates where meridians converge
ANY = ({'lat', 'lon'}, {'y', 'x'}, {'rlat', 'rlon'})  # coordinates by which cells can be compared


class Window(NamedTuple):
    """Rows and columns of a grid, in the order of another."""

    rows: np.ndarray
    columns: np.ndarray


def aligned(fields: xr.Dataset, reference: xr.Dataset, factor: int, source: str) -> xr.Dataset:
    """Fields on blocks of `factor` x `factor` cells of the reference grid, in its order.

    Rows and columns that run the other way are reversed, a full circle of longitudes is rotated to begin where the
    reference does, and a larger grid is cut to it, with a message. Grids without coordinates are taken to agree, with
    a warning if only one of the two has none.

    Raises UserError where cells are not the blocks of the reference: elsewhere, by more than a tenth of a block,
    transposed, or in coordinates that cannot be compared.
    """
    dims = fields[next(iter(fields.data_vars))].dims[-2:]
    pair = _common(fields, reference, factor, source)
    if pair is None:
        return fields
    cells, blocks = pair
    window = _window(cells, blocks[0])
    if window is None:
        raise _elsewhere(cells, blocks[0], None, factor, source)
    chosen = cells.km[np.ix_(*window)]
    distance = np.min([np.linalg.norm(chosen - block.km, axis=-1) for block in blocks], axis=0)
    if (np.nan_to_num(distance) > _tolerance(blocks[0].km)).any():
        raise _elsewhere(cells, blocks[0], window, factor, source)
    shape, kept = cells.km.shape[:2], blocks[0].km.shape[:2]
    if shape != kept:
        messages.info(f'{source}: cut from {shape[0]} x {shape[1]} to the {kept[0]} x {kept[1]} cells of the region')
    same = all(np.array_equal(index, np.arange(n)) for index, n in zip(window, shape, strict=True))
    return fields if same else fields.isel(dict(zip(dims, map(_as_slice, window), strict=True)))


def _common(
    fields: xr.Dataset, reference: xr.Dataset, factor: int, source: str
) -> tuple[Positions, list[Positions]] | None:
    """Positions of the fields' cells and of the blocks of the reference in a frame that both have; None without any."""
    for frame in FRAMES:
        cells, blocks = frame(fields, 1), frame(reference, factor)
        if cells and blocks and (frame is on_the_sphere or same_mapping(fields, reference)):
            return cells[0], blocks
    placed = [any(names <= set(grid.coords) for names in ANY) for grid in (fields, reference)]
    if all(placed):
        kinds = [', '.join(sorted(map(str, set(grid.coords) - {'time'}))) for grid in (fields, reference)]
        raise UserError(
            f'{source}: its coordinates ({kinds[0]}) cannot be compared with those of the reference grid ({kinds[1]}), '
            'so that its rows could be upside down: add 2-D latitudes and longitudes to both'
        )
    if any(placed):
        which = f'the reference grid of {source}' if placed[0] else source
        messages.warning(
            f'{which} has no coordinates: its cells are taken to be in the order of the other grid; add latitudes and '
            'longitudes to have this checked'
        )
    return None


def _window(cells: Positions, wanted: Positions) -> Window | None:
    """The rows and columns of the cells nearest to the wanted ones, by the middles of the four sides; None where these
    do not bound a window of the wanted size."""
    (height, width), (m, n) = cells.km.shape[:2], wanted.km.shape[:2]
    at = {'top': (0, n // 2), 'bottom': (m - 1, n // 2), 'left': (m // 2, 0), 'right': (m // 2, n - 1)}
    if not all(np.isfinite(wanted.km[where]).all() for where in at.values()):  # positions are missing on land
        return Window(np.arange(m), np.arange(n)) if (height, width) == (m, n) else None
    near = {side: _nearest(cells.km, wanted.km[where]) for side, where in at.items()}
    rows = _run(near['top'][0], near['bottom'][0], m, 0)
    columns = _run(near['left'][1], near['right'][1], n, width if closes(cells.km) else 0)
    return None if rows is None or columns is None else Window(rows, columns)


def _nearest(points: np.ndarray, wanted: np.ndarray) -> tuple[int, int]:
    distance = np.linalg.norm(points - wanted, axis=-1)
    row, column = np.unravel_index(int(np.where(np.isfinite(distance), distance, np.inf).argmin()), distance.shape)
    return int(row), int(column)


def _run(first: int, last: int, count: int, circle: int) -> np.ndarray | None:
    """`count` consecutive indices from first to last in either direction, round a circle of `circle`; else None."""
    for step in (1, -1):
        span = (last - first) * step
        if (span % circle if circle else span) == count - 1:
            index = first + step * np.arange(count)
            return index % circle if circle else index
    return None


def _as_slice(index: np.ndarray) -> slice | np.ndarray:
    """Consecutive indices as a slice, which keeps lazy arrays in their chunks."""
    step = int(index[1] - index[0]) if index.size > 1 else 1
    if abs(step) != 1 or (np.diff(index) != step).any():
        return index
    stop = int(index[-1]) + step
    return slice(int(index[0]), None if stop < 0 else stop, step)


def _sides(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances [H, W] to the next cell along y and along x, infinite in a single row or column."""
    sides = []
    for axis in (0, 1):
        step = np.linalg.norm(np.diff(points, axis=axis), axis=-1)
        last = np.take(step, [-1], axis) if step.size else np.full_like(points.take([0], axis)[..., 0], np.inf)
        sides.append(np.concatenate([step, last], axis))
    return sides[0], sides[1]


def _tolerance(points: np.ndarray) -> np.ndarray:
    """The distance [H, W] by which cells may differ from points [H, W, d]."""
    down, across = _sides(points)
    longer = np.where(np.isfinite(down) & np.isfinite(across), np.maximum(down, across), 0)
    return np.maximum(TOLERANCE * np.minimum(down, across), ROUNDING * longer)


def _elsewhere(cells: Positions, blocks: Positions, window: Window | None, factor: int, source: str) -> UserError:
    """The error for cells that are not the blocks of the reference grid, with the largest distance among them."""
    (height, width), (m, n) = cells.km.shape[:2], blocks.km.shape[:2]
    if window is None:
        sides = [(row, column) for row in (0, m // 2, m - 1) for column in (0, n // 2, n - 1)]
        matches = {where: _nearest(cells.km, blocks.km[where]) for where in sides}
    else:
        matches = {(i, j): (int(window.rows[i]), int(window.columns[j])) for i, j in np.ndindex(m, n)}
    away = {where: _kilometres(cells.km[match], blocks.km[where]) for where, match in matches.items()}
    block = max(away, key=lambda where: np.nan_to_num(away[where]))
    shapes = f' ({height} x {width} cells; blocks of {factor} of the fine grid are {m} x {n})' if window is None else ''
    if away[block] <= _tolerance(blocks.km)[block]:
        return UserError(
            f'{source}{shapes} covers the region, but its rows or columns are in another order or of another '
            'resolution: transpose it, or interpolate it to the blocks'
        )
    down, across = (float(np.median(side)) for side in _sides(blocks.km))
    return UserError(
        f'{source} is on another grid{shapes}: its cell at {cells.at(*matches[block])} is {away[block]:.3g} km from '
        f'that expected at {blocks.at(*block)} (cells of {down:.3g} x {across:.3g} km); give the fine grid of its '
        f'region by --statics, {height * factor} x {width * factor} cells'
    )


def _kilometres(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two points in a plane, or along the sphere."""
    straight = float(np.linalg.norm(a - b))
    return straight if a.size == 2 else 2 * EARTH_RADIUS_KM * float(np.arcsin(min(straight / 2 / EARTH_RADIUS_KM, 1)))
