"""A file that tells another region's fine grid -> `mask`, and what networks are shown of the place."""

import math
from collections.abc import Mapping, Sequence

import xarray as xr

from downscale_jax.fields.context.planes import check_context
from downscale_jax.fields.context.surface import (
    SURFACE,
    find_surface,
    land_mask,
    read_surface,
    surface_of_relief,
    without_time,
)
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.axes import NUMERIC_KINDS, gridded, spatial_dims
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError


def fine_grid(dataset: xr.Dataset, source: str, trained: xr.Dataset, shown: Sequence[str] = ()) -> xr.Dataset:
    """The fine grid of another region, loaded: `mask` (non-zero where the field exists, everywhere without one) and
    what else the data set has on the same cells, in the units of the grid of training, with canonical coordinates.

    Topography and land that networks are `shown` may have other names (`datasets.archives`): ERA5's `z` and `lsm`, a
    digital elevation model, of several times where all are the same. From these they are made as by data.relief
    (`context.surface`), and their attribute `comment` names their source; land may come from topography alone.

    Raises UserError: no grid or several, something that is shown missing, on another grid, in units that do not
    convert, or of which there are several.
    """
    named = [name for name in shown if name in dataset.data_vars]
    wanted = [name for name in SURFACE if name in shown and name not in named]
    found = read_surface(dataset, tuple(SURFACE), source) if wanted else {}
    called = {name: find_surface(dataset, name, source) for name in dict.fromkeys([*wanted, *found])}
    for name in wanted:
        if called[name] and name not in found:
            raise UserError(f"{source}: '{called[name]}', taken for '{name}', changes in time: keep one time of it")
    masked = 'mask' in dataset
    if masked:
        dataset = dataset.assign(mask=dataset['mask'].drop_attrs())  # one of land says by them that land is left out
    first = 'mask' if masked else _first(dataset, [*named, *(called[name] for name in found)], source)
    names = list(dict.fromkeys([first, *(_beside(dataset, first) if masked else _planes(dataset, first)), *named]))
    # `mask` among the fields is but the first of their grids: what `canonical` makes of it takes its place
    fields = canonical(dataset, names, mask='mask' if masked else '', source=source)
    still = {name: without_time(fields[name], source) for name in names if name != 'mask'}
    planes = {name: plane for name, plane in still.items() if plane is not None}
    mask = fields['mask']
    if not masked:
        mask.attrs['comment'] = 'everywhere'
    for name, plane in found.items():
        if plane.dims != mask.dims or not _agree(plane, mask):
            raise UserError(
                f"{source}: '{called[name]}', taken for '{name}', is on the grid {dict(plane.sizes)}, '{first}' on "
                f'{dict(mask.sizes)}; one grid was expected: interpolate one of them beforehand'
            )
    planes |= {name: plane.where(mask) for name, plane in _made(wanted, found, called, planes).items()}
    for name, plane in planes.items():
        if name in trained and 'units' in trained[name].attrs:
            planes[name] = convert_units(plane, trained[name].attrs['units'])
    grid = fields.drop_dims('time', errors='ignore')[['mask']].assign(planes)
    check_context(shown, grid, f'the fine grid of {source}')
    return store.load(grid, source)


def _first(dataset: xr.Dataset, known: Sequence[str], source: str) -> str:
    """The variable whose grid is meant where there is no mask: of those known by name the first, else any, of one."""
    if known:
        return known[0]
    grids = gridded(dataset)
    if len({frozenset(dims) for dims in grids.values()}) == 1:
        return next(iter(grids))
    shapes = [f'{name} {tuple(map(str, array.dims))}' for name, array in dataset.data_vars.items()]
    several = 'its variables lie on several grids' if grids else 'no variable lies on a grid, of lat and lon or y and x'
    raise UserError(
        f"{source}: {several}: it has {', '.join(shapes) or 'none'}; give the fine grid a variable 'mask', not 0 where "
        'the field exists'
    )


def _beside(dataset: xr.Dataset, mask: str) -> list[str]:
    dims = dataset[mask].dims
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dims == dims and array.dtype.kind in NUMERIC_KINDS
    ]


def _planes(dataset: xr.Dataset, first: str) -> list[str]:
    """Variables of numbers that have one value at each cell of the grid of `first`."""
    dims = spatial_dims(dataset, first)
    cells = math.prod(dataset.sizes[dim] for dim in dims)
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in NUMERIC_KINDS and array.size == cells and set(dims) <= set(array.dims)
    ]


def _agree(plane: xr.DataArray, mask: xr.DataArray) -> bool:
    try:
        xr.align(plane, mask, join='exact')
    except ValueError:
        return False
    return True


def _made(
    wanted: Sequence[str],
    found: Mapping[str, xr.DataArray],
    called: Mapping[str, str],
    planes: Mapping[str, xr.DataArray],
) -> dict[str, xr.DataArray]:
    """Of topography and land those that are `wanted`: as they were `found`, `called` so, or land by the topography."""
    land = found.get('land', planes.get('land'))
    told = {name: f"from '{called[name]}'" for name in found}
    if 'topography' in found:
        made = surface_of_relief(found['topography'], land)
        told.setdefault('land', f"where '{called['topography']}' is above 0")
    elif 'topography' in planes and land is None:
        made = {'land': land_mask(planes['topography'] > 0)}
        told['land'] = "where 'topography' is above 0"
    else:
        made = dict(found)
    return {name: made[name].assign_attrs(comment=told[name]) for name in wanted if name in made}
