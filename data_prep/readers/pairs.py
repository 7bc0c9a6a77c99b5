"""Reader of pairs: coarse predictors and fine targets from two sources, at the times that both have."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from data_prep.readers.assumed_units import with_assumed_units
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.axes import gridded
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.levels import levels_as_variables
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

MONTH = 27.5, 31.5  # days between the stamps of monthly data
SAME_STEP = 0.75  # of the longer of two steps of time: below it a series has times that the other lacks
ENSEMBLE = ('realization', 'member', 'number', 'ensemble', 'ensemble_member')  # dimensions of members


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


def one_member(dataset: xr.Dataset, member: int, source: str) -> xr.Dataset:
    """One member of an ensemble. Raises UserError where it has fewer members."""
    for dim in dataset.dims:
        if str(dim).lower() in ENSEMBLE:
            count = dataset.sizes[dim]
            if not 0 <= member < count:
                raise UserError(f"data.member={member}, but {source} has {count} members along '{dim}'")
            if count > 1:
                messages.info(f"{source}: member {member} of {count} along '{dim}' is used (data.member)")
            return dataset.isel({dim: member}, drop=True)
    if member:
        raise UserError(f'data.member={member}, but {source} has no dimension of members: leave it 0')
    return dataset


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
    """The fields at the times that both have (`matched_times`); says what is left out.

    The fine fields get the coarse stamps, since these are what is known when the model is used. Warns of daily data
    beside finer ones. Raises UserError as `matched_times`.
    """
    stamps = [fields['time'].values for fields in pair]
    matched = matched_times(pair, coarse_source, fine_source)
    if found := different_steps(stamps, (coarse_source, fine_source)):
        messages.warning(
            f'{found}: only times that both have are used; if the second holds means, average the first, too'
        )
    dropped = [len(times) - len(index) for times, index in zip(stamps, matched, strict=True)]
    firsts = [iso(times[index[0]]) for times, index in zip(stamps, matched, strict=True)]
    if any(dropped) or firsts[0] != firsts[1]:
        messages.info(
            f'times are matched by {unit_of(stamps)}: {len(matched[0])} in common; {dropped[0]} of the coarse and '
            f'{dropped[1]} of the fine data are not used'
        )
    chosen = isel_times(pair.coarse, matched[0])
    return Pair(chosen, isel_times(pair.fine, matched[1]).assign_coords(time=chosen['time']))


def matched_times(pair: Pair, coarse_source: str, fine_source: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the coarse and in the fine data of the times that both have, by month, date or time stamp.

    Daily data are often stamped at 00:00 in one file and at 12:00 in another, monthly data on the first or in the
    middle of the month, and calendars differ. Raises UserError where nothing is in common, for several times in one
    such unit, and for monthly data beside finer ones, of which only one time of each month would be used.
    """
    stamps = [fields['time'].values for fields in pair]
    found = different_steps(stamps, (coarse_source, fine_source))
    if found and MONTH[0] < max(map(days_between, stamps)) < MONTH[1]:
        raise UserError(f'{found}: average the first to the months of the second')
    unit = unit_of(stamps)
    keys = [[_key(time, unit) for time in times] for times in stamps]
    for own, source, times in zip(keys, (coarse_source, fine_source), stamps, strict=True):
        if len(set(own)) < len(own):
            count = Counter(own)
            twice = [iso(t) for t, key in zip(times, own, strict=True) if count[key] > 1]
            raise UserError(f'{source}: several times in one {unit}: {", ".join(twice[:4])}; keep one of them')
    positions = {key: index for index, key in enumerate(keys[0])}
    matches = [(positions[key], index) for index, key in enumerate(keys[1]) if key in positions]
    if not matches:
        spans = [f'{iso(times[0])} to {iso(times[-1])}' for times in stamps]
        raise UserError(f'{coarse_source} ({spans[0]}) and {fine_source} ({spans[1]}) have no time in common')
    coarse, fine = (np.array(index) for index in zip(*matches, strict=True))
    return coarse, fine


def unit_of(stamps: Sequence[np.ndarray]) -> str:
    """The unit by which time stamps are matched: month, day or minute."""
    return 'month' if all(map(_is_monthly, stamps)) else 'day' if all(map(_is_daily, stamps)) else 'minute'


def different_steps(stamps: Sequence[np.ndarray], sources: Sequence[str]) -> str:
    """Time steps in words where one source has finer ones than the other, whose are a day or longer; else ''."""
    (short, often), (long, rarely) = sorted((days_between(times), s) for times, s in zip(stamps, sources, strict=True))
    if not (1 <= long < np.inf and short < SAME_STEP * long):
        return ''
    return f'{often} has time steps of {short:.3g} d, {rarely} of {long:.3g} d'


def days_between(times: np.ndarray) -> float:
    """Median spacing of time stamps in days, infinite for a single one."""
    if len(times) < 2:
        return np.inf
    steps = np.diff(times)
    seconds = [s / np.timedelta64(1, 's') if isinstance(s, np.timedelta64) else s.total_seconds() for s in steps]
    return float(np.median(seconds)) / 86400


def _is_monthly(times: np.ndarray) -> bool:
    return MONTH[0] < days_between(times) < MONTH[1]


def _is_daily(times: np.ndarray) -> bool:
    return days_between(times) == 1


def _key(time: Any, unit: str) -> str:
    """The part of an ISO stamp that names its period, equal in all calendars."""
    return iso(time)[: {'month': 7, 'day': 10, 'minute': 16}[unit]]
