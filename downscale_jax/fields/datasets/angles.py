"""Latitudes and longitudes as numbers: degrees north and east from any unit, and columns in spatial order."""

import re

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.axes import NUMERIC_KINDS, role_of
from downscale_jax.fields.datasets.units import conversion
from downscale_jax.runtime.errors import UserError

GAP = 1.5  # longitudes are cut open at a gap of this many steps
_DEGREES = re.compile(r'(deg|°|decimal[ _]deg).*|1|', re.IGNORECASE)
_REVERSED = re.compile(r'(degrees?|deg|°)[ _]*(west|south|w)|(degrees?|deg)[ _]s|°s', re.IGNORECASE)


def degrees(array: xr.DataArray, source: str) -> np.ndarray:
    """float64 degrees, north and east positive, of an angle that may be in radians, arc minutes, or degrees west.

    Raises UserError for units that are not those of an angle.
    """
    values, units = array.values.astype(np.float64), str(array.attrs.get('units', '')).strip()
    if _REVERSED.fullmatch(units):
        return -values
    if _DEGREES.fullmatch(units):
        return values
    try:
        return values * conversion(units, 'degree', str(array.name)).scale
    except UserError as error:
        raise UserError(f'{source}: {error}') from error


def in_one_run(dataset: xr.Dataset) -> xr.Dataset:
    """The data set with its columns in spatial order: 0 to 9, 350 to 359 becomes -10 to 9.

    Regions across Greenwich or the date line are stored in the first form where a program has sorted their longitudes.
    """
    for dim in dataset.dims:
        if dim not in dataset.coords or role_of(dataset, dim) != 'lon' or dataset[dim].dtype.kind not in NUMERIC_KINDS:
            continue
        circle = 2 * np.pi if str(dataset[dim].attrs.get('units', '')).lower().startswith('rad') else 360.0
        start = _start_of_run(dataset[dim].values.astype(float), circle)
        if start:
            dataset = dataset.isel({dim: np.roll(np.arange(dataset.sizes[dim]), -start)})
            values = np.unwrap(dataset[dim].values.astype(float), period=circle)
            values = values - circle if values.mean() > circle / 2 else values
            dataset = dataset.assign_coords({dim: (dim, values, dataset[dim].attrs)})
    return dataset


def _start_of_run(longitudes: np.ndarray, circle: float) -> int:
    """The index after the largest gap of longitudes [n] that go once round the circle; 0 where it is at their end."""
    for direction in (1, -1):
        steps = direction * (np.roll(longitudes, -1) - longitudes) % circle
        gap = int(steps.argmax())
        if abs(steps.sum() - circle) < 1e-5 * circle and steps[gap] > GAP * max(np.median(steps), steps[-1]):
            return (gap + 1) % longitudes.size
    return 0
