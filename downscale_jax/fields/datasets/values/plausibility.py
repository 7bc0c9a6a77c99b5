"""Physical limits of quantities: values beyond them are impossible, and reveal wrong units or undeclared fill values.

The limits are wide: beyond all records on Earth, with room for the noise of interpolation and packing.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from downscale_jax.fields.datasets import archives
from downscale_jax.fields.datasets.archives import Kind
from downscale_jax.fields.datasets.units import Conversion, conversion, is_difference
from downscale_jax.runtime.errors import UserError

MEAN_DAYS = {'month': 30.436875, 'year': 365.2425}  # exact enough for limits


class Quantity(NamedTuple):
    """A kind of variable with its limits in `units`, and other units in which files hold it."""

    label: str
    units: str
    low: float
    high: float
    others: tuple[str, ...]
    kind: Kind


class Limits(NamedTuple):
    """The limits of a quantity in the units of a file."""

    quantity: Quantity
    units: str
    low: float
    high: float


_PRECIPITATION = Kind(
    archives.PRECIPITATION.standard_names | {'rainfall_rate', 'rainfall_flux', 'rainfall_amount', 'snowfall_flux',
    'convective_precipitation_flux', 'thickness_of_rainfall_amount', 'lwe_thickness_of_rainfall_amount'},
    archives.PRECIPITATION.names | {'prcp', 'rr', 'rain', 'rainf', 'pre', 'ppt'},
)  # fmt: skip
_FLUXES = {
    f'{place}_{way}_{wave}_flux{end}'
    for place, end in (('surface', ''), ('surface', '_in_air'), ('toa', ''))
    for way in ('downwelling', 'upwelling', 'outgoing', 'incoming', 'net_downward')
    for wave in ('shortwave', 'longwave')
}
QUANTITIES = (
    Quantity('air temperature', 'K', 150, 350, ('degC', 'degF'), Kind(
        archives.TEMPERATURE.standard_names,
        archives.TEMPERATURE.names | {'t2', 'tmp', 'tmean', 'tasmin', 'tasmax', 'tmin', 'tmax', 'mn2t', 'mx2t', 'tn',
                                      'tx', 'tg'},
    )),
    Quantity('dew point', 'K', 120, 330, ('degC', 'degF'), Kind(
        {'dew_point_temperature'}, {'d2m', '2d', 'tdps', '2m_dewpoint_temperature'},
    )),
    Quantity('surface temperature', 'K', 120, 400, ('degC', 'degF'), Kind(
        {'surface_temperature', 'soil_temperature', 'sea_surface_temperature', 'sea_surface_skin_temperature',
         'sea_surface_foundation_temperature', 'sea_water_temperature', 'brightness_temperature'},
        {'skt', 'ts', 'sst', 'tos', 'stl1'},
    )),
    # above -1, by which radar products mark missing values
    Quantity('precipitation', 'mm day-1', -0.9, 1e5, ('kg m-2 s-1', 'm s-1', 'm day-1', 'mm h-1'), _PRECIPITATION),
    Quantity('precipitation', 'mm', -0.9, 1e5, ('m',), _PRECIPITATION),  # an amount
    Quantity('wind', 'm s-1', -200, 200, ('km h-1', 'knot'), Kind(
        {'eastward_wind', 'northward_wind', 'x_wind', 'y_wind', 'wind_speed', 'wind_speed_of_gust'},
        {'u10', '10u', 'uas', 'uwnd', '10m_u_component_of_wind', 'v10', '10v', 'vas', 'vwnd',
         '10m_v_component_of_wind', 'u', 'v', 'u100', 'v100', 'ua', 'va', 'sfcwind', 'si10', 'ws10', 'wind_speed'},
    )),
    Quantity('air pressure at the surface', 'Pa', 1e4, 1.2e5, ('hPa', 'kPa'), Kind(
        {'surface_air_pressure', 'air_pressure_at_mean_sea_level', 'air_pressure_at_sea_level'},
        {'sp', 'ps', 'pres', 'surface_pressure', 'psfc', 'msl', 'psl', 'prmsl', 'mslp', 'slp',
         'mean_sea_level_pressure'},
    )),
    Quantity('a radiative flux', 'W m-2', -2000, 3000, (), Kind(
        _FLUXES, {'rsds', 'rlds', 'rsus', 'rlus', 'rsdt', 'rsut', 'rlut', 'swdown', 'glw', 'msdwswrf', 'msdwlwrf'},
    )),
    Quantity('relative humidity', '1', -0.5, 3, ('%',), Kind(
        {'relative_humidity'}, {'hurs', 'rh', 'r', 'hur', 'r2', 'rh2m'},
    )),
    Quantity('specific humidity', '1', -0.01, 0.1, ('g kg-1',), Kind(
        {'specific_humidity', 'humidity_mixing_ratio'}, {'huss', 'hus', 'q', 'q2', 'shum'},
    )),
    Quantity('a fraction of area', '1', -0.5, 1.5, ('%',), Kind(
        {'sea_ice_area_fraction', 'cloud_area_fraction', 'surface_snow_area_fraction'},
        {'sic', 'siconc', 'ci', 'aice', 'ice_conc', 'clt', 'tcc'},
    )),
    Quantity('sea-ice thickness', 'm', -10, 1000, ('cm', 'mm'), Kind(
        {'sea_ice_thickness'}, {'sit', 'sithick', 'hice', 'sea_ice_thickness'},
    )),
)  # fmt: skip


def limits_of(name: str, attrs: Mapping[Hashable, Any]) -> Limits | None:
    """The limits of a variable in its own units, by its CF standard_name, or by its name where it has none.

    None for other quantities, unknown units, differences (anomalies) and measures of spread.
    """
    units = attrs.get('units')
    spread = any(word in str(attrs.get('cell_methods', '')) for word in ('deviation', 'variance', 'range'))
    if units is None or spread or is_difference(attrs):
        return None
    for quantity in QUANTITIES:
        if _is_of(quantity.kind, name, attrs):
            found = _conversion(str(units), quantity.units)
            if found:
                low, high = (_inverse(found, value) for value in (quantity.low, quantity.high))
                return Limits(quantity, str(units), low, high)
    return None


def probable_units(limits: Limits, least: float, most: float) -> str:
    """Units in which values from `least` to `most` would be possible, '' where no usual ones of the quantity are."""
    quantity = limits.quantity
    for units in (quantity.units, *quantity.others):
        found = _conversion(units, quantity.units) if units != limits.units else None
        if found and all(quantity.low <= found.scale * x + found.offset <= quantity.high for x in (least, most)):
            return units
    return ''


def _is_of(kind: Kind, name: str, attrs: Mapping[Hashable, Any]) -> bool:
    standard = str(attrs.get('standard_name', ''))
    if standard in ('', 'unknown'):  # as cfgrib writes
        return name.lower() in kind.names
    return standard in kind.standard_names


def _conversion(own: str, units: str) -> Conversion | None:
    if own == units:
        return Conversion(1.0, 0.0)
    try:
        found = conversion(own, units, '')
    except UserError:
        return None
    return None if found.accumulated else found


def _inverse(found: Conversion, value: float) -> float:
    days = math.prod(MEAN_DAYS[period] ** power for period, power in found.calendar)
    return (value / days - found.offset) / found.scale
