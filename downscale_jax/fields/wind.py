"""Relative vorticity and horizontal divergence of winds.

On a global grid by spherical harmonics: winds are a vector field of spin 1, of which the sphere has no pole. On every
other evenly spaced grid by the fluxes through, and the circulation around, each cell.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import xarray as xr
from scipy.special import roots_legendre

from downscale_jax.fields.grid import EARTH_RADIUS_KM, is_periodic
from downscale_jax.fields.units import convert_units
from downscale_jax.runtime.errors import UserError, nearest

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
    """A canonical data set (`store.canonical`) with `vorticity` and `divergence` [s-1] in the place of its winds.

    `u`, `v` are eastward and northward on (..., lat, lon), along x and y on (..., y, x). float32, chunk by chunk where
    the winds are lazy, and one time after the other within a chunk. Latitudes may run either way, longitudes from
    anywhere.

    Global grids, evenly spaced with both poles or with neither, or Gaussian: by spherical harmonics, exact up to total
    wavenumber H - 2 with poles, H - 1 without, and no more than (W - 1)/2; shorter waves are dropped. Other grids:
    second order (first in the rows beside a pole), one-sided at the edges, NaN where a neighbour is missing; distances
    of a projection count as they are, without map factor.

    Raises UserError: a component missing, units missing or not of speed, a grid with uneven steps or without one.
    Computing raises it where winds on a global grid have gaps. A time that misses a whole component is NaN.
    """
    for name in (u, v):
        if name not in fields:
            raise UserError(
                f"the winds have no '{name}'; both components '{u}' and '{v}' were expected, "
                f'found {", ".join(sorted(map(str, fields.data_vars)))}; {nearest(name, map(str, fields.data_vars))}'
            )
    derive = _method(fields, fields[u])
    space = fields[u].dims[-2:]
    results = xr.apply_ufunc(
        lambda u, v: _time_by_time(derive, u, v),
        convert_units(fields[u], 'm s-1'),
        convert_units(fields[v], 'm s-1'),
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


def _time_by_time(derive: Derive, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vorticity, divergence = np.empty(u.shape, np.float32), np.empty(u.shape, np.float32)
    for at in np.ndindex(u.shape[:-2]):
        if np.isnan(u[at]).all() or np.isnan(v[at]).all():  # a gap in time, not on the grid
            vorticity[at] = divergence[at] = np.nan
        else:
            vorticity[at], divergence[at] = derive(u[at].astype(np.float64), v[at].astype(np.float64))
    return vorticity, divergence


def _method(grid: xr.Dataset, wind: xr.DataArray) -> Derive:
    if {'x', 'y'} <= set(grid.coords):
        if 'eastward' in str(wind.attrs.get('standard_name', '')):
            raise UserError(
                f"'{wind.name}' is eastward on a grid of x and y; winds along x and y were expected: rotate them"
            )
        y, x = (even(grid[name]) for name in 'yx')
        return _plane(y, x)
    if 'lat' not in grid.coords or 'lon' not in grid.coords or grid['lat'].ndim != 1:
        raise UserError(
            f"the grid of '{wind.name}', {dict(wind.sizes)}, is neither evenly spaced in latitude and longitude nor in "
            'x and y in metres; vorticity needs one of them: interpolate the winds beforehand'
        )
    geometry = global_geometry(grid)
    lat, lon = (grid[name].values.astype(float) for name in ('lat', 'lon'))
    if geometry:
        return lambda u, v: by_harmonics(u, v, geometry, lat[0] < lat[-1], lon[0] > lon[-1])
    return sphere(even(grid['lat']), even(grid['lon']), is_periodic(grid))


def even(axis: xr.DataArray) -> np.ndarray:
    """The values of a coordinate made exactly even. Raises UserError: fewer than 3 of them, uneven steps."""
    values = axis.values.astype(float)
    if values.size < 3:
        raise UserError(f"'{axis.name}' has {values.size} values; 3 or more were expected: take a larger grid")
    steps = np.diff(values)
    # coordinates in float32 are off by up to 1e-3 of a hundredth of a degree, Gaussian latitudes by 5e-3 and more
    if np.ptp(steps) > 4e-3 * abs(np.median(steps)):
        low, high = np.sort(np.abs(steps))[[0, -1]]
        raise UserError(
            f"'{axis.name}' has uneven steps, {low:.6g} to {high:.6g}; even steps, or a global Gaussian grid, were "
            'expected: interpolate the fields beforehand'
        )
    return np.linspace(values[0], values[-1], values.size)


def global_geometry(grid: xr.Dataset) -> str:
    """ducc0's name of a global grid of 1-D lat, lon, '' where it is none that the harmonics fit exactly.

    'CC': evenly spaced latitudes with both poles, 'F1': with neither, 'GL': Gaussian. Raises UserError: longitudes with
    uneven steps or repeated.
    """
    lon, lat = even(grid['lon']), grid['lat'].values.astype(float)
    if abs(lon[-1] - lon[0]) > 359.99:
        raise UserError(f'longitudes {lon[0]:g} to {lon[-1]:g} meet themselves again; drop the columns that repeat')
    if not is_periodic(grid):
        return ''
    n = lat.size
    known = {
        'CC': np.linspace(-90, 90, n),
        'F1': (np.arange(n) + 0.5) * 180 / n - 90,
        'GL': np.rad2deg(np.arcsin(roots_legendre(n)[0])),
    }
    return next((name for name, at in known.items() if np.abs(np.sort(lat) - at).max() < 0.02 * 180 / n), '')


def truncation(geometry: str, height: int, width: int) -> int:
    """The highest total wavenumber whose harmonics a global grid [H, W] resolves exactly."""
    return min(height - (2 if geometry == 'CC' else 1), (width - 1) // 2)


def spherical_harmonics() -> ModuleType:
    """`ducc0.sht`: orthonormal harmonics; coefficients of real fields for m >= 0, order by order."""
    try:
        import ducc0  # under the GPL: an extra, not a dependency
    except ImportError as error:
        raise UserError("global fields need ducc0: pip install 'downscale_jax[spectral]'") from error
    return ducc0.sht


def by_harmonics(
    u: np.ndarray, v: np.ndarray, geometry: str, northward: bool, westward: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Vorticity and divergence [H, W] of float64 winds on a global grid; `geometry` in ducc0's names.

    With spheroidal and toroidal coefficients E, B of (-v, u), the components along colatitude and longitude:
    divergence = -sum sqrt(l (l + 1)) E Y / a, vorticity = -sum sqrt(l (l + 1)) B Y / a. `northward`, `westward`: how
    rows and columns run.
    """
    if not (np.isfinite(u).all() and np.isfinite(v).all()):
        raise UserError(
            'the winds have missing values on a global grid, whose vorticity needs them all; fill them, drop such '
            'times, or cut a region'
        )
    sht = spherical_harmonics()
    turn = (slice(None, None, -1 if northward else 1), slice(None, None, -1 if westward else 1))
    height, width = u.shape
    top = truncation(geometry, height, width)
    harmonics = {'lmax': top, 'mmax': top, 'geometry': geometry}
    coefficients = sht.analysis_2d(map=np.stack([-v[turn], u[turn]]), spin=1, **harmonics)
    degree = np.concatenate([np.arange(m, top + 1) for m in range(top + 1)])
    coefficients *= -np.sqrt(degree * (degree + 1)) / RADIUS
    divergence, vorticity = (
        sht.synthesis_2d(alm=part, spin=0, ntheta=height, nphi=width, **harmonics)[0][turn]
        for part in (coefficients[:1], coefficients[1:])
    )
    return vorticity, divergence


def _plane(y: np.ndarray, x: np.ndarray) -> Derive:
    dy, dx = y[1] - y[0], x[1] - x[0]
    side, width, area = np.full(y.size, dy), np.full(y.size + 1, dx), np.full(y.size, dy * dx)
    return lambda u, v: by_differences(u, v, side, width, area, False)


def sphere(lat: np.ndarray, lon: np.ndarray, periodic: bool) -> Derive:
    """`by_differences` on evenly spaced degrees; the cell of a pole is the cap around it, one for the whole row."""
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
    """Circulation around each cell and flux out of it, by its area; winds on a face are the mean of both sides' [H, W].

    side [H] of the faces between columns, width [H + 1] of those between rows, area [H]; signed as the axes run, so
    that their direction does not matter. Summed over a closed surface both are zero, to rounding.
    """

    def flux(across, along):
        rows = _extended(along)
        columns = np.pad(across, ((0, 0), (1, 1)), mode='wrap') if periodic else _extended(across.T).T
        through_columns = (columns[:, 2:] - columns[:, :-2]) / 2 * side[:, None]
        return (through_columns + np.diff((rows[1:] + rows[:-1]) / 2 * width[:, None], axis=0)) / area[:, None]

    return flux(v, -u), flux(u, v)


def _extended(x: np.ndarray) -> np.ndarray:
    """One row more at either end, on a parabola: differences there become one-sided, still of second order."""
    return np.concatenate([3 * x[:1] - 3 * x[1:2] + x[2:3], x, 3 * x[-1:] - 3 * x[-2:-1] + x[-3:-2]])
