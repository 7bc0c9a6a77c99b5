"""Topography and land that networks are shown, where the data do not bring them: of a file with a relief."""

import xarray as xr

from data_prep.readers.relief import land_on, relief_on
from downscale_jax.fields.statics import of_relief
from downscale_jax.runtime.errors import UserError


def add_context(statics: xr.Dataset, data: dict) -> xr.Dataset:
    """With the `topography` and the `land` (1, sea 0) that `data.context` names and the fields do not bring: from the
    relief in the file `data.relief`, and its own mask of land where it has one, see `fields.statics.of_relief`."""
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
    found = of_relief(relief, land)
    return statics.assign({name: found[name] for name in missing})
