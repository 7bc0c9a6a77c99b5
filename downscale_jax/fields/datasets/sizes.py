"""Sizes that a file claims, checked before anything of that size is made."""

import math

import xarray as xr

from downscale_jax.fields.datasets.axes import role_of
from downscale_jax.runtime import memory
from downscale_jax.runtime.errors import UserError

CELL, VALUE = 24, 16  # bytes of a cell (mask, area, coordinates) and of a value of each variable at one time


def check_fits(dataset: xr.Dataset, names: list[str], source: str) -> None:
    """Raises UserError where one time of the variables has no cells or does not fit into the free memory."""
    for name in names:
        for dim in dataset[name].dims:
            if not dataset.sizes[dim] and role_of(dataset, dim) != 'time':
                raise UserError(f"{source}: '{name}' has no cells: its dimension '{dim}' is empty; check how the file "
                                'was made')  # fmt: skip
    shapes = {name: [dataset.sizes[d] for d in dataset[name].dims if role_of(dataset, d) != 'time'] for name in names}
    shape = max(shapes.values(), key=math.prod)
    needed, free = math.prod(shape) * (CELL + VALUE * len(names)), memory.of_host()
    if needed > free:
        raise UserError(
            f'{source}: one time of {", ".join(names)} on {" x ".join(map(str, shape))} cells needs '
            f'{needed / 2**30:.3g} GiB of memory, {free / 2**30:.3g} GiB are free: cut a region or use a larger machine'
        )
