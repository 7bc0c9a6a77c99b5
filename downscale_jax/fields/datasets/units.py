"""Conversion of units in CF and UDUNITS spellings."""

import logging
import re

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

_DIMENSIONLESS = {'(0 - 1)', '0-1', '0 - 1', 'fraction', 'unitless', 'none', '-', '~'}


def convert_units(array: xr.DataArray, units: str) -> xr.DataArray:
    """`array` in `units`, lazily; the same object where they are equal or `units` is ''.

    The mass of water per area and its depth are equivalent, and so are their rates: 1 kg m-2 is 1 mm, 1 kg m-2 s-1 is
    86400 mm day-1. An amount is not converted to a rate, since its units do not include the period of accumulation.

    Raises UserError where the array has no units, or units that cannot be converted.
    """
    name = array.name or 'the array'
    own = array.attrs.get('units')
    if own == units or units == '':
        return array
    if own is None:
        raise UserError(f"'{name}' has no units; '{units}' was expected: add the attribute units to the variable")
    logging.getLogger('pint.util').setLevel(logging.ERROR)  # cf_xarray redefines units, about which pint warns
    from cf_xarray.units import units as registry  # 1.5 s

    try:
        factor, unit = _parse(registry, str(own))
        _, target = _parse(registry, units)
        water = registry.Quantity(1000, 'kg m-3')
        duration = (unit / target / registry.second).dimensionality
        if duration in (registry.Unit('1').dimensionality, water.dimensionality, (1 / water).dimensionality):
            raise UserError(
                f"'{name}' is an amount in '{own}' where a rate in '{units}' is expected: set its units to the "
                f"rate that it is ('{own} day-1' where it is a monthly mean of ERA5, by ECMWF's documentation)"
            )
        quantity = registry.Quantity(array.data * factor if factor != 1 else array.data, unit)
        if (unit / target).dimensionality == water.dimensionality:
            quantity = quantity / water
        elif (target / unit).dimensionality == water.dimensionality:
            quantity = quantity * water
        data = quantity.to(target).magnitude
    except UserError:
        raise
    except Exception as error:  # pint's errors have no common base but Exception
        raise UserError(f"'{name}' has units '{own}', which cannot be converted to '{units}'; correct one") from error
    dtype = array.dtype if array.dtype.kind == 'f' else np.float64
    return array.copy(data=data.astype(dtype)).assign_attrs(units=units)


def _parse(registry, units: str):
    """(factor, unit): CMEMS has axes in '100 km', ECMWF fractions in '(0 - 1)' and depths in 'm of water equivalent',
    NOAA 'Pascals' and 'Kg/m^2/s'."""
    from pint import UndefinedUnitError

    units = re.sub(r'\s+of water equivalent', '', units)
    if units.strip().lower() in _DIMENSIONLESS:
        return 1, registry.parse_units('1')
    if match := re.fullmatch(r'\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?:\s+(.*)|)', units, re.IGNORECASE):
        return float(match[1]), registry.parse_units(match[2] or '1')
    try:
        return 1, registry.parse_units(units)
    except UndefinedUnitError:
        return 1, registry.parse_units(units.lower())
