"""Joining of several files into one data set, after names, units, calendars and axes agree.

Only what is read has to agree: a variable whose files contradict each other raises its error when it is read.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import archives
from downscale_jax.fields.datasets.angles import in_one_run
from downscale_jax.fields.datasets.axes import NAMES, NUMERIC_KINDS, gridded, role_of
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.files.planes import in_order_of
from downscale_jax.fields.datasets.levels import single_level
from downscale_jax.fields.datasets.members import MEMBERS
from downscale_jax.fields.datasets.times import encode_times, in_one_calendar
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

TOLERANCE = 1e-3  # of a cell, between the axes of two files
ROUNDING = 1e-6  # of the largest value, between two files that hold the same
AT_ONCE = 2**23  # bytes of an overlap that are compared at once


class Piece(NamedTuple):
    """A variable in one file."""

    source: str
    array: xr.DataArray
    times: np.ndarray  # of the file's own axis; empty for a variable without time


def joined(files: Sequence[xr.Dataset], sources: Sequence[str]) -> xr.Dataset:
    """The variables of all files, those in several files along time; `sources` name the files in messages.

    Dimensions and variables get the names of the first file that has them, units those of their first file; axes may
    differ by `TOLERANCE`, and rows or columns may run the other way. Times in several files are kept once.
    Variables on other times than the first get a dimension of time of their own. Tiles of a grid are put together.

    Raises UserError where files lie on different grids that are not tiles of one.
    """
    if len(files) == 1:
        return files[0]
    renamed: list[xr.Dataset] = []
    layouts: dict[frozenset[Hashable], xr.Dataset] = {}  # files of one layout need not be compared with each other
    for dataset in files:
        dataset = in_one_run(with_time_axis(archives.joinable(dataset)))
        if frozenset(dataset.variables) not in layouts:
            dataset = _like(dataset, list(layouts.values()))
            layouts.setdefault(frozenset(dataset.variables), dataset)
        renamed.append(dataset)
    tiles: list[tuple[list[xr.Dataset], list[str]]] = []
    for dataset, source in zip(renamed, sources, strict=True):
        for members, names in tiles:
            if (snapped := _on_axes_of(members[0], dataset)) is not None:
                members.append(snapped)
                names.append(source)
                break
        else:
            tiles.append(([dataset], [source]))
    parts = [_joined_in_time(*tile) for tile in tiles]
    return parts[0] if len(parts) == 1 else _of_tiles(parts, [names[0] for _, names in tiles])


def with_time_axis(dataset: xr.Dataset) -> xr.Dataset:
    """A single time, a scalar in the file, as a dimension of the fields."""
    if any(role_of(dataset, dim) == 'time' for dim in dataset.dims):
        return dataset
    scalars = [n for n, c in dataset.coords.items() if c.ndim == 0 and role_of(dataset, n) == 'time']
    if not scalars:
        return dataset
    time = min(scalars, key=lambda n: dataset[n].attrs.get('standard_name') != 'time')
    fields = {name: dataset[name].expand_dims(time) for name in gridded(dataset)}
    return dataset.drop_vars([*fields, time]).assign(fields)


def _like(dataset: xr.Dataset, others: Sequence[xr.Dataset]) -> xr.Dataset:
    """With the names that earlier files have for the same axes and variables."""
    names: dict[Hashable, Hashable] = {}
    known = {dim for other in others for dim in other.dims}
    for other in others:
        axes = {role_of(other, dim): dim for dim in other.dims}
        for dim in (dim for dim in dataset.dims if dim not in known):
            same = axes.get(role_of(dataset, dim)) if role_of(dataset, dim) in NAMES else None
            if (
                same is not None
                and same != dim
                and not {same, dim} & {*names, *dataset.variables, *names.values()} - {dim}
            ):
                names[dim] = same
        for name in other.data_vars:
            same = archives.synonym(str(name), map(str, dataset.data_vars))
            if name not in dataset.variables and same and same not in other.variables:
                names.setdefault(same, name)
    return dataset.rename(names)


def _on_axes_of(first: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset | None:
    """With the axes of the first file, None where those of a grid differ by more than rounding."""
    of_grids = _dims_of_grids(first) & _dims_of_grids(dataset)
    for dim in dataset.dims:
        if dim not in of_grids or role_of(first, dim) == 'time':
            continue
        if first.sizes[dim] != dataset.sizes[dim]:
            return None
        if dim not in first.indexes or dim not in dataset.indexes:
            continue
        axis, other = first[dim].values, dataset[dim].values
        if axis.dtype.kind not in NUMERIC_KINDS or other.dtype.kind not in NUMERIC_KINDS:
            if not np.array_equal(axis, other):
                return None
            continue
        scale = float(np.abs(np.diff(axis)).min()) if axis.size > 1 else max(1.0, abs(float(axis[0])))
        circle = 360.0 if role_of(first, dim) == 'lon' else 0.0
        if _distance(axis, other[::-1], circle) <= TOLERANCE * scale and axis.size > 1:
            dataset = dataset.isel({dim: slice(None, None, -1)})
        elif _distance(axis, other, circle) > TOLERANCE * scale:
            return None
        if not np.array_equal(axis, dataset[dim].values):
            dataset = dataset.assign_coords({dim: first[dim].variable})
    return in_order_of(first, dataset)


def _dims_of_grids(dataset: xr.Dataset) -> set[Hashable]:
    """The dimensions of variables with two or more besides time: others, such as those of profiles, may differ."""
    grids = (
        v.dims for v in dataset.variables.values() if len([d for d in v.dims if role_of(dataset, d) != 'time']) > 1
    )
    return {dim for dims in grids for dim in dims}


def _distance(a: np.ndarray, b: np.ndarray, circle: float) -> float:
    difference = np.abs(a.astype(float) - b.astype(float))
    return float((np.minimum(difference % circle, -difference % circle) if circle else difference).max())


def _joined_in_time(files: Sequence[xr.Dataset], sources: Sequence[str]) -> xr.Dataset:
    """Files on one grid: each variable along time, on an axis of its own where its times differ from the first's."""
    pieces: dict[Hashable, list[Piece]] = {}
    for dataset, source in zip(files, sources, strict=True):
        for name, array in dataset.variables.items():
            if name not in dataset.dims:
                dim = _time_dim(dataset, array.dims)
                times = dataset[dim].values if dim is not None else np.empty(0, 'datetime64[ns]')
                pieces.setdefault(name, []).append(Piece(source, dataset[name], times))
    coords = {n for dataset in files for n in dataset.coords}
    axes: dict[Hashable, np.ndarray] = {}
    variables: dict[Hashable, xr.Variable] = {}
    for name, found in pieces.items():
        dim = _time_dim(found[0].array, found[0].array.dims)
        if dim is None:
            variables[name] = _static(found)
            continue
        variable, times = _series(found, dim)
        own = next((d for d, axis in axes.items() if _equal(axis, times)), None)
        if own is None:
            own = f'{dim}_{len(axes)}' if axes else dim
            axes[own] = times
            variables[own] = xr.Variable(own, times, found[0].array[dim].attrs | {'standard_name': 'time'})
        variables[name] = xr.Variable([own if d == dim else d for d in variable.dims], variable.data, variable.attrs,
                                      variable.encoding)  # fmt: skip
    for dataset in reversed(files):
        variables |= {d: dataset[d].variable for d in dataset.indexes if _time_dim(dataset, (d,)) is None}
    taken = {n: variable for n, variable in variables.items() if n in coords or n in axes}
    data = {n: variable for n, variable in variables.items() if n not in taken}
    return xr.Dataset(data, taken, files[0].attrs)


def _time_dim(data: xr.Dataset | xr.DataArray, dims: Sequence[Hashable]) -> Hashable | None:
    return next((d for d in dims if d in data.indexes and isinstance(data.indexes[d], _TIME_INDEXES)), None)


_TIME_INDEXES = (type(xr.date_range('2000', periods=1)), xr.CFTimeIndex)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool((a == b).all())


def _series(pieces: Sequence[Piece], dim: Hashable) -> tuple[xr.Variable, np.ndarray]:
    """The pieces of a variable along time, each time once. An error is raised when the result is read."""
    import dask.array

    name, first = pieces[0].array.name, pieces[0].array
    try:
        series = in_one_calendar([piece.times for piece in pieces])
    except ValueError as error:
        listed = f'{pieces[0].source} and {pieces[-1].source}'
        raise UserError(f'{listed} are in different calendars ({error}): convert one of them beforehand') from error
    for piece in pieces[1:]:
        if contrast := _other_field(first, piece.array):
            return _refused(first.variable, f"{pieces[0].source} and {piece.source}: '{name}' {contrast}"), series[0]
    try:
        arrays = [_in_units_of(first, piece).transpose(*first.dims) for piece in pieces]
    except UserError as error:
        return _refused(first.variable, str(error)), series[0]
    seconds = [encode_times(times) if len(times) else np.empty(0, int) for times in series]
    order = sorted(range(len(pieces)), key=lambda i: seconds[i][:1].tolist())
    ends = np.array([[s.min(), s.max()] if len(s) else [0, -1] for s in seconds])
    kept: list[xr.DataArray] = []
    stamps: list[np.ndarray] = []
    for place, i in enumerate(order):
        new = np.ones(len(seconds[i]), bool)
        first_time, last_time = ends[i]
        before = np.array(order[:place], int)
        for j in before[(ends[before, 0] <= last_time) & (ends[before, 1] >= first_time)]:
            shared = np.isin(seconds[i], seconds[j])
            if shared.any():
                problem = _difference(arrays[j], arrays[i], seconds[j], seconds[i], dim)
                if problem is not None:
                    at = iso(series[i][problem])
                    return _refused(
                        first.variable,
                        f"'{name}' differs between {pieces[j].source} and {pieces[i].source}, which both have "
                        f'{at}: give one of the two, or cut the time from one of them',
                    ), series[order[0]]
            new &= ~shared
        kept.append(arrays[i] if new.all() else arrays[i].isel({dim: np.flatnonzero(new)}))
        stamps.append(series[i][new])
    times = np.concatenate(stamps)
    data = dask.array.concatenate([array.data for array in kept], axis=first.dims.index(dim))
    variable = xr.Variable(first.dims, data, first.attrs, first.encoding)
    stamped = encode_times(times)
    if len(times) > 1 and (np.diff(stamped) < 0).any():  # files that interleave
        sorting = np.argsort(stamped, kind='stable')
        variable, times = variable.isel({dim: sorting}), times[sorting]
    return variable, times


def _other_field(a: xr.DataArray, b: xr.DataArray) -> str:
    """Why two arrays are different fields, even if their times would join, with advice; '' if they are not."""
    if set(a.dims) != set(b.dims):
        return f'lies on {", ".join(map(str, a.dims))} and on {", ".join(map(str, b.dims))}: give files of one grid'
    if any(a.sizes[dim] != b.sizes[dim] for dim in a.dims if dim != _time_dim(a, a.dims)):
        return f'has the sizes {dict(a.sizes)} and {dict(b.sizes)}: give files of one size'
    one, other = single_level(a), single_level(b)
    if one is not None and other is not None and not np.isclose(one, other):
        return f'is at the levels {one:g} and {other:g}: give the files of one level'
    for name in MEMBERS & set(map(str, a.coords)) & set(map(str, b.coords)):
        if a[name].ndim == b[name].ndim == 0 and a[name].values != b[name].values:
            return f"is of the members {a[name].values} and {b[name].values} ('{name}'): give the files of one member"
    return ''


def _in_units_of(first: xr.DataArray, piece: Piece) -> xr.DataArray:
    units, own = archives.units_of(first), archives.units_of(piece.array)
    if own == units or piece.array.dtype.kind not in NUMERIC_KINDS:
        return piece.array
    if units is None or own is None:
        raise UserError(
            f"'{first.name}' has the units '{own or units}' in one of the files and none in another ({piece.source}): "
            'add the attribute'
        )
    return convert_units(piece.array.assign_attrs(units=own), units, piece.source)


def _difference(
    a: xr.DataArray, b: xr.DataArray, a_seconds: np.ndarray, b_seconds: np.ndarray, dim: Hashable
) -> int | None:
    """Index in `b` of the first time that both have with different values, None where all agree.

    Packed values agree within the half steps of both.
    """
    _, in_a, in_b = np.intersect1d(a_seconds, b_seconds, return_indices=True)
    step = sum(abs(float(x.encoding.get('scale_factor', 0))) for x in (a, b)) / 2
    count = max(1, AT_ONCE * len(a_seconds) // max(1, a.nbytes))
    for start in range(0, len(in_a), count):
        left, right = (
            np.moveaxis(np.asarray(x.isel({dim: i[start : start + count]}).values), a.dims.index(dim), 0)
            for x, i in ((a, in_a), (b, in_b))
        )
        for offset, (one, other) in enumerate(zip(left, right, strict=True)):
            if not _same(one, other, step):
                return int(in_b[start + offset])
    return None


def _same(a: np.ndarray, b: np.ndarray, step: float = 0.0) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind not in NUMERIC_KINDS or b.dtype.kind not in NUMERIC_KINDS:
        return bool(np.array_equal(a, b))
    a, b = a.astype(float), b.astype(float)
    scale = max((float(np.abs(x[np.isfinite(x)]).max(initial=0)) for x in (a, b)), default=0.0)
    return bool(np.allclose(a, b, rtol=0, atol=ROUNDING * scale + step, equal_nan=True))


def _static(pieces: Sequence[Piece]) -> xr.Variable:
    """A variable without time: that of the first file; numbers on a grid must be the same in all."""
    first = pieces[0].array
    if first.ndim < 2 or first.dtype.kind not in NUMERIC_KINDS:
        return first.variable
    for piece in pieces[1:]:
        if set(piece.array.dims) != set(first.dims) or not _same(
            first.values, piece.array.transpose(*first.dims).values
        ):
            return _refused(
                first.variable,
                f"'{first.name}' differs between {pieces[0].source} and {piece.source}: keep one of them",
            )
    return first.variable


def _refused(like: xr.Variable, message: str) -> xr.Variable:
    """A variable that raises its error when it is read."""

    def fail() -> np.ndarray:
        raise UserError(message)

    import dask.array

    data = dask.array.from_delayed(dask.delayed(fail)(), like.shape, like.dtype)
    return xr.Variable(like.dims, data, like.attrs, like.encoding)


def _of_tiles(parts: Sequence[xr.Dataset], sources: Sequence[str]) -> xr.Dataset:
    try:
        _check_corners(parts)
        combined = xr.combine_by_coords(
            parts, data_vars='minimal', coords='minimal', compat='override', join='exact', combine_attrs='override'
        )
        assert isinstance(combined, xr.Dataset)  # of data sets, not of arrays
        return combined
    except ValueError as error:
        listed = ' and '.join(dict.fromkeys(sources[:2]))
        raise UserError(
            f'{listed}: fields on different grids ({_contrast(*parts[:2])}): give files of one grid'
        ) from error


def _check_corners(parts: Sequence[xr.Dataset]) -> None:
    """Raises ValueError for two parts that begin at the same cell: xarray would keep only one of them."""
    dims = sorted({dim for part in parts for dim in part.indexes}, key=str)
    corners = [tuple(part[dim].values[0] if dim in part.indexes else None for dim in dims) for part in parts]
    if len(set(corners)) < len(corners):
        raise ValueError('not tiles of one grid')


def _contrast(a: xr.Dataset, b: xr.Dataset) -> str:
    for dim in a.dims:
        if dim in b.dims and role_of(a, dim) != 'time':
            if a.sizes[dim] != b.sizes[dim]:
                return f"'{dim}' has {a.sizes[dim]} values and {b.sizes[dim]}"
            if dim in a.indexes and dim in b.indexes and not np.array_equal(a[dim].values, b[dim].values):
                return f"'{dim}' begins at {a[dim].values[0]:g} and at {b[dim].values[0]:g}"
    return 'their dimensions differ'
