"""Members of an ensemble along a dimension of a coarse file."""

from collections.abc import Hashable

import xarray as xr

from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

MEMBERS = {'number', 'member', 'realization', 'realisation', 'ensemble', 'ensemble_member', 'ens'}


def dim_of_members(dataset: xr.Dataset) -> Hashable | None:
    """The dimension of members, None without one."""
    return next((dim for dim in dataset.dims if str(dim).lower() in MEMBERS), None)


def one_member(dataset: xr.Dataset, member: int, source: str) -> xr.Dataset:
    """One member of an ensemble. Raises UserError where it has fewer members."""
    dim = dim_of_members(dataset)
    if dim is None:
        if member:
            raise UserError(f'data.member={member}, but {source} has no dimension of members: leave it at 0')
        return dataset
    count = dataset.sizes[dim]
    if not 0 <= member < count:
        raise UserError(f"data.member={member}, but {source} has {count} members along '{dim}'")
    if count > 1:
        messages.info(f"{source}: member {member} of {count} along '{dim}' is used (data.member)")
    return dataset.isel({dim: member}, drop=True)
