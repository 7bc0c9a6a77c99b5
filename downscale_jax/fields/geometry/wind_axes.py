"""Components of winds along the axes of a rotated or projected grid."""

from collections.abc import Collection

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.grid import axes_of
from downscale_jax.fields.geometry.interpolation import unit_vectors
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

EASTWARD, NORTHWARD = 'eastward_wind', 'northward_wind'
ALONG = {'x_wind', 'y_wind', 'grid_eastward_wind', 'grid_northward_wind'}  # CF standard names


def along_axes(fields: xr.Dataset, u: str, v: str) -> tuple[xr.DataArray, xr.DataArray]:
    """The components of the winds `u`, `v` (..., H, W) along the axes of their grid, lazily.

    Those of a grid of latitudes and longitudes are kept; on other grids those called eastward_wind and
    northward_wind are turned by the angle between east and the x axis. Components without a standard name are taken to
    be along the axes, with a warning.

    Raises UserError where only one of the two is along an axis, and where a grid without 2-D latitudes and longitudes
    leaves the angle unknown.
    """
    if axes_of(fields) == ('lat', 'lon'):
        return fields[u], fields[v]
    called = [str(fields[name].attrs.get('standard_name', '')) for name in (u, v)]
    geographic = [name in (EASTWARD, NORTHWARD) for name in called]
    if geographic[0] != geographic[1]:
        raise UserError(
            f"'{u}' is called '{called[0]}' and '{v}' '{called[1]}' on a rotated or projected grid: both must be "
            'eastward and northward, or both along x and y; correct the standard names'
        )
    if geographic[0]:
        return _turned(fields, u, v)
    if not set(called) <= ALONG:
        messages.warning(
            f"'{u}' and '{v}' are taken to be along the axes of the rotated or projected grid: give them the standard "
            "names 'x_wind' and 'y_wind', or 'eastward_wind' and 'northward_wind'"
        )
    return fields[u], fields[v]


def is_known(grid: xr.Dataset, names: Collection[str]) -> bool:
    """Whether winds with these two standard names have components along evenly spaced axes of the grid."""
    axes, geographic = axes_of(grid), {EASTWARD, NORTHWARD} & set(names)
    return axes is not None and (
        axes == ('lat', 'lon') or not geographic or (len(geographic) == len(names) and _has_planes(grid))
    )


def _has_planes(grid: xr.Dataset) -> bool:
    return all(name in grid.coords and grid[name].ndim == 2 for name in ('lat', 'lon'))


def _turned(fields: xr.Dataset, u: str, v: str) -> tuple[xr.DataArray, xr.DataArray]:
    if not _has_planes(fields):
        raise UserError(
            f"'{u}' is eastward on a rotated or projected grid without latitudes and longitudes, so that it cannot be "
            'turned to its axes: add 2-D latitudes and longitudes'
        )
    axes = axes_of(fields)
    assert axes
    x = fields[axes[1]].values
    planes = angle_of_x(fields['lat'].values, fields['lon'].values, x[-1] > x[0])
    cosine, sine = (xr.DataArray(plane, dims=fields[u].dims[-2:]) for plane in planes)
    along_x = cosine * fields[u] + sine * fields[v]
    along_y = cosine * fields[v] - sine * fields[u]
    return along_x.transpose(*fields[u].dims), along_y.transpose(*fields[u].dims)


def angle_of_x(lat: np.ndarray, lon: np.ndarray, ascending: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine [H, W] of the angle from east, anticlockwise, to the direction in which x increases.

    lat, lon: degrees [H, W] of cells with even steps along x; `ascending` says that x increases along the columns.
    """
    points = unit_vectors(lat, lon)
    step = np.gradient(points, axis=1, edge_order=2) * (1 if ascending else -1)
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    east = np.stack([-np.sin(lam), np.cos(lam), np.zeros_like(lam)], -1)
    north = np.stack([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)], -1)
    eastward, northward = ((step * direction).sum(-1) for direction in (east, north))
    length = np.hypot(eastward, northward)
    return eastward / length, northward / length
