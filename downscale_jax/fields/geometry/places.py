"""Places for local statistics, and their grid cells: 150 large cities, or a list given by the user."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM, cell_sizes_km
from downscale_jax.fields.geometry.interpolation import grid_points, tree_of, unit_vectors
from downscale_jax.runtime.errors import UserError

_COLUMNS = ('name', 'latitude', 'longitude')


class Places(NamedTuple):
    """Names, and degrees north and east [P]; west of Greenwich is negative in the list of cities."""

    names: tuple[str, ...]
    latitude: np.ndarray
    longitude: np.ndarray


def read(path: str = '') -> Places:
    """A CSV file with the columns name, latitude, longitude; others are ignored. Without a path, the large cities.

    Longitudes may be counted from -180 or from 0. Raises UserError: no such file, a column missing, no rows, a latitude
    outside -90 to 90 or a longitude outside -180 to 360.
    """
    file = Path(path) if path else Path(__file__).with_name('places.csv')
    source = path or file.name
    try:
        with file.open(newline='', encoding='utf-8-sig') as stream:
            table = csv.DictReader(stream, skipinitialspace=True)
            columns = table.fieldnames or []
            if missing := [name for name in _COLUMNS if name not in columns]:
                raise UserError(
                    f'{source}: no column {", ".join(missing)}, found {", ".join(columns) or "none"}; '
                    f'the first line must name the columns {", ".join(_COLUMNS)}'
                )
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'{source}: cannot be read ({error}); a CSV file in UTF-8 was expected') from error
    if not rows:
        raise UserError(f'{source}: no places; expected one line per place below the names of the columns')
    degrees = {
        name: np.array([_degrees(row, name, *limits, source) for row in rows])
        for name, limits in (('latitude', (-90, 90)), ('longitude', (-180, 360)))
    }
    return Places(tuple(str(row['name']).strip() for row in rows), **degrees)


def _degrees(row: dict[str, str | None], name: str, least: float, most: float, source: str) -> float:
    try:
        value = float(row[name] or 'nan')
    except ValueError:
        value = np.nan
    if not least <= value <= most:
        raise UserError(
            f"{source}: {name} of '{row['name']}' is {row[name]!r}; expected a number from {least} to {most}"
        )
    return value


def cells(places: Places, grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows [K], columns [K], inside [P]): the cells of the K places inside the grid, and which of all P these are.

    Places farther from the centre of the nearest cell than the diagonal of one cell are left out. Values at the others
    are `field[..., rows, columns]`, in the order of `inside`. Nearest by great circle: the search is among
    points on the unit sphere, so rows may run either way, longitudes begin anywhere, and lat, lon be 2-D.

    Raises UserError where the grid has no latitudes and longitudes.
    """
    points = grid_points(grid)
    tree = tree_of(points)
    chord, index = tree.query(unit_vectors(places.latitude, places.longitude))
    rows, columns = np.unravel_index(index, points.shape[:2])
    away = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1))
    inside = away <= diagonals_km(grid)[rows]
    return rows[inside], columns[inside], inside


def diagonals_km(grid: xr.Dataset) -> np.ndarray:
    """Diagonal of a cell in each row [H]."""
    return np.hypot(*cell_sizes_km(grid))
