"""Alignment of files of one series by 2-D latitudes and longitudes: rows and columns in the order of the first."""

from collections.abc import Hashable
from itertools import product

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import NAMES, NUMERIC_KINDS

TOLERANCE = 1e-3  # of a cell, between the positions of two files


def in_order_of(first: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    """The data set, on dimensions of the same names and sizes, with the 2-D positions of the first where both agree.

    Longitudes may be counted from 0 or from -180. Rows and columns may run the other way, unless they have coordinates
    in some unit, which say how they run. A data set with other positions, or with none, is returned as it is.
    """
    names = [next(iter(_planes(first, role) & _planes(dataset, role)), None) for role in ('lat', 'lon')]
    lat, lon = names
    if lat is None or lon is None or first[lat].sizes != first[lon].sizes or first[lat].sizes != dataset[lat].sizes:
        return dataset
    dims = first[lat].dims
    ways = [(1, -1) if dim not in first.indexes or 'units' not in first[dim].attrs else (1,) for dim in dims]
    for steps in product(*ways):
        order = {dim: slice(None, None, step) for dim, step in zip(dims, steps, strict=True)}
        turned = dataset.isel(order)
        if _agree(*(data[name].transpose(*dims).values for data in (first, turned) for name in (lat, lon))):
            shared = {dim: first[dim].variable for dim in dims if dim in first.indexes}
            places = {name: first[name].variable for name in (lat, lon)}
            return turned.assign(places).assign_coords(shared)
    return dataset


def _planes(dataset: xr.Dataset, role: str) -> set[Hashable]:
    return {
        name
        for name, variable in dataset.variables.items()
        if str(name).lower() in NAMES[role] and variable.ndim == 2 and variable.dtype.kind in NUMERIC_KINDS
    }


def _agree(lat: np.ndarray, lon: np.ndarray, other_lat: np.ndarray, other_lon: np.ndarray) -> bool:
    """Whether positions [H, W] in degrees are the same within `TOLERANCE` of a step along the grid."""
    north = np.abs(other_lat.astype(float) - lat)
    east = (other_lon.astype(float) - lon + 180) % 360 - 180
    missing = np.isnan(lat) | np.isnan(lon)
    if not np.array_equal(missing, np.isnan(other_lat) | np.isnan(other_lon)) or missing.all():
        return False
    away = np.hypot(north, east * np.cos(np.deg2rad(lat)))
    steps = [np.abs(np.diff(lat, axis=axis)) for axis in (0, 1) if lat.shape[axis] > 1]
    cell = max((float(np.nanmedian(step)) for step in steps), default=1.0)
    return float(np.nanmax(away)) <= TOLERANCE * cell
