"""Topography and land that networks are shown: of the data's own file by other names, or of a file with a relief."""

from collections.abc import Callable, Sequence

import xarray as xr

from data_prep.relief import as_land, land_of, land_on, relief_on
from downscale_jax.fields import store
from downscale_jax.fields.archives import find_static, heights
from downscale_jax.runtime.errors import UserError

MADE: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    'topography': heights,
    'land': lambda share: as_land(share >= 0.5),
}


def of_file(data: xr.Dataset, names: Sequence[str], source: str) -> dict[str, xr.DataArray]:
    """{name: (lat, lon) or (y, x)} of `topography` [m] and `land` (1, sea 0), as far as `names` has them and the file
    another name for them: ERA5's `z`, a geopotential, and `lsm`, a share of land that counts from 0.5.

    They may be repeated in time; what changes is something else. Raises UserError where several could be meant.
    """
    found = {}
    for name in MADE:
        there = find_static(data, name, source) if name in names and name not in data.data_vars else ''
        field = store.canonical(data[[there]], [there], source=source)[there] if there else None
        if field is not None and 'time' in field.dims:
            ends = store.load(field.isel(time=[0, -1]), source)
            field = ends.isel(time=0, drop=True) if ends[0].equals(ends[1].assign_coords(time=ends[0].time)) else None
        if field is not None:
            found[name] = MADE[name](field).rename(name)
    return found


def add_context(statics: xr.Dataset, data: dict) -> xr.Dataset:
    """With the `topography` and the `land` (1, sea 0) that `data.context` names and the fields do not bring: from the
    relief in the file `data.relief`, and its own mask of land where it has one.

    What is below 0 there and no land becomes 0: a sea's topography is its surface, whatever the relief knows of its
    floor. Land below the sea stays where a mask tells it.
    """
    missing = [name for name in ('topography', 'land') if name in data['context'] and name not in statics]
    if not missing:
        return statics
    if not data['relief']:
        raise UserError(
            f'data.context names {" and ".join(missing)}, which the data do not have: name a file with a relief by '
            'data.relief, or leave it out'
        )
    relief = relief_on(statics, data['relief'])
    land = statics['land'] if 'land' in statics else land_on(statics, data['relief'])
    land = land_of(relief) if land is None else land
    sea = (land.values < 0.5) & (relief.values < 0)
    topography = relief.copy(data=relief.where(~sea, 0).values).assign_attrs(long_name='topography, 0 on the sea')
    found = {'topography': topography, 'land': land}
    return statics.assign({name: found[name] for name in missing})
