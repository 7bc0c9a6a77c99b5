"""What archives call a variable, and what else is theirs: versions, forecasts of several beginnings, daily amounts.

ERA5 and ERA5-Land of the Climate Data Store (old and new, NetCDF and GRIB), NOAA's 20CR, CMIP and their like.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.units import convert_units
from downscale_jax.runtime.errors import UserError

GRAVITY = 9.80665  # m s-2, by which ECMWF divides a geopotential
PRESSURES = {'pa', 'hpa', 'mb', 'mbar', 'millibar', 'millibars'}
HEIGHTS = {'height', 'heightaboveground', 'level', 'lev'}


class Kind(NamedTuple):
    """What one variable is called."""

    standard_names: set[str]
    names: set[str]  # usual ones, in lower case
    height: float = 0.0  # m above the ground; 0: does not matter


TEMPERATURE = Kind({'air_temperature'}, {'t2m', '2t', 'tas', 'air', '2m_temperature'}, 2.0)
PRECIPITATION = Kind(
    {'precipitation_flux', 'lwe_precipitation_rate', 'precipitation_amount', 'lwe_thickness_of_precipitation_amount'},
    {'tp', 'prate', 'pr', 'precip', 'tprate', 'mtpr', 'avg_tprate', 'total_precipitation'},
)
FIELDS = (
    TEMPERATURE,
    PRECIPITATION,
    Kind({'eastward_wind'}, {'u10', '10u', 'uas', 'uwnd', '10m_u_component_of_wind'}, 10.0),
    Kind({'northward_wind'}, {'v10', '10v', 'vas', 'vwnd', '10m_v_component_of_wind'}, 10.0),
    Kind({'surface_air_pressure'}, {'sp', 'ps', 'pres', 'surface_pressure'}),
)
STATICS = {
    'topography': Kind(
        {'surface_altitude', 'altitude', 'bedrock_altitude', 'height_above_reference_ellipsoid',
         'height_above_mean_sea_level', 'height_above_geopotential_datum', 'geopotential', 'surface_geopotential'},
        {'z', 'elevation', 'elev', 'topo', 'topography', 'orog', 'orography', 'relief', 'rose', 'altitude', 'height',
         'band1', 'dem', 'bed_elevation', 'surface_elevation', 'geopotential', 'geopotential_at_surface'},
    ),
    'land': Kind({'land_binary_mask', 'land_area_fraction'}, {'land', 'lsm', 'sftlf', 'land_sea_mask'}),
}  # fmt: skip


def renamed(dataset: xr.Dataset, names: Sequence[str], source: str) -> xr.Dataset:
    """The data set with `names` for the variables that they mean: those so called, else by `FIELDS`.

    What is not there is left to be told by `store.canonical`. Raises UserError where several could be meant.
    """
    there = {find(dataset, name, source): name for name in names if name not in dataset.variables}
    return dataset.rename({found: name for found, name in there.items() if found})


def find(dataset: xr.Dataset, name: str, source: str) -> str:
    """Another name's variable of the same kind, by its CF standard_name, else by its own; '' where there is none.

    Not on levels of pressure, at another height than the kind's (where a coordinate `height` tells one), nor the
    maximum or minimum of a period. Raises UserError where several could be meant.
    """
    kind = next((kind for kind in FIELDS if name.lower() in kind.names), None)
    return _one([str(n) for n, a in dataset.data_vars.items() if _is_near(a, kind)], dataset, kind, name, source)


def find_static(dataset: xr.Dataset, name: str, source: str) -> str:
    """The same of a name in `STATICS`: a plane, which may be repeated in time."""
    shapes = {str(n): array.squeeze().ndim for n, array in dataset.data_vars.items() if not _of_pressure(array)}
    return _one([n for n, dims in shapes.items() if 2 <= dims <= 3], dataset, STATICS[name], name, source)


def _one(held: list[str], dataset: xr.Dataset, kind: Kind | None, name: str, source: str) -> str:
    if kind is None:
        return ''
    found = of_kind({n: dataset[n].attrs.get('standard_name') for n in held}, kind)
    if len(found) > 1:
        raise UserError(
            f"{source}: {', '.join(sorted(found))} could all be '{name}'; one was expected: rename it to '{name}', or "
            'drop the others from the file'
        )
    return found[0] if found else ''


def of_kind(standard_names: Mapping[str, str | None], kind: Kind) -> list[str]:
    """Those of {variable: its CF standard_name} that are of a kind: by both names, else by the standard one, else by
    their own."""
    by_standard = [name for name, standard in standard_names.items() if standard in kind.standard_names]
    by_name = [name for name in standard_names if name.lower() in kind.names]
    return [name for name in by_standard if name in by_name] or by_standard or by_name


def _is_near(array: xr.DataArray, kind: Kind | None) -> bool:
    """Whether it may be a field near the ground, at the kind's height."""
    if kind is None or array.ndim < 2 or _of_pressure(array):
        return False
    told = [c for n, c in array.coords.items() if str(n).lower() in ('height', 'heightaboveground') and c.size == 1]
    apart = [c for c in told if kind.height and float(c) not in (0.0, kind.height)]
    extreme = any(word in str(array.attrs.get('cell_methods', '')) for word in ('maximum', 'minimum'))
    return not apart and not extreme


def _of_pressure(array: xr.DataArray) -> bool:
    return any(str(c.attrs.get('units', '')).lower() in PRESSURES for c in array.coords.values())


def heights(array: xr.DataArray) -> xr.DataArray:
    """[m] of a height, or of a geopotential [m2 s-2] by the standard gravity. Raises UserError for other units."""
    try:
        geopotential = convert_units(array, 'm2 s-2')
    except UserError:
        return convert_units(array, 'm')
    return (geopotential / GRAVITY).assign_attrs(geopotential.attrs | {'units': 'm'})


def joinable(dataset: xr.Dataset) -> xr.Dataset:
    """One of several files that are joined: without the height of its own variable, which another's does not have.

    Monthly means of accumulations in the Climate Data Store's NetCDF (`GRIB_stepType`) are dated 06:00 of the first
    day, those of other variables 00:00: all begin at midnight.
    """
    height = [n for n, c in dataset.coords.items() if str(n).lower() in HEIGHTS and c.size == 1 and not _of_pressure(c)]
    dataset = dataset.squeeze([n for n in height if n in dataset.dims]).drop_vars(height)
    if {str(a.attrs.get('GRIB_stepType')) for a in dataset.data_vars.values()} & {'avgad', 'avgid'}:
        times = [n for n, c in dataset.coords.items() if c.dims == (n,) and c.dtype.kind == 'M']
        dataset = dataset.assign_coords({n: dataset[n].dt.floor('D').assign_attrs(dataset[n].attrs) for n in times})
    return dataset


def units_of(array: xr.DataArray) -> str | None:
    """ECMWF's monthly means of daily accumulations are per day, which their units do not say: 'm' is 'm day-1'.

    "Scaled to have units that include 'per day'": https://confluence.ecmwf.int/pages/viewpage.action?pageId=197702790.
    """
    units = array.attrs.get('units')
    return f'{units} day-1' if units is not None and array.attrs.get('GRIB_stepType') == 'avgad' else units


def one_version(dataset: xr.Dataset) -> xr.Dataset:
    """ERA5 and its preliminary ERA5T, on a dimension `expver`, as one: the first that is not missing."""
    if 'expver' not in dataset.dims:
        return dataset
    both = {name: array for name, array in dataset.data_vars.items() if 'expver' in array.dims}
    each = range(dataset.sizes['expver'])
    one = {
        name: functools.reduce(xr.DataArray.fillna, (array.isel(expver=i, drop=True) for i in each))
        for name, array in both.items()
    }
    return dataset.drop_dims('expver').assign({n: array.assign_attrs(both[n].attrs) for n, array in one.items()})


def one_axis_of_time(dataset: xr.Dataset) -> xr.Dataset:
    """GRIB's forecasts of several beginnings, `time` x `step`, on one axis: their valid times, in order."""
    planes = [c for c in dataset.coords.values() if c.ndim == 2 and c.dtype.kind == 'M']
    valid = next((c for c in planes if c.attrs.get('standard_name') == 'time'), None)
    if valid is None:
        return dataset
    times = valid.values.ravel()
    flat = dataset.drop_vars([valid.name, *valid.dims], errors='ignore').stack(valid_=valid.dims, create_index=False)
    order = np.argsort(times, kind='stable')
    flat = flat.isel(valid_=order).rename(valid_='time')
    return flat.assign_coords(time=('time', times[order], {'standard_name': 'time'}))
