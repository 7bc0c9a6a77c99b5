"""Grid mapping of a canonical data set, the CF description of its projection, and whether two agree."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

Grid = xr.Dataset | xr.DataArray


def mapping_name(grid: Grid) -> str:
    """The scalar coordinate that holds the grid mapping; '' where there is none."""
    return next((str(name) for name, c in grid.coords.items() if 'grid_mapping_name' in c.attrs), '')


def same_mapping(a: Grid, b: Grid) -> bool:
    """Whether all parameters that both grid mappings have agree; taken for granted where one grid has no mapping.

    Angles may differ by 360 degrees.
    """
    ours, theirs = (_attributes(grid) for grid in (a, b))
    if ours.get('grid_mapping_name', '') != theirs.get('grid_mapping_name', ''):
        return not (ours and theirs)
    return all(_equal(ours[key], theirs[key]) for key in set(ours) & set(theirs))


def _attributes(grid: Grid) -> Mapping[Hashable, Any]:
    name = mapping_name(grid)
    return grid[name].attrs if name else {}


def _equal(a: Any, b: Any) -> bool:
    """Whether parameters agree as numbers or as angles; texts, which have many forms for one map, always agree."""
    x, y = (np.atleast_1d(value) for value in (a, b))
    if x.dtype.kind not in 'fiu' or y.dtype.kind not in 'fiu':
        return True
    return x.shape == y.shape and bool(np.allclose(x, y) or np.allclose((x - y + 180) % 360, 180))
