"""Inputs of a trained model from several observational products: on its fine grid, smoothed as in training.

Every product has its own grid, resolution and times; `downscale.inputs` expects one data set whose fields are as smooth
as in training.
"""

from collections.abc import Mapping
from typing import NamedTuple

import dask
import dask.array
import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.boxes import box_filter
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.runtime.errors import UserError


class Observed(NamedTuple):
    """An observed input: a canonical data set that holds it, and the width [km] over which its values are means."""

    fields: xr.Dataset
    resolution_km: float


def to_inputs(
    products: Mapping[str, Observed], kernels_km: Mapping[str, float], statics: xr.Dataset, target: str
) -> xr.Dataset:
    """The inputs named by `products`, on the grid of `statics` (`mask`, coordinates) at the times of the target.

    They are interpolated to the fine grid (`ToFine`), then smoothed by a box over the sea of width sqrt(kernel^2 -
    resolution^2): variances of boxes add, so that the result is as smooth as the kernel of training; inputs coarser
    than the kernel are not smoothed. Other products are taken at their first time on the target's day. Gaps remain,
    except those that `ToFine` fills. Raises UserError where the products share no day.
    """
    fine = statics[['mask']]
    mask = fine['mask'].values.astype(bool)
    area, sizes, periodic = grid.cell_areas_km2(fine) * mask, grid.cell_sizes_km(fine), grid.is_periodic(fine)
    days = {name: _first_of_day(product.fields) for name, product in products.items()}
    shared = [day for day in days[target] if all(day in indices for indices in days.values())]
    if not shared:
        periods = '; '.join(f'{name} {next(iter(indices))} to {list(indices)[-1]}' for name, indices in days.items())
        raise UserError(f'the products share no day: {periods}')

    grids = {id(fields): fields for fields, _ in products.values()}
    to_fine = {key: ToFine(fields, fine) for key, fields in grids.items()}  # seconds for a large grid

    def read(name, index):
        fields, resolution = products[name]
        values = to_fine[id(fields)](store.load(fields[name].isel(time=index)).values)
        width = np.sqrt(max(kernels_km[name] ** 2 - resolution**2, 0.0))
        widths = width / float(np.median(sizes[0])), width / sizes[1]
        return box_filter(np.where(mask, values, np.nan), area, *widths, periodic).astype(np.float32)[None]

    variables = {}
    for name, (fields, _) in products.items():
        planes = [
            dask.array.from_delayed(dask.delayed(read)(name, days[name][day]), (1, *mask.shape), np.float32)
            for day in shared
        ]
        attrs = {key: value for key, value in fields[name].attrs.items() if key != 'grid_mapping'}
        variables[name] = (('time', *fine['mask'].dims), dask.array.concatenate(planes), attrs)
    times = products[target].fields['time'].values[[days[target][day] for day in shared]]
    coords = {name: coordinate for name, coordinate in fine.coords.items() if name != 'time'}
    return xr.Dataset(variables, {**coords, 'time': ('time', times)})


def _first_of_day(fields: xr.Dataset) -> dict[str, int]:
    """{'2020-03-01': index of its first time}; dates are compared as text, since products may differ in calendar."""
    first: dict[str, int] = {}
    for index, time in enumerate(fields['time'].values):
        first.setdefault(iso(time)[:10], index)
    return first
