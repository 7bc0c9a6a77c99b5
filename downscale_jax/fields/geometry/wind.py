"""Relative vorticity and horizontal divergence of winds.

On a global grid by spherical harmonics, to which the poles are points like any other. On every other evenly spaced
grid by the fluxes through, and the circulation around, each cell.
"""

from collections.abc import Callable
from typing import get_args

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM, axes_of, is_periodic
from downscale_jax.fields.geometry.harmonics import Rows, harmonics, latitudes
from downscale_jax.fields.geometry.wind_axes import along_axes
from downscale_jax.runtime.errors import UserError, suggestion

RADIUS = EARTH_RADIUS_KM * 1000
ATTRIBUTES = {
    'vorticity': {
        'units': 's-1',
        'standard_name': 'atmosphere_upward_relative_vorticity',
        'long_name': 'relative vorticity',
    },
    'divergence': {
        'units': 's-1',
        'standard_name': 'divergence_of_wind',
        'long_name': 'divergence of the horizontal wind',
    },
}

Derive = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # u, v [H, W] -> vorticity, divergence


def vorticity_divergence(fields: xr.Dataset, u: str = 'u', v: str = 'v') -> xr.Dataset:
    """A canonical data set (`datasets.canonical`) with `vorticity` and `divergence` [s-1] in place of its winds.

    `u`, `v` are eastward and northward on (..., lat, lon); on rotated and projected grids they are turned to the axes
    where their standard names say so (`wind_axes`). The result is float32, computed chunk by chunk where the winds are
    lazy, and time by time within a chunk. Latitudes may run either way, longitudes may start anywhere.

    Global grids, evenly spaced with both poles or with neither, or Gaussian: by spherical harmonics, exact up to total
    wavenumber H - 2 with poles, H - 1 without, and at most (W - 1)/2; shorter waves are dropped (`harmonics`). Other
    grids: second order (first order in the rows beside a pole), one-sided at the edges, NaN where a neighbour is
    missing; the map factor of a projection is ignored.

    Raises UserError for a missing component, units that are missing or not of speed, and a grid that is not evenly
    spaced. Computing raises it where winds on a global grid have gaps. A time without any value of a component is NaN.
    """
    for name in (u, v):
        if name not in fields:
            raise UserError(
                f"the winds have no '{name}'; both components '{u}' and '{v}' were expected, "
                f'found {", ".join(sorted(map(str, fields.data_vars)))}; {suggestion(name, map(str, fields.data_vars))}'
            )
    derive = _method(fields, fields[u])
    components = along_axes(fields.assign({name: convert_units(fields[name], 'm s-1') for name in (u, v)}), u, v)
    space = fields[u].dims[-2:]
    results = xr.apply_ufunc(
        lambda u, v: _time_by_time(derive, u, v),
        *components,
        input_core_dims=[space, space],
        output_core_dims=[space, space],
        dask='parallelized',
        output_dtypes=[np.float32, np.float32],
        dask_gufunc_kwargs={'allow_rechunk': True},
    )
    derived = {
        name: array.drop_attrs().assign_attrs(attrs)
        for (name, attrs), array in zip(ATTRIBUTES.items(), results, strict=True)
    }
    return fields.drop_vars([u, v]).assign(derived)


def allows_vorticity(grid: xr.Dataset) -> bool:
    """Whether the steps of the grid allow `vorticity_divergence`: it is evenly spaced, or global and harmonics fit."""
    try:
        _method(grid, grid['mask'])
    except UserError:
        return False
    return True


def _time_by_time(derive: Derive, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vorticity, divergence = np.empty(u.shape, np.float32), np.empty(u.shape, np.float32)
    for at in np.ndindex(u.shape[:-2]):
        if np.isnan(u[at]).all() or np.isnan(v[at]).all():  # a gap in time, not on the grid
            vorticity[at] = divergence[at] = np.nan
        else:
            vorticity[at], divergence[at] = derive(u[at].astype(np.float64), v[at].astype(np.float64))
    return vorticity, divergence


def _method(grid: xr.Dataset, wind: xr.DataArray) -> Derive:
    axes = axes_of(grid)
    if axes is None:
        raise UserError(
            f"the grid of '{wind.name}', {dict(wind.sizes)}, is not evenly spaced in latitude and longitude, in "
            'rotated degrees, or in x and y in metres; vorticity needs one of them: interpolate the winds beforehand'
        )
    if axes == ('y', 'x'):
        return _plane(even(grid['y']), even(grid['x']))
    if axes == ('rlat', 'rlon'):
        return sphere(even(grid['rlat']), even(grid['rlon']), False)
    rows = global_rows(grid)
    lat, lon = (grid[name].values.astype(float) for name in ('lat', 'lon'))
    if rows:
        return lambda u, v: by_harmonics(u, v, rows, lat[0] < lat[-1], lon[0] > lon[-1])
    return sphere(even(grid['lat']), even(grid['lon']), is_periodic(grid))


def even(axis: xr.DataArray) -> np.ndarray:
    """The values of a coordinate with exactly even steps. Raises UserError for uneven steps or fewer than 3 values."""
    values = axis.values.astype(float)
    if values.size < 3:
        raise UserError(f"'{axis.name}' has {values.size} values; 3 or more were expected: take a larger grid")
    steps = np.diff(values)
    # coordinates in float32 deviate by up to 1e-3 of a step of 0.01 degrees, Gaussian latitudes by 5e-3 and more
    if np.ptp(steps) > 4e-3 * abs(np.median(steps)):
        low, high = np.sort(np.abs(steps))[[0, -1]]
        raise UserError(
            f"'{axis.name}' has uneven steps, {low:.6g} to {high:.6g}; even steps, or a global Gaussian grid, were "
            'expected: interpolate the fields beforehand'
        )
    return np.linspace(values[0], values[-1], values.size)


def global_rows(grid: xr.Dataset) -> Rows | None:
    """How the latitudes of a global grid of 1-D lat, lon lie; None where harmonics do not fit the grid exactly.

    Raises UserError where longitudes have uneven steps or repeat.
    """
    lon, lat = even(grid['lon']), grid['lat'].values.astype(float)
    if abs(lon[-1] - lon[0]) > 359.99:
        raise UserError(f'longitudes {lon[0]:g} to {lon[-1]:g} repeat the first meridian; drop the columns that repeat')
    if not is_periodic(grid):
        return None
    tolerance = 0.02 * 180 / lat.size
    fits = (rows for rows in get_args(Rows) if np.abs(np.sort(lat) - latitudes(rows, lat.size)).max() < tolerance)
    return next(fits, None)


def by_harmonics(
    u: np.ndarray, v: np.ndarray, rows: Rows, northward: bool, westward: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Vorticity and divergence [H, W] of float64 winds on a global grid, whose rows may run northward and columns
    westward. Raises UserError where values are missing."""
    if not (np.isfinite(u).all() and np.isfinite(v).all()):
        raise UserError(
            'the winds have missing values on a global grid, whose vorticity needs them all; fill them, drop such '
            'times, or cut a region'
        )
    turn = (slice(None, None, -1 if northward else 1), slice(None, None, -1 if westward else 1))
    vorticity, divergence = harmonics(rows, *u.shape).curl_divergence(u[turn], v[turn])
    return vorticity[turn] / RADIUS, divergence[turn] / RADIUS


def _plane(y: np.ndarray, x: np.ndarray) -> Derive:
    dy, dx = y[1] - y[0], x[1] - x[0]
    side, width, area = np.full(y.size, dy), np.full(y.size + 1, dx), np.full(y.size, dy * dx)
    return lambda u, v: by_differences(u, v, side, width, area, False)


def sphere(lat: np.ndarray, lon: np.ndarray, periodic: bool) -> Derive:
    """`by_differences` on evenly spaced degrees; the row of a pole is one cell, the cap around it."""
    step, dlon = lat[1] - lat[0], np.deg2rad(lon[1] - lon[0])
    faces = np.deg2rad(np.clip(np.append(lat - step / 2, lat[-1] + step / 2), -90, 90))
    side, width = RADIUS * np.diff(faces), RADIUS * dlon * np.cos(faces)
    area = RADIUS**2 * dlon * np.diff(np.sin(faces))
    polar = np.abs(lat) > 90 - 0.01 * abs(step)

    def derive(u, v):
        results = by_differences(u, v, side, width, area, periodic)
        for result in results:
            result[polar] = result[polar].mean(1, keepdims=True) if periodic else np.nan
        return results

    return derive


def by_differences(
    u: np.ndarray, v: np.ndarray, side: np.ndarray, width: np.ndarray, area: np.ndarray, periodic: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Circulation around each cell and flux out of it, divided by its area; a face has the mean wind of its sides.

    u, v [H, W]; side [H] of the faces between columns, width [H + 1] of those between rows, area [H], all signed by the
    direction of the axes. Summed over a closed surface both results are zero, to rounding.
    """

    def flux(across, along):
        rows = _extended(along)
        columns = np.pad(across, ((0, 0), (1, 1)), mode='wrap') if periodic else _extended(across.T).T
        through_columns = (columns[:, 2:] - columns[:, :-2]) / 2 * side[:, None]
        return (through_columns + np.diff((rows[1:] + rows[:-1]) / 2 * width[:, None], axis=0)) / area[:, None]

    return flux(v, -u), flux(u, v)


def _extended(x: np.ndarray) -> np.ndarray:
    """With a further row at either end, on a parabola: one-sided differences there stay of second order."""
    return np.concatenate([3 * x[:1] - 3 * x[1:2] + x[2:3], x, 3 * x[-1:] - 3 * x[-2:-1] + x[-3:-2]])
