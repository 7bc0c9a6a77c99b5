"""The fine grid of another region, from a user's file: `mask` and the static fields that networks are shown."""

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
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.orientation import oriented
from downscale_jax.runtime.errors import UserError


def fine_grid(dataset: xr.Dataset, source: str, trained: xr.Dataset, shown: Sequence[str] = ()) -> xr.Dataset:
    """The fine grid of another region, loaded, with canonical coordinates, its rows and columns in the direction of
    training.

    It has `mask` (non-zero where the field exists; everywhere if the data set has none) and the other variables on the
    same cells, in the units of `trained`, the grid of training. The topography and land that networks are `shown` may
    have the names of an archive (`fields.archives`), such as ERA5's `z` and `lsm` or those of a digital elevation
    model, and may be repeated in time. They are then derived as for data.relief (`fields.statics.of_relief`), land from
    the topography alone if need be, and their attribute `comment` names the origin.

    Raises UserError where there is no grid or several, and where a shown variable is missing, ambiguous, on another
    grid or in units that do not convert.
    """
    named = [name for name in shown if name in dataset.data_vars]
    derived = [name for name in SURFACE if name in shown and name not in named]
    origins = read_surface(dataset, tuple(SURFACE), source) if derived else {}
    aliases = {name: find_surface(dataset, name, source) for name in dict.fromkeys([*derived, *origins])}
    for name in derived:
        if aliases[name] and name not in origins:
            raise UserError(f"{source}: '{aliases[name]}', read as '{name}', changes in time: keep a single time of it")
    masked = 'mask' in dataset
    if masked:
        # the attributes of a mask of land would exclude the land
        dataset = dataset.assign(mask=dataset['mask'].drop_attrs())
    first = 'mask' if masked else _grid_variable(dataset, [*named, *(aliases[name] for name in origins)], source)
    same_cells = _with_dims_of(dataset, first) if masked else _planes(dataset, first)
    names = list(dict.fromkeys([first, *same_cells, *named]))
    # `mask` is listed for its grid only; the mask that `canonical` derives from it replaces the field
    fields = canonical(dataset, names, mask='mask' if masked else '', source=source)
    static = {name: without_time(fields[name], source) for name in names if name != 'mask'}
    planes = {name: plane for name, plane in static.items() if plane is not None}
    mask = fields['mask']
    if not masked:
        mask.attrs['comment'] = 'everywhere'
    for name, plane in origins.items():
        if plane.dims != mask.dims or not _on_same_cells(plane, mask):
            raise UserError(
                f"{source}: '{aliases[name]}', read as '{name}', is on the grid {dict(plane.sizes)}, '{first}' on "
                f'{dict(mask.sizes)}: interpolate one of them to the grid of the other'
            )
    planes |= {name: plane.where(mask) for name, plane in _derive(derived, origins, aliases, planes).items()}
    for name, plane in planes.items():
        if name in trained and 'units' in trained[name].attrs:
            planes[name] = convert_units(plane, trained[name].attrs['units'])
    grid = with_all_coordinates(fields, ['mask']).drop_dims('time', errors='ignore').assign(planes)
    check_context(shown, grid, f'the fine grid of {source}')
    return oriented(store.load(grid, source), trained, source)


def _grid_variable(dataset: xr.Dataset, recognised: Sequence[str], source: str) -> str:
    """The variable that gives the grid of a data set without mask: the first recognised by name, otherwise any if all
    are on one grid."""
    if recognised:
        return recognised[0]
    grids = gridded(dataset)
    if len({frozenset(dims) for dims in grids.values()}) == 1:
        return next(iter(grids))
    shapes = [f'{name} {tuple(map(str, array.dims))}' for name, array in dataset.data_vars.items()]
    problem = 'its variables lie on several grids' if grids else 'no variable lies on a grid of lat and lon or y and x'
    raise UserError(
        f"{source}: {problem}; it has {', '.join(shapes) or 'no variables'}: give the fine grid a variable 'mask' that "
        'is not 0 where the field exists'
    )


def _with_dims_of(dataset: xr.Dataset, mask: str) -> list[str]:
    """Numeric variables with the dimensions of the mask."""
    dims = dataset[mask].dims
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dims == dims and array.dtype.kind in NUMERIC_KINDS
    ]


def _planes(dataset: xr.Dataset, first: str) -> list[str]:
    """Numeric variables with one value in each cell of the grid of `first`."""
    dims = spatial_dims(dataset, first)
    cells = math.prod(dataset.sizes[dim] for dim in dims)
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in NUMERIC_KINDS and array.size == cells and set(dims) <= set(array.dims)
    ]


def _on_same_cells(plane: xr.DataArray, mask: xr.DataArray) -> bool:
    try:
        xr.align(plane, mask, join='exact')
    except ValueError:
        return False
    return True


def _derive(
    derived: Sequence[str],
    origins: Mapping[str, xr.DataArray],
    aliases: Mapping[str, str],
    planes: Mapping[str, xr.DataArray],
) -> dict[str, xr.DataArray]:
    """The `derived` ones of topography and land, from `origins` under their `aliases` in the file.

    Land follows from the topography where the file has none; `planes` are the variables under the names of training.
    """
    land = origins.get('land', planes.get('land'))
    comments = {name: f"from '{aliases[name]}'" for name in origins}
    if 'topography' in origins:
        found = surface_of_relief(origins['topography'], land)
        comments.setdefault('land', f"where '{aliases['topography']}' is above 0")
    elif 'topography' in planes and land is None:
        found = {'land': land_mask(planes['topography'] > 0)}
        comments['land'] = "where 'topography' is above 0"
    else:
        found = dict(origins)
    return {name: found[name].assign_attrs(comment=comments[name]) for name in derived if name in found}
