"""Reader of pairs: coarse predictors and fine targets from two sources, at the times that both have."""

from collections.abc import Sequence
from typing import NamedTuple

import xarray as xr

from data_prep.readers.common_times import matched, unequal_steps
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.assumed_units import with_assumed_units
from downscale_jax.fields.datasets.axes import gridded
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.levels import levels_as_variables
from downscale_jax.fields.datasets.members import one_member
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError


class Pair(NamedTuple):
    """Canonical data sets with the same number of times, in order: the i-th coarse field belongs to the i-th fine."""

    coarse: xr.Dataset
    fine: xr.Dataset


def read_pair(data: dict, simulated: Pair | None = None) -> Pair:
    """data.predictors of the coarse file and data.targets of the fine one, in their units, at common times.

    `simulated` takes the place of the files. Raises UserError for variables, units or grids that do not fit, and where
    the files have no time in common.
    """
    coarse = open_coarse(data['coarse'], data['member']) if simulated is None else simulated.coarse
    fine = open_fine(data['fine']) if simulated is None else simulated.fine
    sources = data['coarse'] or 'the simulated coarse model', data['fine'] or 'the simulated fine climate'
    if data['assume_units']:
        coarse = with_assumed_units(coarse, data['predictors'], data['predictor_units'], sources[0])
        fine = with_assumed_units(fine, data['targets'], data['target_units'], sources[1])
    targets = in_units(fine, data['targets'], data['target_units'], sources[1], 'data.target_units')
    predictors = in_units(coarse, data['predictors'], data['predictor_units'], sources[0], 'data.predictor_units')
    return at_common_times(Pair(predictors, targets), *sources)


def open_coarse(path: str, member: int = 0) -> xr.Dataset:
    """The coarse file, lazily, with the levels of its variables as variables of their own (`u_850`)."""
    return levels_as_variables(one_member(store.open_dataset(path), member, path), path)


def open_fine(path: str) -> xr.Dataset:
    """The fine file, lazily."""
    return levels_as_variables(store.open_dataset(path), path)


def fields_in_time(dataset: xr.Dataset) -> list[str]:
    """Variables on a grid that have a time axis, in the order of the file."""
    return [name for name in gridded(dataset) if _has_time(dataset[name])]


def _has_time(array: xr.DataArray) -> bool:
    times = [
        c for c in array.coords.values() if c.dtype.kind == 'M' or (c.size and hasattr(c.values.flat[0], 'calendar'))
    ]
    return any(set(c.dims) & set(array.dims) for c in times if c.ndim)


def in_units(dataset: xr.Dataset, names: Sequence[str], units: Sequence[str], source: str, setting: str) -> xr.Dataset:
    """The canonical variables in `units`, '' as they are. Raises UserError, which names the setting of the units."""
    fields = canonical(dataset, names, source=source)
    check_times(fields, names, source)
    for name, unit in zip(names, units, strict=True):
        if unit and 'units' not in fields[name].attrs:
            raise UserError(f"{source}: '{name}' has no units: add the attribute, or set its unit to '' in {setting}")
        try:
            fields[name] = convert_units(fields[name], unit)
        except UserError as error:
            raise UserError(f'{source}: {error} (or change {setting}={tuple(units)})') from error
    return fields


def at_common_times(pair: Pair, coarse_source: str, fine_source: str) -> Pair:
    """The fields at the times that both have (`common_times.matched`); says what is left out.

    The fine fields get the coarse stamps, since these are what is known when the model is used. Warns of daily data
    beside finer ones. Raises UserError as `common_times.matched`.
    """
    stamps, sources = [fields['time'].values for fields in pair], (coarse_source, fine_source)
    matches = matched(stamps, sources)
    if steps := unequal_steps(stamps):
        messages.warning(
            f'{steps.described(sources)}: only times that both have are used; if {sources[1 - steps.finer]} holds '
            f'means, average {sources[steps.finer]}, too'
        )
    dropped = [len(times) - len(index) for times, index in zip(stamps, matches.positions, strict=True)]
    firsts = [iso(times[index[0]]) for times, index in zip(stamps, matches.positions, strict=True)]
    if any(dropped) or firsts[0] != firsts[1]:
        messages.info(
            f'times are matched by {matches.unit}: {len(matches.positions[0])} in common; {dropped[0]} of the coarse '
            f'and {dropped[1]} of the fine data are not used'
        )
    coarse, fine = (isel_times(fields, index) for fields, index in zip(pair, matches.positions, strict=True))
    return Pair(coarse, fine.assign_coords(time=coarse['time']))
