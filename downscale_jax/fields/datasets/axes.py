"""The roles of dimensions: time, latitude and longitude, or y and x, by CF attributes and usual names."""

from collections.abc import Hashable, Iterable

import xarray as xr

NUMERIC_KINDS = 'fiub'  # of dtypes
NAMES = {
    'time': {'time', 'valid_time', 'initial_time', 'forecast_time', 'time_counter', 'date', 't'},
    'lat': {'lat', 'latitude', 'nav_lat', 'lats', 'xlat', 'xlat_m', 'tlat', 'gphit', 'lat_rho'},
    'lon': {'lon', 'longitude', 'nav_lon', 'lons', 'long', 'xlong', 'xlong_m', 'tlon', 'glamt', 'lon_rho'},
    'y': {'y', 'yc', 'ny', 'nj', 'j', 'rlat', 'south_north', 'yt_ocean', 'y_dim'},
    'x': {'x', 'xc', 'nx', 'ni', 'i', 'rlon', 'west_east', 'xt_ocean', 'x_dim'},
}
_STANDARD_NAMES = {
    'time': 'time', 'forecast_reference_time': 'time', 'latitude': 'lat', 'longitude': 'lon',
    'projection_y_coordinate': 'y', 'projection_x_coordinate': 'x', 'grid_latitude': 'y', 'grid_longitude': 'x',
}  # fmt: skip
_DEGREES = {
    **dict.fromkeys(('degrees_north', 'degree_north', 'degree_n', 'degrees_n', 'degreen', 'degreesn'), 'lat'),
    **dict.fromkeys(('degrees_east', 'degree_east', 'degree_e', 'degrees_e', 'degreee', 'degreese'), 'lon'),
    **dict.fromkeys(('degrees_south', 'degree_south', 'degrees_s', 'degree_s'), 'lat'),
    **dict.fromkeys(('degrees_west', 'degree_west', 'degrees_w', 'degree_w'), 'lon'),
}


def role_of(dataset: xr.Dataset, name: Hashable) -> str:
    """'time', 'lat', 'lon', 'y', 'x' or '' of a dimension; CF attributes take precedence over names."""
    # variables, because creating an array for each coordinate takes most of the time with many files
    coordinate = dataset.variables[name] if name in dataset.coords else None
    attrs = coordinate.attrs if coordinate is not None else {}
    units = str(attrs.get('units', '')).lower()
    if any(is_valid_time(dataset.variables[c], name) for c in dataset.coords):
        return 'time'  # also of forecasts with one start and many steps
    by_axis = {'T': 'time', 'Y': 'y', 'X': 'x'}.get(str(attrs.get('axis', '')).upper(), '')
    by_name = next((role for role, usual in NAMES.items() if str(name).lower() in usual), '')
    if by_name in ('lat', 'lon') and name not in dataset.coords:
        by_name = {'lat': 'y', 'lon': 'x'}[by_name]  # rows and columns of a curvilinear grid may have these names
    return (
        _STANDARD_NAMES.get(str(attrs.get('standard_name', '')), '')
        or _DEGREES.get(units, '')
        or ('time' if ' since ' in units or (coordinate is not None and coordinate.dtype.kind == 'M') else '')
        or (by_name if by_name in ('lat', 'lon') else by_axis or by_name)
    )


def roles_of(dataset: xr.Dataset, dims: Iterable[Hashable]) -> dict[Hashable, str]:
    """{dimension: role}; the last two dimensions are y and x where they are unknown or do not make a pair."""
    roles = {dim: role_of(dataset, dim) for dim in dims}
    rest = [dim for dim in dims if roles[dim] != 'time' and (roles[dim] or dataset.sizes[dim] > 1)]
    if sorted(roles[dim] for dim in rest) not in (['lat', 'lon'], ['x', 'y']):
        known = [dim for dim in rest if roles[dim]]
        last = known if len(known) == 2 else rest[-2:]
        roles |= dict(zip(last, ('y', 'x'), strict=False))
    return roles


def is_valid_time(coordinate: xr.Variable | xr.DataArray, dim: Hashable) -> bool:
    """Whether a coordinate holds the times of the fields along `dim`, rather than those when forecasts started."""
    return coordinate.dims == (dim,) and coordinate.attrs.get('standard_name') == 'time'


def spatial_dims(dataset: xr.Dataset, name: str) -> tuple[Hashable, ...]:
    """Dimensions of a variable, other than time, along which it has several cells."""
    return tuple(d for d in dataset[name].dims if dataset.sizes[d] > 1 and role_of(dataset, d) != 'time')


def gridded(dataset: xr.Dataset) -> dict[str, tuple[Hashable, ...]]:
    """{numeric variable: its spatial dimensions} of the variables on lat and lon, or on y and x."""
    numeric = [str(name) for name, array in dataset.data_vars.items() if array.dtype.kind in NUMERIC_KINDS]
    grids = {name: spatial_dims(dataset, name) for name in numeric}
    pairs = (['lat', 'lon'], ['x', 'y'])
    return {name: dims for name, dims in grids.items() if sorted(role_of(dataset, d) for d in dims) in pairs}
