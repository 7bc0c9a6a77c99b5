"""Context of place and time that a network sees in addition to the coarse field, as planes on the fine grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.context.surface import SURFACE
from downscale_jax.runtime.errors import UserError

CYCLIC = ('season', 'hour')  # angles, each given by its cosine and sine


def plane_count(names: Sequence[str]) -> int:
    """The number of planes of these names."""
    return sum(2 if name in CYCLIC else 1 for name in names)


def context_planes(names: Sequence[str], statics: xr.Dataset, time: Any, source: str = 'the grid') -> np.ndarray:
    """[H, W, S] float32 at one time stamp, datetime64 or cftime.

    'season' is the angle of the day in a year of `days_per_year`, 'hour' that of the local solar hour (UTC where the
    grid has no longitudes), 'latitude' is in units of 90 degrees; any other name is a variable of `statics` in its own
    units, zero where it is missing.

    Raises UserError where `statics` lacks one of them.
    """
    check_context(names, statics, source)
    shape = statics['mask'].shape
    stack = []
    for name in names:
        if name == 'season':
            stack += _circle(np.full(shape, day_of_year(time) / days_per_year(time)))
        elif name == 'hour':
            east = _on_grid(statics, 'lon', shape) if 'lon' in statics.coords else np.zeros(shape)
            stack += _circle(hour_of_day(time) / 24 + east / 360)
        elif name == 'latitude':
            stack.append(_on_grid(statics, 'lat', shape) / 90)
        else:
            stack.append(np.nan_to_num(statics[name].values))
    return np.stack(stack, -1).astype(np.float32) if stack else np.zeros((*shape, 0), np.float32)


def check_context(names: Sequence[str], statics: xr.Dataset, source: str) -> None:
    """Raises UserError where `statics` lacks one of the `names` of `context_planes`."""
    shape = statics['mask'].shape
    for name in names:
        if name == 'latitude' and 'lat' not in statics.coords:
            raise UserError(f"data.context names 'latitude', but {source} has no latitudes: leave it out")
        if name in (*CYCLIC, 'latitude') or (name in statics and statics[name].shape == shape):
            continue
        raise UserError(
            f"data.context names '{name}', which {source} does not have on its {shape[0]} x {shape[1]} cells: "
            f'found {", ".join(map(str, statics.data_vars))}; {_aliases(name)}add it or leave it out'
        )


def _aliases(name: str) -> str:
    """The other names by which a variable would have been recognised."""
    if name not in SURFACE:
        return ''
    names, standard = (', '.join(sorted(known)) for known in (SURFACE[name].names, SURFACE[name].standard_names))
    return f"looked for '{name}', a standard_name of {standard}, and the names {names}: "


def day_of_year(time: Any) -> float:
    """Days since the start of the year, in any calendar; `time` is datetime64 or cftime."""
    if isinstance(time, np.datetime64):
        return float((time - time.astype('M8[Y]')) / np.timedelta64(1, 'D'))
    return time.dayofyr - 1 + hour_of_day(time) / 24


def hour_of_day(time: Any) -> float:
    """Hours since midnight, likewise."""
    if isinstance(time, np.datetime64):
        return float((time - time.astype('M8[D]')) / np.timedelta64(1, 'h'))
    return time.hour + time.minute / 60 + time.second / 3600


def days_per_year(time: Any) -> float:
    """Length of the year by which `day_of_year` becomes an angle: 360 days in the calendar of 360 days, else 365.25."""
    return 360.0 if getattr(time, 'calendar', '') == '360_day' else 365.25


def _circle(share: np.ndarray) -> list[np.ndarray]:
    return [np.cos(2 * np.pi * share), np.sin(2 * np.pi * share)]


def _on_grid(statics: xr.Dataset, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = statics[name].values.astype(float)
    if values.ndim == 2:
        return values
    return np.broadcast_to(values[:, None] if name == 'lat' else values, shape)
