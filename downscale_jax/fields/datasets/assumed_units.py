"""Units of variables whose file names none, by definition of the data, checked against plausible values."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

TIMES = 24  # that are read for the check, evenly spread
# (lowest, highest) that the largest value may be: rain in kg m-2 s-1 stays far below, as do temperatures in degC
PLAUSIBLE = {'mm day-1': (1.0, 5000.0), 'mm/day': (1.0, 5000.0), 'K': (200.0, 350.0)}


def with_assumed_units(dataset: xr.Dataset, names: Sequence[str], units: Sequence[str], source: str) -> xr.Dataset:
    """The data set in which those of the named variables that lack units have the given ones, '' to leave them out.

    Raises UserError where the values are implausible in them.
    """
    for name, unit in zip(names, units, strict=True):
        if unit and name in dataset and 'units' not in dataset[name].attrs:
            check_plausible(dataset[name], unit, f"{source}: '{name}' has no units")
            messages.info(f"{source}: '{name}' has no units, {unit} is assumed")
            dataset = dataset.assign({name: dataset[name].assign_attrs(units=unit)})
    return dataset


def check_plausible(array: xr.DataArray, unit: str, what: str) -> None:
    """Raises UserError where the largest value at a few times is implausible in `unit`; `what` begins its message."""
    if unit not in PLAUSIBLE:
        return
    low, high = PLAUSIBLE[unit]
    first = array.dims[0]
    few = array.isel({first: evenly(array.sizes[first], TIMES)}) if array.ndim > 2 else array
    largest = float(np.nanmax(store.load(few).values))
    if not low <= largest <= high:
        raise UserError(
            f'{what}, and its largest value of {largest:.3g} is implausible in {unit} ({low:g} to {high:g}): '
            'add the attribute units'
        )
