"""Units of variables, by CF and UDUNITS spellings."""

import re

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

_DIMENSIONLESS = {'(0 - 1)', '0-1', '0 - 1', 'fraction', 'unitless', 'none', '-', '~'}


def convert_units(array: xr.DataArray, units: str) -> xr.DataArray:
    """`array` in `units`, lazily; the same object where they are equal or '' is asked for. CF and UDUNITS spellings.

    A mass of water on an area and its depth are the same: 1 kg m-2 is 1 mm.
    """
    name = array.name or 'the array'
    own = array.attrs.get('units')
    if own == units or units == '':
        return array
    if own is None:
        raise UserError(f"'{name}' has no units; '{units}' was expected: add the attribute units to the variable")
    from cf_xarray.units import units as registry  # 1.5 s

    try:
        factor, unit = _parse(registry, str(own))
        _, target = _parse(registry, units)
        water = registry.Quantity(1000, 'kg m-3')
        found = registry.Quantity(array.data * factor if factor != 1 else array.data, unit)
        if (unit / target).dimensionality == water.dimensionality:
            found = found / water
        elif (target / unit).dimensionality == water.dimensionality:
            found = found * water
        data = found.to(target).magnitude
    except Exception as error:  # pint's errors have no common base but Exception
        raise UserError(f"'{name}' has units '{own}', which cannot be converted to '{units}'; correct one") from error
    dtype = array.dtype if array.dtype.kind == 'f' else np.float64
    return array.copy(data=data.astype(dtype)).assign_attrs(units=units)


def _parse(registry, units: str):
    """(factor, unit): CMEMS has axes in '100 km', ECMWF fractions in '(0 - 1)'."""
    if units.strip().lower() in _DIMENSIONLESS:
        return 1, registry.parse_units('1')
    if match := re.fullmatch(r'\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?:\s+(.*)|)', units, re.IGNORECASE):
        return float(match[1]), registry.parse_units(match[2] or '1')
    return 1, registry.parse_units(units)
