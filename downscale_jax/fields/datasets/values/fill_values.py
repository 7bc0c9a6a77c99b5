"""Missing values: those that a file declares, also where xarray does not apply them, and common undeclared ones."""

import functools
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

# of archives and programs: hand-made, NetCDF's and Fortran's defaults, GrADS, GRIB, Ferret, GDAL
_DECIMAL = (99.0, 99.9, 99.99, 999.0, 999.9, 999.99, 9999.0, 9999.9, 9999.99, 99999.0, 999999.0, 88888.0, 32766.0)
_INTEGER = (-127.0, -128.0, 255.0, -32766.0, 32767.0, -32767.0, -32768.0, 65535.0, 2147483647.0, -2147483648.0)
_HUGE = (1e15, 1e20, 9.999e20, 1e30, 1e31, 1e32, 1e33, 9e33, 9.99e33, 8.88e33, 1e34, 1e35, 1e36, 9.96921e36,
         9.969209968386869e36, 1e37, 3.4028235e38)  # fmt: skip
COMMON = np.array([sign * size for size in (*_DECIMAL, *_HUGE) for sign in (-1, 1)] + [*_INTEGER], np.float32)


class Declared(NamedTuple):
    """Missing values that a file declares beyond those that xarray has masked, in the values of the field."""

    fills: tuple[float, ...] = ()
    low: float = -np.inf  # the valid range
    high: float = np.inf


def decoded(dataset: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """The data set with fill values, scale and offset applied that are still attributes of the named variables.

    They still are attributes where a data set was opened without decoding, as rioxarray does.
    """
    packed = {'_FillValue', 'missing_value', 'scale_factor', 'add_offset'}
    variables = {name: dataset[name].variable for name in names if packed & dataset[name].attrs.keys()}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', xr.SerializationWarning)  # several fill values, all of which count
        decode = functools.partial(xr.conventions.decode_cf_variable, decode_times=False, decode_timedelta=False)
        return dataset.assign({name: decode(name, variable) for name, variable in variables.items()})


def declared(attrs: Mapping[Hashable, Any], encoding: Mapping[Hashable, Any]) -> Declared:
    """The values that attributes and encoding of a variable declare as missing, without those that xarray has masked.

    xarray compares fill values in their own type: a float64 `missing_value` of 1e20 never equals a float32 1e20. It
    ignores `valid_min`, `valid_max` and `valid_range`, which are in packed units unless they are floats beside packed
    integers (NetCDF User Guide, attribute conventions).
    """
    stored = np.dtype(encoding.get('dtype', np.float32))
    given = [item for key in ('_FillValue', 'missing_value') for item in np.ravel(encoding.get(key, ()))]
    unmasked = [
        number for item in given for number in _numbers(item) if isinstance(item, str) or not _holds(stored, number)
    ]
    low, high = _valid_range(attrs, encoding)
    return Declared(tuple(unmasked), low, high)


def check_packing(array: xr.DataArray, what: str) -> None:
    """Raises UserError for a scale or an offset that is not a finite number, and for a scale of zero."""
    for key, valid in (('scale_factor', 'a finite number other than 0'), ('add_offset', 'a finite number')):
        value = np.ravel({**array.attrs, **array.encoding}.get(key, 1))[0]
        if isinstance(value, str) or not np.isfinite(value) or (value == 0 and key == 'scale_factor'):
            raise UserError(f'{what} has {key} = {value}; {valid} was expected: correct the attribute')


def common(encoding: Mapping[Hashable, Any]) -> np.ndarray:
    """Common fill values as they appear in the field of a variable with this encoding, also those that were packed."""
    stored = np.dtype(encoding.get('dtype', np.float32))
    if not _is_packed(encoding) or stored.kind not in 'iu':
        return COMMON
    ends = np.iinfo(stored)
    least = [-999, -9999, ends.min, ends.min + 1] if stored.kind == 'i' else []  # an unsigned 0 is a value
    packed = np.array([*least, 9999, ends.max - 1, ends.max], np.float64)
    return np.concatenate([COMMON, _unpacked(packed, encoding).astype(np.float32)])


def equal(values: np.ndarray, fills: Iterable[float]) -> np.ndarray:
    """Where float32 values equal one of `fills` to within the rounding of packing and unpacking."""
    result = np.zeros(values.shape, bool)
    largest = float(np.finfo(np.float32).max)
    for fill in map(float, fills):
        low, high = (min(max(fill + sign * 1e-6 * abs(fill), -largest), largest) for sign in (-1, 1))
        result |= (values >= np.float32(low)) & (values <= np.float32(high))
    return result


def _valid_range(attrs: Mapping[Hashable, Any], encoding: Mapping[Hashable, Any]) -> tuple[float, float]:
    pair = np.ravel(attrs.get('valid_range', ()))
    if pair.dtype.kind == 'U' and pair.size == 1:  # as in valid_range = "0, 400"
        pair = np.array([item.rstrip('fFdD') for item in re.split(r'[,\s]+', pair[0].strip())])
    low, high = pair if pair.size == 2 else (None, None)
    given = [np.ravel(attrs.get(key, value)) for key, value in (('valid_min', low), ('valid_max', high))]
    ends = []
    for value, unbounded in zip(given, (-np.inf, np.inf), strict=True):
        number = next(iter(_numbers(value)), np.nan)
        if np.isnan(number):
            ends.append(unbounded)
            continue
        if value.dtype.kind == 'i' and str(encoding.get('_Unsigned', '')).lower() == 'true':
            number = float(value.view(f'u{value.dtype.itemsize}')[0])
        packed = _is_packed(encoding) and value.dtype.kind in 'iu'
        number = float(_unpacked(np.array(number), encoding)) if packed else number
        step = abs(float(np.ravel(encoding.get('scale_factor', 1))[0])) / 2 if packed else 1e-6 * abs(number)
        ends.append(number + np.copysign(step, unbounded))
    return min(ends), max(ends)  # a negative scale reverses them


def _unpacked(values: np.ndarray, encoding: Mapping[Hashable, Any]) -> np.ndarray:
    scale, offset = (
        float(np.ravel(encoding.get(key, one))[0]) for key, one in (('scale_factor', 1), ('add_offset', 0))
    )
    return values * scale + offset


def _holds(stored: np.dtype, number: float) -> bool:
    """Whether values of the stored type can equal the number exactly, so that xarray masks them."""
    if stored.kind in 'iu':
        return number.is_integer() and np.iinfo(stored).min <= number <= np.iinfo(stored).max
    return not np.isfinite(number) or float(np.float64(number).astype(stored)) == number


def _is_packed(encoding: Mapping[Hashable, Any]) -> bool:
    return bool({'scale_factor', 'add_offset'} & encoding.keys())


def _numbers(value: Any) -> list[float]:
    """Also of text, as in missing_value = "-9999"."""
    try:
        return [float(item) for item in np.ravel(value)] if value is not None else []
    except (TypeError, ValueError):
        return []
