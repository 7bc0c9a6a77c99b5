"""Values of fields, checked as they are read: missing ones become NaN, impossible ones are refused.

The first and the last field are read at opening, so that errors come first. All others are checked in the chunks
in which they are read, which costs a millisecond for 20 MiB.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.store import load
from downscale_jax.fields.datasets.values import fill_values, plausibility
from downscale_jax.fields.datasets.values.fill_values import Declared
from downscale_jax.fields.datasets.values.plausibility import Limits
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

_UNREAL = 1e15  # beyond it, values are looked up among common fill values whatever the quantity
_TELLING = 999.0  # from this size on, a fill value also stands apart from values that are all equal


@dataclass(frozen=True)
class Screen:
    """float32 values in, and out with NaN where they are missing.

    Missing values are those that the file declares, infinities, common fill values that the quantity cannot have, and
    those of `apart`; a warning is given once for each that is not declared. Raises UserError for other values outside
    the physical limits.
    """

    what: str  # file and variable
    declared: Declared
    limits: Limits | None
    common: np.ndarray  # fill values of archives, as they appear in this variable
    apart: tuple[float, ...]  # those of them that are far from all other values
    reported: set[str] = field(default_factory=set)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        values = without_declared(block, self.declared)
        if self.apart:
            values = self._without(values, fill_values.equal(values, self.apart))
        low, high = (self.limits.low, self.limits.high) if self.limits else (-_UNREAL, _UNREAL)
        least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        if not (least < low or most > high):  # also of NaN throughout
            return values
        outside = (values < low) | (values > high)
        values = self._without(values, outside & (np.isinf(values) | fill_values.equal(values, self.common)))
        if self.limits and (wrong := values[outside & np.isfinite(values)]).size:
            raise UserError(f'{self.what} {_impossible(wrong, values, self.limits)}')
        return values

    def _without(self, values: np.ndarray, fills: np.ndarray) -> np.ndarray:
        for value, count in zip(*np.unique(values[fills], return_counts=True), strict=True):
            if (text := f'{value:g}') not in self.reported:
                self.reported.add(text)
                messages.warning(
                    f'{self.what} has the value {text} in {count} of {values.size} cells where it was first read, and '
                    'does not declare it as missing: taken for a fill value throughout; declare it by _FillValue'
                )
        return np.where(fills, np.float32(np.nan), values)

    def __dask_tokenize__(self) -> int:
        return id(self)


def screened(variable: xr.Variable, original: xr.DataArray, source: str) -> xr.Variable:
    """The variable in float32, lazily, NaN where missing (`Screen`); `original` has the attributes of the file.

    Raises UserError where it has no times or no values, and for impossible values in its first or last field.
    """
    what, count = f"{source}: '{original.name}'", variable.sizes.get('time', 1)
    if not count:
        raise UserError(f'{what} has no times: its time axis is empty; check how the file was made')
    declared = fill_values.declared(original.attrs, original.encoding)
    common = fill_values.common(original.encoding)
    limits = plausibility.limits_of(str(original.name), {**original.attrs, **variable.attrs})
    ends = variable.isel(time=sorted({0, count - 1})) if 'time' in variable.dims else variable
    values = load(ends, what).values
    screen = Screen(what, declared, limits, common, standing_apart(without_declared(values, declared), common))
    result = variable.copy(data=_mapped(screen, variable.data))
    if not np.isfinite(screen(values)).any() and not any(
        np.isfinite(load(result.isel(time=index), what).values).any() for index in range(1, count - 1)
    ):
        raise UserError(f'{what} has no values other than NaN; check _FillValue, valid_range and the mask')
    return result


def without_declared(block: np.ndarray, declared: Declared) -> np.ndarray:
    """float32, NaN where the file declares values as missing."""
    with np.errstate(over='ignore', invalid='ignore'):  # 1e300 becomes infinite
        values = block.astype(np.float32, copy=False)
    missing = fill_values.equal(values, declared.fills) if declared.fills else np.zeros((), bool)
    if np.isfinite(declared.low) or np.isfinite(declared.high):
        missing = missing | (values < declared.low) | (values > declared.high)
    return np.where(missing, np.float32(np.nan), values) if missing.any() else values


def standing_apart(values: np.ndarray, common: np.ndarray) -> tuple[float, ...]:
    """The common fill values that occur repeatedly, further from all other values than those from each other."""
    fills: list[float] = []
    while found := [fill for fill in _extremes(values, fills) if _is_apart(fill, values, fills, common)]:
        fills += found
    return tuple(fills)


def _extremes(values: np.ndarray, without: list[float]) -> tuple[float, float]:
    """Least and greatest value, NaN without any."""
    if without:
        values = np.where(fill_values.equal(values, without), np.float32(np.nan), values)
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


def _is_apart(fill: float, values: np.ndarray, known: list[float], common: np.ndarray) -> bool:
    if not fill_values.equal(common, [fill]).any() or np.count_nonzero(fill_values.equal(values, [fill])) < 2:
        return False
    low, high = _extremes(values, [*known, fill])
    gap = max(low - fill, fill - high)
    return gap > high - low and (high > low or abs(fill) >= _TELLING)


def _mapped(screen: Screen, data: Any) -> Any:
    """Applies the screen to NumPy arrays at once, to dask arrays as they are computed."""
    if isinstance(data, np.ndarray):
        return screen(data)
    return data.map_blocks(screen, dtype=np.float32, meta=np.empty((0,) * data.ndim, np.float32))


def _impossible(wrong: np.ndarray, values: np.ndarray, limits: Limits) -> str:
    units = plausibility.probable_units(limits, float(np.nanmin(values)), float(np.nanmax(values)))
    advice = f"they look like '{units}': correct the attribute units, or " if units else 'correct its units, or '
    return (
        f"has {wrong.size} values from {wrong.min():g} to {wrong.max():g} '{limits.units}' where "
        f'{limits.quantity.label} is at least {limits.low:g} and at most {limits.high:g}; {advice}declare missing '
        'values by _FillValue'
    )
