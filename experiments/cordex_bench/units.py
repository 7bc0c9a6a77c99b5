"""Equality of units in their various spellings."""

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError


def equal_units(own: str, wanted: str) -> bool:
    """Whether a number means the same in both: 'mm day-1' is 'kg m-2 day-1', but 'degC' is not 'K'."""
    numbers = [1.0, 2.0]
    try:
        return np.allclose(convert_units(xr.DataArray(numbers, attrs={'units': own}), wanted).values, numbers)
    except UserError:
        return False
