"""Topography and land by whatever names archives have them: what training learns from, and other regions bring."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from downscale_jax.fields import store
from downscale_jax.fields.archives import find_static, heights
from downscale_jax.runtime.errors import UserError


def as_land(is_land: xr.DataArray) -> xr.DataArray:
    """`land` int8: 1 where it is, else 0."""
    attrs = {
        'units': '1',
        'standard_name': 'land_binary_mask',
        'flag_values': np.array([0, 1], np.int8),
        'flag_meanings': 'sea land',
    }
    return is_land.astype(np.int8).rename('land').drop_attrs().assign_attrs(attrs)


def share_of(land: xr.DataArray) -> xr.DataArray:
    """A share of land between 0 and 1, also of one in percent, as CMIP's sftlf."""
    return land / 100 if land.attrs.get('units') in ('%', 'percent') else land


MADE: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    'topography': heights,
    'land': lambda land: as_land(share_of(land) >= 0.5),
}


def of_file(data: xr.Dataset, names: Sequence[str], source: str) -> dict[str, xr.DataArray]:
    """{name: (lat, lon) or (y, x)} of `topography` [m] and `land` (1, sea 0), as far as `names` has them and the file
    another name for them: ERA5's `z`, a geopotential, and `lsm`, a share of land that counts from 0.5.

    They may be repeated in time; what changes is something else. Raises UserError where several could be meant, or the
    one has units of neither a height nor a geopotential.
    """
    found = {}
    for name in MADE:
        there = find_static(data, name, source) if name in names and name not in data.data_vars else ''
        field = unchanging(store.canonical(data[[there]], [there], source=source)[there], source) if there else None
        if field is not None:
            try:
                found[name] = MADE[name](field).rename(name)
            except UserError as error:
                raise UserError(f"{source}: taken for '{name}', {error}") from error
    return found


def unchanging(field: xr.DataArray, source: str) -> xr.DataArray | None:
    """Without the time that a canonical field may be repeated in; None where it changes, by its first and last."""
    if 'time' not in field.dims:
        return field
    ends = store.load(field.isel(time=[0, -1]), source)
    return ends.isel(time=0, drop=True) if ends[0].equals(ends[1].assign_coords(time=ends[0].time)) else None


def of_relief(relief: xr.DataArray, land: xr.DataArray | None = None) -> dict[str, xr.DataArray]:
    """`topography` and `land` of a relief that may know the floor of the sea; `land`, if not given, is above 0.

    What is below 0 there and no land becomes 0: a sea's topography is its surface. Land below the sea stays where a
    mask tells it.
    """
    land = as_land(relief > 0) if land is None else land
    sea = (land.values < 0.5) & (relief.values < 0)
    topography = relief.copy(data=relief.where(~sea, 0).values).assign_attrs(long_name='topography, 0 on the sea')
    return {'topography': topography, 'land': land}
