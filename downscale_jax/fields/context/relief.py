"""Relief from a file such as ETOPO on any grid: the mean height of each cell, and the land mask that comes with it."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy
import xarray as xr

from downscale_jax.fields.context.surface import (
    SURFACE,
    find_surface,
    heights,
    land_fraction,
    land_mask,
    surface_of_relief,
)
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.store import load, open_dataset
from downscale_jax.fields.geometry.interpolation import ToFine, cell_chords, full_circle, grid_points, unit_vectors
from downscale_jax.runtime.errors import UserError, suggestion

FINER = 0.75  # cells of a relief on 2-D coordinates may not be smaller than this share of those of the grid
POINTS = 2_000_000  # evaluated at once: 16 MB for each of a dozen arrays


def add_surface(statics: xr.Dataset, names: Sequence[str], path: str) -> xr.Dataset:
    """The grid, to which `topography` and `land` are added where `names` (data.context) asks for them and it lacks
    them, from the relief at `path` (data.relief) and its land mask if there is one (`surface_of_relief`)."""
    missing = [name for name in SURFACE if name in names and name not in statics]
    if not missing:
        return statics
    if not path:
        raise UserError(
            f'data.context names {" and ".join(missing)}, which the data do not have: name a file with a relief '
            'in data.relief, or leave it out'
        )
    relief = relief_on(statics, path)
    surface = surface_of_relief(relief, statics['land'] if 'land' in statics else land_on(statics, path))
    return statics.assign({name: surface[name] for name in missing})


def relief_on(grid: xr.Dataset, path: str, variable: str = '') -> xr.DataArray:
    """`topography` [m] float32 on the cells of `grid` (1-D or 2-D `lat`, `lon`), negative below the sea.

    Bilinear where the relief is coarser than the grid. Where it is finer, bilinear values at evenly spread points, as
    many as the relief has in a cell, are averaged by area: the box mean, for which a slope stays a slope. `variable`
    names the relief; otherwise it is recognised: a height, or a geopotential such as ERA5's. The file's latitudes and
    longitudes are 1-D, in any direction and convention, or 2-D where its cells are those of the grid or larger.
    Raises UserError for no relief-like variable or several, other units, and a grid that is not covered.
    """
    data = open_dataset(path)
    if variable and variable not in data.data_vars:
        raise UserError(f"{path} has no variable '{variable}': {suggestion(variable, map(str, data.data_vars))}")
    relief = heights(_plane(data, variable or _recognise(data, path), path))
    values = _on_cells(grid, relief, path)
    return values.rename('topography').assign_attrs(units='m', long_name='topography, negative below the sea')


def land_on(grid: xr.Dataset, path: str) -> xr.DataArray | None:
    """`land` on the cells of `grid` by the file's land mask (ERA5's `lsm`), 1 where half of the cell or more is land;
    None where the file has no mask."""
    data = open_dataset(path)
    name = find_surface(data, 'land', path)
    if not name:
        return None
    return land_mask(_on_cells(grid, land_fraction(_plane(data, name, path), data[name].attrs), path) >= 0.5)


def _on_cells(grid: xr.Dataset, field: xr.DataArray, path: str) -> xr.DataArray:
    """Means of a field (lat, lon) or (y, x) over the cells of `grid`, float32, as in `relief_on`."""
    for name in ('lat', 'lon'):
        if name not in grid.coords:
            raise UserError(
                f"the grid has no '{name}', found {', '.join(map(str, grid.coords))}: a relief needs coordinates"
            )
        if not np.isfinite(grid[name].values).all():
            raise UserError(f"the grid's '{name}' is missing at some cells: a relief needs those of all cells")
    dims = grid['lat'].dims if grid['lat'].ndim == 2 else (*grid['lat'].dims, *grid['lon'].dims)
    values = _read_at(grid, field, path) if field.dims == ('lat', 'lon') else _interpolated(grid, field, path)
    if missing := np.isnan(values).sum():
        raise UserError(f'{path}: the relief has no value at {missing} of {values.size} cells of the grid: fill them')
    coords = {name: coordinate for name, coordinate in grid.coords.items() if set(coordinate.dims) <= set(dims)}
    return xr.DataArray(values.astype(np.float32), coords, dims, attrs={'source': path})


def _read_at(grid: xr.Dataset, field: xr.DataArray, path: str) -> np.ndarray:
    """[H, W]: means of bilinear values at evenly spread points in each cell of the grid."""
    relief = _around(field.sortby(['lat', 'lon']), grid, path)
    lat, lon = relief['lat'].values, relief['lon'].values
    values_at = load(relief, path).values.astype(np.float64)
    parts = (_plane_points if grid['lat'].ndim == 2 else _axis_points)(grid, lat, lon)
    rows = []
    for at, to, weight, counts in parts:
        index = np.stack([np.interp(at, lat, np.arange(lat.size)), np.interp(to, lon, np.arange(lon.size))])
        read = scipy.ndimage.map_coordinates(values_at, index, order=1, mode='nearest')
        rows.append(_cell_means(read * weight, counts) / _cell_means(weight, counts))
    return np.concatenate(rows)


def _interpolated(grid: xr.Dataset, field: xr.DataArray, path: str) -> np.ndarray:
    """[H, W]: linear in a relief with 2-D latitudes and longitudes, such as the orography of a regional model.

    Raises UserError where its cells are so much smaller than those of the grid that this would not be their mean.
    """
    own, wanted = (float(np.nanmedian(cell_chords(grid_points(g)))) for g in (field, grid))
    if own < FINER * wanted:
        raise UserError(
            f'{path}: the relief on {field.dims} has cells {own / wanted:.2g} times the size of the grid cells; on '
            '2-D latitudes and longitudes it may not be finer: average it to the grid beforehand'
        )
    return ToFine(field, grid)(load(field, path).values)


def _plane(data: xr.Dataset, name: str, path: str) -> xr.DataArray:
    """(lat, lon), or (y, x) with 2-D lat and lon, lazily, at the first time."""
    relief = canonical(data, [name], source=path)[name]
    relief = relief.isel(time=0, drop=True) if 'time' in relief.dims else relief
    if 'lat' not in relief.coords:
        raise UserError(f"{path}: '{relief.name}' lies on {relief.dims} without latitudes and longitudes: add them")
    return relief


def _recognise(data: xr.Dataset, path: str) -> str:
    """The only variable that is a relief by its standard name or variable name, else the only height by its units."""
    lengths = [name for name, array in data.data_vars.items() if array.squeeze().ndim >= 2 and _is_height(array)]
    kind = SURFACE['topography']
    known = [
        name
        for name in lengths
        if data[name].attrs.get('standard_name') in kind.standard_names or str(name).lower() in kind.names
    ]
    matches = known or lengths
    if len(matches) != 1:
        several = f'several are possible ({", ".join(map(str, matches))}): keep only one'
        problem = several if matches else 'a field in m was expected'
        held = ', '.join(f'{name} [{array.attrs.get("units", "")}]' for name, array in data.data_vars.items())
        raise UserError(f'{path}: which variable is the relief? It has {held or "none"}; {problem}')
    return str(matches[0])


def _is_height(array: xr.DataArray) -> bool:
    try:
        heights(array[(0,) * array.ndim])
    except UserError:
        return False
    return True


def _around(relief: xr.DataArray, grid: xr.Dataset, path: str) -> xr.DataArray:
    """The part of the relief around the grid, longitudes increasing across any seam, as in `_centred`."""
    middle = _middle(grid)
    # a file may have both 180 W and 180 E
    lon, order = np.unique(_centred(relief['lon'].values, middle).round(9), return_index=True)
    relief = relief.isel(lon=order).assign_coords(lon=lon)
    if full_circle(lon):
        before, after = (relief.isel(lon=[i]).assign_coords(lon=lon[[i]] + turn) for i, turn in ((-1, -360), (0, 360)))
        relief = xr.concat([before, relief, after], 'lon')
    for name, wanted in (('lat', grid['lat'].values), ('lon', _centred(grid['lon'].values, middle))):
        axis, low, high = relief[name].values, wanted.min(), wanted.max()
        step = np.median(np.diff(axis))
        reach = 0.51 * step  # to the edge of its outermost cells, whose places may have been rounded to float32
        if low < axis[0] - reach or high > axis[-1] + reach:
            raise UserError(
                f'{path}: the relief does not cover the grid: its {name} runs from {axis[0]:g} to {axis[-1]:g}, '
                f'that of the grid from {low:g} to {high:g}; use a file of a larger area'
            )
        margin = 2 * step + sum(np.abs(np.diff(wanted, axis=i)).max(initial=0) for i in range(wanted.ndim))
        chosen = np.flatnonzero((axis >= low - margin) & (axis <= high + margin))
        relief = relief.isel({name: slice(chosen[0], chosen[-1] + 1)})
    return relief


def _middle(grid: xr.Dataset) -> float:
    """Mean longitude of the grid."""
    return float(np.rad2deg(np.angle(np.exp(1j * np.deg2rad(grid['lon'].values)).sum())))


def _centred(lon: np.ndarray, middle: float) -> np.ndarray:
    """Longitudes within 180 degrees of `middle`."""
    return (lon.astype(np.float64) - middle + 180) % 360 - 180 + middle


Points = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]


def _axis_points(grid: xr.Dataset, lat: np.ndarray, lon: np.ndarray) -> Iterator[Points]:
    """Points at which the relief at `lat`, `lon` is read, of a grid with 1-D lat, lon; a few rows of cells at a time.

    (latitudes, longitudes, areas, (points down, points across) per cell), arrays [rows x down, columns x across].
    """
    own = grid['lat'].values.astype(np.float64), _centred(grid['lon'].values, _middle(grid))
    # on a full circle the middle may lie anywhere in the row
    steps = [np.gradient(np.unwrap(axis, period=360)) if axis.size > 1 else np.zeros(1) for axis in own]
    counts = [_count(np.median(np.abs(s)), np.median(np.diff(at))) for s, at in zip(steps, (lat, lon), strict=True)]
    down, across = counts
    at, to = (
        (axis[:, None] + step[:, None] * _offsets(n)).ravel() for axis, step, n in zip(own, steps, counts, strict=True)
    )
    at = at.clip(-90, 90)
    rows = max(1, POINTS // (down * to.size))
    for start in range(0, at.size, rows * down):
        north, east = np.meshgrid(at[start : start + rows * down], to, indexing='ij')
        yield north, east, np.cos(np.deg2rad(north)).clip(1e-6), (down, across)


def _plane_points(grid: xr.Dataset, lat: np.ndarray, lon: np.ndarray) -> Iterator[Points]:
    """As `_axis_points`, of a grid with 2-D lat, lon, whose cells are spanned by the steps to their neighbours."""
    middle = _middle(grid)
    centres = unit_vectors(grid['lat'].values, grid['lon'].values)
    steps = [np.gradient(centres, axis=i) if centres.shape[i] > 1 else np.zeros_like(centres) for i in (0, 1)]
    # meridians converge at the poles, but the detail of the relief does not grow there
    narrowing = max(np.cos(np.deg2rad(np.abs(grid['lat'].values).max())), 0.5)
    finest = min(np.median(np.diff(lat)), np.median(np.diff(lon)) * narrowing)
    down, across = (_count(np.rad2deg(np.median(np.linalg.norm(step, axis=-1))), finest) for step in steps)
    rows = max(1, POINTS // (down * across * centres.shape[1]))
    for start in range(0, len(centres), rows):
        part = slice(start, start + rows)
        points = (
            centres[part, None, :, None]
            + steps[0][part, None, :, None] * _offsets(down)[:, None, None, None]
            + steps[1][part, None, :, None] * _offsets(across)[:, None]
        ).reshape(-1, centres.shape[1] * across, 3)
        x, y, z = np.moveaxis(points, -1, 0)
        east = _centred(np.rad2deg(np.arctan2(y, x)), middle)
        yield np.rad2deg(np.arctan2(z, np.hypot(x, y))), east, np.ones_like(x), (down, across)


def _count(cell: float, spacing: float) -> int:
    """Points along a side of a cell: as many as the relief has."""
    return max(1, int(np.ceil(cell / spacing - 1e-3)))


def _offsets(count: int) -> np.ndarray:
    """Positions of the points in a cell that reaches from -0.5 to 0.5."""
    return (np.arange(count) + 0.5) / count - 0.5


def _cell_means(values: np.ndarray, counts: tuple[int, int]) -> np.ndarray:
    """[h a, w b] -> [h, w]."""
    (h, w), (a, b) = values.shape, counts
    return values.reshape(h // a, a, w // b, b).mean((1, 3))
