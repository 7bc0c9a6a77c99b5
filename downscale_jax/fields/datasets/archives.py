"""Conventions of archives: names of variables, versions, forecasts with several starts, daily accumulations.

Covers ERA5 and ERA5-Land of the Climate Data Store (old and new, NetCDF and GRIB), NOAA's 20CR, CMIP and the like.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

_PRESSURE_UNITS = {'pa', 'hpa', 'mb', 'mbar', 'millibar', 'millibars'}
_HEIGHT_COORDINATES = {'height', 'heightaboveground', 'level', 'lev'}
# attributes of a variable whose coordinate is dropped: metres above the ground; a pressure or any other level
HEIGHT, LEVEL = 'height_above_ground', 'level'


class Kind(NamedTuple):
    """A physical quantity and the names that archives give it."""

    standard_names: set[str]
    names: set[str]  # usual ones, in lower case
    height: float | None = None  # m above the ground, where it matters


TEMPERATURE = Kind({'air_temperature'}, {'t2m', '2t', 't2', 'tas', 'air', '2m_temperature'}, 2.0)
PRECIPITATION = Kind(
    {'precipitation_flux', 'lwe_precipitation_rate', 'precipitation_amount', 'lwe_thickness_of_precipitation_amount'},
    {'tp', 'prate', 'pr', 'precip', 'tprate', 'mtpr', 'avg_tprate', 'total_precipitation'},
)
FIELDS = (
    TEMPERATURE,
    PRECIPITATION,
    Kind({'eastward_wind'}, {'u10', '10u', 'uas', 'uwnd', '10m_u_component_of_wind'}, 10.0),
    Kind({'northward_wind'}, {'v10', '10v', 'vas', 'vwnd', '10m_v_component_of_wind'}, 10.0),
    Kind({'surface_air_pressure'}, {'sp', 'ps', 'psfc', 'pres', 'surface_pressure'}),
)


def renamed(dataset: xr.Dataset, names: Sequence[str], source: str) -> xr.Dataset:
    """The data set with its variables called `names`: those of that name already, else those of the same kind.

    A name without a match is left for `canonical` to report. Raises UserError where several variables match.
    """
    matches = {find(dataset, name, source): name for name in names if name not in dataset.variables}
    return dataset.rename({match: name for match, name in matches.items() if match})


def find(dataset: xr.Dataset, name: str, source: str) -> str:
    """The variable of the same kind as `name`, by CF standard_name, else by its own name; '' where there is none.

    Excludes fields on pressure levels, at another height than the kind's (where a coordinate `height` gives it), and
    maxima or minima over a period. Raises UserError where several variables match.
    """
    kind = next((kind for kind in FIELDS if name.lower() in kind.names), None)
    if kind is None:
        return ''
    near = [str(n) for n, array in dataset.data_vars.items() if _is_near_surface(array, kind.height)]
    return the_one(near, dataset, kind, name, source)


def the_one(candidates: Sequence[str], dataset: xr.Dataset, kind: Kind, name: str, source: str) -> str:
    """The one of several variables that is of a kind, '' where none is. Raises UserError where several are."""
    matches = of_kind({n: dataset[n].attrs.get('standard_name') for n in candidates}, kind)
    if len(matches) > 1:
        raise UserError(
            f"{source}: {', '.join(sorted(matches))} could all be '{name}'; one was expected: rename it to '{name}', "
            'or drop the others from the file'
        )
    return matches[0] if matches else ''


def of_kind(standard_names: Mapping[str, str | None], kind: Kind) -> list[str]:
    """Those of {variable: its CF standard_name} that are of a kind: by both names, else by the standard name, else by
    their own."""
    by_standard = [name for name, standard in standard_names.items() if standard in kind.standard_names]
    by_name = [name for name in standard_names if name.lower() in kind.names]
    return [name for name in by_standard if name in by_name] or by_standard or by_name


def synonym(name: str, candidates: Iterable[str]) -> str:
    """The only one of the candidates that archives call the same quantity as `name`; '' where there is none."""
    kind = next((kind for kind in FIELDS if name.lower() in kind.names), None)
    same = [candidate for candidate in candidates if kind and candidate.lower() in kind.names]
    return same[0] if len(same) == 1 else ''


def _is_near_surface(array: xr.DataArray, height: float | None) -> bool:
    if array.ndim < 2 or on_pressure_levels(array):
        return False
    names = ('height', 'heightaboveground')
    given = [float(c) for n, c in array.coords.items() if str(n).lower() in names and c.size == 1]
    given += [array.attrs[HEIGHT]] if HEIGHT in array.attrs else []
    elsewhere = height is not None and any(value not in (0.0, height) for value in given)
    extreme = any(word in str(array.attrs.get('cell_methods', '')) for word in ('maximum', 'minimum'))
    return not elsewhere and not extreme


def on_pressure_levels(array: xr.DataArray) -> bool:
    """Whether a field lies on a pressure level, or on another level that `levels_as_variables` has made a variable."""
    return LEVEL in array.attrs or any(is_pressure(c) for c in array.coords.values())


def is_pressure(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is in units of pressure."""
    return str(coordinate.attrs.get('units', '')).lower() in _PRESSURE_UNITS


def joinable(dataset: xr.Dataset) -> xr.Dataset:
    """One of several files to be merged; its scalar height becomes an attribute of its variables: other files lack it.

    Monthly means of accumulations in the Climate Data Store's NetCDF (`GRIB_stepType`) are dated 06:00 of the first
    day, those of other variables 00:00: all are set to midnight.
    """
    height = [
        n
        for n, c in dataset.coords.items()
        if str(n).lower() in _HEIGHT_COORDINATES and c.size == 1 and not on_pressure_levels(c)
    ]
    dataset = dataset.squeeze([n for n in height if n in dataset.dims])
    for name in height:
        if 'height' in str(name).lower():
            value = float(dataset[name])
            fields = {key: array.assign_attrs({HEIGHT: value}) for key, array in dataset.data_vars.items()}
            dataset = dataset.assign(fields)
    dataset = dataset.drop_vars(height)
    if {str(a.attrs.get('GRIB_stepType')) for a in dataset.data_vars.values()} & {'avgad', 'avgid'}:
        times = [n for n, c in dataset.coords.items() if c.dims == (n,) and c.dtype.kind == 'M']
        dataset = dataset.assign_coords({n: dataset[n].dt.floor('D').assign_attrs(dataset[n].attrs) for n in times})
    return dataset


def units_of(array: xr.DataArray) -> str | None:
    """The units of a variable; those of ECMWF's monthly means of daily accumulations lack the 'per day'.

    "Scaled to have units that include 'per day'": https://confluence.ecmwf.int/pages/viewpage.action?pageId=197702790.
    """
    units = array.attrs.get('units')
    return f'{units} day-1' if units is not None and array.attrs.get('GRIB_stepType') == 'avgad' else units


def one_version(dataset: xr.Dataset) -> xr.Dataset:
    """ERA5 and its preliminary version ERA5T, on a dimension `expver`, merged: the first that is not missing."""
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
    """GRIB's forecasts with several starts, `time` x `step`, on one axis: their valid times, in order."""
    planes = [c for c in dataset.coords.values() if c.ndim == 2 and c.dtype.kind == 'M']
    valid = next((c for c in planes if c.attrs.get('standard_name') == 'time'), None)
    if valid is None:
        return dataset
    times = valid.values.ravel()
    flat = dataset.drop_vars([valid.name, *valid.dims], errors='ignore').stack(valid_=valid.dims, create_index=False)
    order = np.argsort(times, kind='stable')
    flat = flat.isel(valid_=order).rename(valid_='time')
    return flat.assign_coords(time=('time', times[order], {'standard_name': 'time'}))
