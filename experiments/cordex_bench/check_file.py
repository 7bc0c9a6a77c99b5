"""Check of one prediction file against its predictors and the targets of training."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from configs.cordex_bench import PREDICTORS
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.assumed_units import check_plausible
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.times import STANDARD
from downscale_jax.runtime.errors import UserError
from experiments.cordex_bench.layout import MEMBERS, TARGETS, UNITS, Domain
from experiments.cordex_bench.units import equal_units

BLOCK = 64  # times that are read together
CLOSE = 0.01  # of a cell: coordinates may be rounded
DATES_LISTED = 3


class Reference(NamedTuple):
    """What a prediction must agree with."""

    domain: Domain
    predictors: xr.Dataset
    targets: xr.Dataset


def form_of(prediction: xr.Dataset) -> str:
    return 'generative' if 'member' in prediction.dims else 'deterministic'


def file_faults(prediction: xr.Dataset, reference: Reference) -> Iterator[str]:
    """Faults of variables, dimensions, members, times, grid and units; of values only where there are no others."""
    present = [name for name in TARGETS if name in prediction]
    found = [
        *(f"no variable '{name}': both {' and '.join(TARGETS)} belong in one file" for name in TARGETS
          if name not in present),
        *(fault for name in present for fault in form_faults(prediction, name, reference)),
        *time_faults(prediction, reference),
        *grid_faults(prediction, reference),
    ]  # fmt: skip
    yield from found
    if not found:
        yield from (fault for name in TARGETS for fault in unit_faults(prediction[name], name))
        yield from value_faults(prediction, reference)


def form_faults(prediction: xr.Dataset, name: str, reference: Reference) -> Iterator[str]:
    """Dimensions, members and type of a variable."""
    array, expected = prediction[name], ('time', *reference.domain.dims)
    shown = ' x '.join(f'{dim} ({size})' for dim, size in array.sizes.items())
    if tuple(dim for dim in array.dims if dim != 'member') != expected:
        yield f"'{name}' is {shown}: {' x '.join(expected)} was expected, with member for generative models"
    if 'member' in prediction.dims and 'member' not in array.dims:
        yield f"'{name}' has no dimension member, unlike the other variable"
    elif 'member' in array.dims and array.sizes['member'] != MEMBERS:
        yield f"'{name}' has {array.sizes['member']} members: generative models give {MEMBERS}"
    if array.dtype.kind != 'f':
        yield f"'{name}' has type {array.dtype}: floating-point numbers were expected"


def time_faults(prediction: xr.Dataset, reference: Reference) -> Iterator[str]:
    """Number, calendar and dates of the days."""
    if 'time' not in prediction.coords:
        yield "no coordinate 'time': copy that of the predictors"
        return
    own, wanted = (dataset['time'] for dataset in (prediction, reference.predictors))
    if own.size != wanted.size:
        yield f'{own.size} days, but the predictors have {wanted.size}: predict all of them, once'
        return
    if not all(time.dtype.kind == 'M' or hasattr(time.values.flat[0], 'calendar') for time in (own, wanted)):
        yield "'time' has no dates: units such as 'days since 1961-01-01' and the calendar of the predictors"
        return
    calendars = [time.dt.calendar for time in (own, wanted)]
    if calendars[0] != calendars[1] and not all(calendar in STANDARD for calendar in calendars):
        yield f"the calendar is '{calendars[0]}', that of the predictors '{calendars[1]}': copy their time"
    days = [[iso(value)[:10] for value in time.values] for time in (own, wanted)]
    if different := [pair for pair in zip(*days, strict=True) if pair[0] != pair[1]]:
        yield f'{len(different)} days differ from the predictors, the first is {different[0][0]}, not {different[0][1]}'


def grid_faults(prediction: xr.Dataset, reference: Reference) -> Iterator[str]:
    """Sizes and coordinates of the grid."""
    for name in dict.fromkeys((*reference.domain.dims, 'lat', 'lon')):
        wanted = reference.targets[name]
        if name not in prediction.variables:
            yield f"no coordinate '{name}': copy that of the template"
            continue
        own = prediction[name].values
        if own.shape != wanted.shape:
            yield f"'{name}' has {own.shape} values, the template {wanted.shape}"
            continue
        cell = np.abs(np.diff(wanted.values.astype(float))).mean()
        if (apart := np.abs(own - wanted.values).max()) > CLOSE * cell:
            turned = ': it is turned' if np.allclose(own[::-1], wanted.values, atol=CLOSE * cell) else ''
            yield f"'{name}' differs from the template by up to {apart:.3g}{turned}: copy that of the template"


def unit_faults(array: xr.DataArray, name: str) -> Iterator[str]:
    """Units, where the file names any, and values that are implausible in them."""
    units = array.attrs.get('units')
    if units is not None and not equal_units(units, UNITS[name]):
        yield f"'{name}' is in '{units}', {UNITS[name]} was expected: convert it"
        return
    try:
        check_plausible(array.isel(member=0) if 'member' in array.dims else array, UNITS[name], f"'{name}'")
    except UserError as error:
        yield str(error)


def value_faults(prediction: xr.Dataset, reference: Reference) -> Iterator[str]:
    """Missing values on days with all predictors, values on days that lack a predictor, and members that are equal."""
    needed = missing_share(reference.predictors)
    for name in TARGETS:
        exists = np.isfinite(store.load(reference.targets[name].isel(time=0)).values)
        absent, equal = scanned(prediction[name].transpose(..., 'time', *reference.domain.dims), exists)
        for days, what in (
            ((absent > 0) & (needed == 0), 'have missing values, though all predictors exist'),
            ((absent < 1) & (needed == 1), 'have values, though a predictor is missing everywhere: predict NaN'),
        ):
            if days.any():
                yield f"{days.sum()} days of '{name}' {what} ({listed(prediction['time'].values[days])})"
        if equal:
            yield f"members of '{name}' are equal: a generative model draws each anew"


def listed(times: np.ndarray) -> str:
    """The first dates."""
    dates = [iso(time)[:10] for time in times[:DATES_LISTED]]
    return ', '.join([*dates, '..'] if len(times) > DATES_LISTED else dates)


def scanned(array: xr.DataArray, exists: np.ndarray) -> tuple[np.ndarray, bool]:
    """(share of the values that are missing on each day, of those where the template exists; whether the first two
    members are equal on all days)."""
    shares, equal = [], 'member' in array.dims
    for start in range(0, array.sizes['time'], BLOCK):
        values = store.load(array.isel(time=slice(start, start + BLOCK))).values
        values = values.reshape(-1, *values.shape[-3:])
        shares.append(np.isnan(values[..., exists]).mean((0, 2)))
        equal = equal and np.array_equal(values[0], values[1], equal_nan=True)
    return np.concatenate(shares), equal


def missing_share(predictors: xr.Dataset) -> np.ndarray:
    """For each day, the largest share of a predictor's cells that are missing [T]."""
    shares = []
    for name in PREDICTORS:
        array = predictors[name]
        shares.append(np.isnan(store.load(array).values).mean(tuple(range(1, array.ndim))))
    return np.max(shares, 0)
