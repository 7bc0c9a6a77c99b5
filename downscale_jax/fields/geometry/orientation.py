"""Direction of rows and columns of a grid, for networks that are not symmetric under reflection."""

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.mapping import same_mapping
from downscale_jax.runtime import messages

CLEAR = 0.5  # share of the steps along an axis that must go one way
AXES = (('y', 'x'), ('rlat', 'rlon'))


def oriented(fields: xr.Dataset, reference: xr.Dataset, source: str) -> xr.Dataset:
    """Fields with rows and columns in the direction of the reference grid, which may be of another region.

    Both grids are judged by the way that rows run north and columns run east; where this is not clear, around a pole,
    by x, y of one projection or by rotated degrees. Otherwise the fields are returned as they are.
    """
    ours, theirs = _compass(fields), _compass(reference)
    for pair in AXES:
        if not (all(ours) and all(theirs)) and same_mapping(fields, reference):
            ours, theirs = (_along(grid, pair) for grid in (fields, reference))
    dims = fields[next(iter(fields.data_vars))].dims[-2:]
    turned = [dim for dim, own, wanted in zip(dims, ours, theirs, strict=True) if own * wanted < 0]
    if turned:
        messages.info(f'{source}: {" and ".join(map(str, turned))} reversed to run as in training')
    return fields.isel({dim: slice(None, None, -1) for dim in turned})


def _compass(grid: xr.Dataset) -> tuple[int, int]:
    """(1 where rows run north, -1 south, 0 unclear; the same of columns and east)."""
    if not {'lat', 'lon'} <= set(grid.coords):
        return 0, 0
    lat, lon = (grid[name].values.astype(float) for name in ('lat', 'lon'))
    north, east = np.diff(lat, axis=0), np.diff(lon, axis=-1)
    return _sign(north), _sign((east + 180) % 360 - 180)


def _along(grid: xr.Dataset, pair: tuple[str, str]) -> tuple[int, int]:
    """(1 where the coordinate rises, -1 where it falls) of an axis along y and one along x; 0 where one is missing."""
    if not set(pair) <= set(grid.coords):
        return 0, 0
    rows, columns = (_sign(np.diff(grid[name].values.astype(float))) for name in pair)
    return rows, columns


def _sign(steps: np.ndarray) -> int:
    steps = steps[np.isfinite(steps)]
    total = np.abs(steps).sum()
    return int(np.sign(steps.sum())) if total and abs(steps.sum()) > CLEAR * total else 0
