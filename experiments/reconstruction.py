"""A long coarse archive of another source downscaled by DPDM: a reconstruction, what it says of change, and how well.

    python experiments/reconstruction.py [--workdir=runs/diffusion_dpdm] [--start=1960 --years=40] [--members=3]
        [--uncorrected] [--month=YYYY-MM] [--input=FILE]

Without --input the archive, WORKDIR/20cr_like.nc, is made up in the likeness of the 20th Century Reanalysis: the world
that the model learned from, before and after the years of training too, as another model would see it (`distorted`).

An archive is interpolated bilinearly to the centres of the model's blocks (`ToFine`; average cells much smaller than a
block beforehand), its distribution in the years of training is mapped to the climate of training, and it becomes
WORKDIR/reconstruction.zarr; a killed run goes on where it was. WORKDIR/reconstruction.md tells, beside the truth of a
made-up archive and the archive linearly interpolated (Lerp): area mean and extremes by decade and their trends, how
often months are both hot and dry by the thresholds of the training split, what is out of bounds, and how anomalies
correlate from month to month; of members the mean and the range. WORKDIR/case_study.png shows one month, by default the
wettest of the test split. --uncorrected leaves the bias, in files of that name.

The default is 1440 fields: ten minutes on two idle cores at the model's default size (0.8 CPU seconds a field). 180
years (--start=1836 --years=180) of 33 members are 71 280 fields: eight to nine hours there and up to 22 GB on disk.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cftime
import matplotlib
import numpy as np
import xarray as xr
import zarr
from matplotlib.figure import Figure

from data_prep import mountains
from data_prep.prepare import prepare
from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import checked
from downscale_jax.evaluation import compound, correlation, look, trends
from downscale_jax.evaluation.bootstrap import ratio, total
from downscale_jax.evaluation.reference import reference
from downscale_jax.fields import store
from downscale_jax.fields.block_means import BlockMeans, block_centres, interpolate
from downscale_jax.fields.dates import select_dates
from downscale_jax.fields.interpolation import ToFine
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, told
from downscale_jax.runtime.files import write_text
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler

SHIFT = 0.35  # of a side, by which the archive's cells begin outside of the region
BIAS, SEASONAL, WIDER, ERROR = 1.2, 0.4, 1.25, 0.3  # of additive variables: standard deviations, and their factor
WETTER, DRIZZLE, NOISE = 1.3, 0.25, 0.2  # of what is never negative: factor, share of the mean, of the logarithm
PORTION = 120  # times of an archive read at once
HOT, DRY = 't2m', 'tp'
TRUTH, ENSEMBLE, LERP, RAW = 'truth', 'ensemble', 'Lerp, corrected', 'Lerp, uncorrected'


def world(size: Mapping[str, int], names: Sequence[str], first: int, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """(i, fine [H, W, V]) of month first + i, for i below `count`, in no order; 0 is where `mountains.simulate` begins.

    From there on these are its fields. The past is its weather run backwards, with other random numbers: Gaussian
    fields that keep a constant share of themselves have the same law in either direction. The trend goes on.
    """
    shape = size['rows'], size['columns']
    axes = [corner + mountains.CELL * (np.arange(n) + 0.5) for corner, n in zip(mountains.CORNER, shape, strict=True)]
    cells = mountains.KM * mountains.CELL * np.array([1.0, np.cos(np.deg2rad(axes[0].mean()))])
    relief = np.random.default_rng(size['seed']).spawn(1)[0]
    ground = mountains.Ground(mountains.draw_relief(relief, *shape), cells)
    for step, end in ((1, first + count), (-1, first - 1)):
        _, present, past = np.random.default_rng(size['seed']).spawn(3)
        weather = mountains.Weather(present, shape, cells)
        for field in vars(weather).values():
            if isinstance(field, mountains.Matern) and step < 0:
                field.rng = past
        for month in range(0, end, step):
            if first <= month < first + count and month * step >= (step < 0):
                found = mountains.climate(month, axes[0], ground, weather)
                yield month - first, np.stack([found[name] for name in names], -1).astype(np.float32)
            weather.step()


def wide_cells(coordinate: np.ndarray, side: int, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres [n] of cells of `side` fine ones, matrix [n, N] of means by weight [N] over those that are there)."""
    outside = round(SHIFT * side)
    cell = (np.arange(coordinate.size) + outside) // side
    matrix = (cell == np.arange(cell[-1] + 1)[:, None]) * weight
    first = coordinate[0] + (coordinate[1] - coordinate[0]) * ((side - 1) / 2 - outside)
    centres = first + (coordinate[1] - coordinate[0]) * side * np.arange(len(matrix))
    return centres, matrix / matrix.sum(1, keepdims=True)


def distorted(coarse: np.ndarray, months: np.ndarray, positive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fields [T, h, w, V] of calendar months 1 to 12 [T] as another model has them.

    Additive variables are too high, more so in winter, and too variable; those that are never negative (`positive`
    [V]) are multiplied, and their dry months have drizzle. All have errors that differ from cell to cell and month to
    month.
    """
    normal = np.stack([coarse[months == m].mean(0) for m in months])
    deviation, mean = (coarse - normal).std(0), np.maximum(coarse.mean(0), 1e-12)
    season, noise = np.cos(2 * np.pi * (months - 1) / 12)[:, None, None, None], rng.standard_normal(coarse.shape)
    added = normal + WIDER * (coarse - normal) + deviation * (BIAS + SEASONAL * season + ERROR * noise)
    wetter = WETTER * coarse * np.exp(NOISE * noise - NOISE**2 / 2) + DRIZZLE * mean * np.exp(-coarse / mean)
    return np.where(positive, wetter, added)


def make_up(path: Path, model: Downscaler, start: int, years: int, truth: 'Kept') -> None:
    """Writes the archive: cells of two blocks a side that share no border with blocks, from the north, years of 365
    days, rain by the second. Its fine fields are counted in `truth` and forgotten.

    Raises UserError where the model's world is not ours to go on with.
    """
    data, transform, grid = model.config['data'], model.prepared.block_means, model.prepared.statics
    size = {'seed': model.config['seed'], **data['simulate']}
    if data['path'] or size.pop('world', '') != 'mountains':
        raise UserError(f'{model.workdir} was trained on {data["path"] or "another world"}: give an archive by --input')
    (lat, rows), (lon, columns) = (
        wide_cells(
            grid[name].values, 2 * transform.factor, np.cos(np.deg2rad(grid['lat'].values)) if name == 'lat' else 1
        )
        for name in ('lat', 'lon')
    )
    coarse = np.empty((12 * years, lat.size, lon.size, len(transform.inputs)))
    for index, fine in world(size, transform.inputs, 12 * (start - int(mountains.START[:4])), len(coarse)):
        fine = fine[: grid.sizes['lat'], : grid.sizes['lon']]  # whole blocks
        coarse[index] = np.einsum('ri,ijv,cj->rcv', rows, fine, columns, optimize=True)
        truth.add(start + index // 12, index % 12 + 1, fine)
    months = np.arange(len(coarse)) % 12 + 1
    seen = distorted(coarse, months, transform.limits[0] == 0, np.random.default_rng((size['seed'], 20)))
    units = {
        name: 'mm s-1' if unit == 'mm day-1' else unit
        for name, unit in zip(transform.inputs, transform.input_units, strict=True)
    }
    fields = {
        name: (('time', 'lat', 'lon'), seen[:, ::-1, :, v] / (86400 if unit == 'mm s-1' else 1), {'units': unit})
        for v, (name, unit) in enumerate(units.items())
    }
    times = [cftime.DatetimeNoLeap(start + i // 12, i % 12 + 1, 1) for i in range(len(coarse))]
    store.write_netcdf(xr.Dataset(fields, {'time': times, 'lat': lat[::-1], 'lon': lon}), path)


def on_blocks(archive: xr.Dataset, transform: BlockMeans, statics: xr.Dataset, span: tuple[str, str]) -> xr.Dataset:
    """The months of a span, in memory, interpolated bilinearly to the centres of the blocks.

    Raises UserError where the archive lacks a variable or the span, is not monthly, or does not cover the region.
    """
    source = archive.encoding['source']
    fields = select_dates(checked(archive, transform, source), (span,))
    numbers = 12 * fields['time'].dt.year.values + fields['time'].dt.month.values
    if np.unique(numbers).size < numbers.size:
        raise UserError(f'{source}: {numbers.size} times in {np.unique(numbers).size} months: give monthly means')
    coords = {
        name: (c.dims, block_centres(c.values, transform.factor, name == 'lon'), c.attrs)
        for name, c in statics.coords.items()
        if c.ndim and name != 'time'
    }
    to_blocks, parts = ToFine(fields, xr.Dataset(coords=coords)), []
    for begin in range(0, numbers.size, PORTION):
        one = store.load(fields.isel(time=slice(begin, begin + PORTION)), source)
        parts.append(np.stack([to_blocks(one[name].values) for name in transform.inputs], -1).astype(np.float32))
    values = np.concatenate(parts)
    known = np.isfinite(values).all(-1).mean((1, 2))
    if known.min() < 1:
        raise UserError(
            f'{source} has values in {known.min():.0%} of the blocks of the region at '
            f'{fields["time"].values[known.argmin()]}: give an archive that covers it at all times'
        )
    variables: dict[str, Any] = {
        name: (('time', *statics['mask'].dims), values[..., v], {'units': units})
        for v, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True))
    }
    return xr.Dataset(variables, {**coords, 'time': fields['time'].values})


class Plan(NamedTuple):
    """What is counted: bins of each variable, the area of cells [H, W], hot and dry months if there are both."""

    variables: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    area: np.ndarray
    thresholds: compound.Thresholds | None
    factor: int


def plan_of(prepared: Prepared) -> Plan:
    """Bins reach far beyond the values of training; of what is never negative they are finest near zero."""
    transform, split, found = prepared.block_means, prepared.split('train'), None
    share = np.linspace(0, 1, 1001)
    edges = tuple(
        3 * high * share**3 if bound == 0 else low + (high - low) * (3 * share - 1)
        for (low, high), bound in zip(prepared.meta['range'], transform.limits[0], strict=True)
    )
    if {HOT, DRY} <= {*transform.targets}:
        at = [transform.targets.index(name) for name in (HOT, DRY)]
        fields = np.stack([split[i]['fine'][..., at] for i in range(len(split))])
        found = compound.thresholds(fields[..., 0], fields[..., 1], xr.DataArray(split.times, dims='t').dt.month.values)
    return Plan(transform.targets, edges, prepared.area[..., 0], found, transform.factor)


class Kept:
    """What is kept of the fields of a method, or a member, that come a month at a time in any order."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.sums: dict[tuple, dict[str, Any]] = {}  # by (variable, year), and by (None, decade) of hot and dry months
        self.series: dict[int, np.ndarray] = {}  # one cell of each block, by months since year 0: [P, V]

    def add(self, year: int, month: int, field: np.ndarray) -> None:
        """A month, [H, W, V]."""
        plan, inside = self.plan, slice(self.plan.factor // 2, None, self.plan.factor)
        more = {(v, year): trends.series_sums(field[..., v], plan.area, e) for v, e in enumerate(plan.edges)}
        if plan.thresholds:
            hot, dry = (field[None, ..., plan.variables.index(name)] for name in (HOT, DRY))
            found = compound.month_sums(hot, dry, np.array([month]), plan.thresholds)
            more[None, year // 10 * 10] = {key: np.vdot(x, plan.area) for key, x in found.items()}
        for key, sums in more.items():
            self.sums[key] = total([self.sums[key], sums]) if key in self.sums else sums
        self.series[12 * year + month - 1] = field[inside, inside].reshape(-1, field.shape[-1]).astype(np.float32)

    def of(self, what: int | None) -> dict[int, dict[str, Any]]:
        """Sums of a variable by year, of hot and dry months by decade."""
        return {when: sums for (which, when), sums in sorted(self.sums.items(), key=str) if which == what}

    def trends(self, variable: int) -> dict[str, Any]:
        """As `trends.summarise`."""
        found = self.of(variable)
        return trends.summarise([*found.values()], [*found], self.plan.edges[variable])

    def lag1(self) -> np.ndarray:
        """[V]: see the function."""
        return lag1(np.array(sorted(self.series)), np.stack([self.series[n] for n in sorted(self.series)]))


def lag1(numbers: np.ndarray, series: np.ndarray) -> np.ndarray:
    """[V]: correlation of the anomalies from one month to the next, over cells and time, of series [T, P, V] at months
    [T] counted from a January; an anomaly is that from the mean of the calendar month."""
    anomaly = series.astype(np.float64)
    for month in np.unique(numbers % 12):
        anomaly[numbers % 12 == month] -= anomaly[numbers % 12 == month].mean(0)
    before = np.flatnonzero(np.diff(numbers) == 1)
    now, then = (np.nan_to_num(anomaly[at]) for at in (before, before + 1))
    return ratio((now * then).sum((0, 1)), np.sqrt((now**2).sum((0, 1)) * (then**2).sum((0, 1))))


def shown(values: Sequence[float], digits: int, interval: Sequence[float] = ()) -> str:
    """One number, with its interval if any, or the mean of the members' and their range."""
    mean, *ends = (f'{x:.{digits}f}' for x in (np.mean(values), *(interval or (min(values), max(values)))))
    return mean if len(values) == 1 and not len(interval) else f'{mean} ({" to ".join(ends)})'


def tables(kept: Mapping[str, Sequence[Kept]], units: Sequence[str]) -> str:
    """Markdown, of all methods, of each of which there are one or several members."""
    plan, lines = next(iter(kept.values()))[0].plan, []

    def table(title: str, rows: Mapping[str, Sequence[str]]) -> None:
        lines.extend(f'| {" | ".join(row)} |' for row in ([title, *kept], ['---'] * (len(kept) + 1)))
        lines.extend([*(f'| {label} | {" | ".join(cells)} |' for label, cells in rows.items()), ''])

    for v, (name, unit) in enumerate(zip(plan.variables, units, strict=True)):
        found = [[one.trends(v) for one in several] for several in kept.values()]
        for key in ('mean', *(f'quantile_{level:g}' for level in trends.LEVELS)):
            rows = {}
            for d, (decade, years) in enumerate(
                zip(found[0][0]['decades'], found[0][0]['years_in_decade'], strict=True)
            ):
                label = f'{decade}s' + (f', {years} years' if years < 10 else '')
                rows[label] = [shown([one[key]['by_decade'][d] for one in several], 2) for several in found]
            rows['trend a decade'] = [
                shown([one[key]['trend'] for one in m], 3, [*m[0][key]['interval']] if len(m) == 1 else ())
                for m in found
            ]
            table(f'{name}, {key.replace("_", " ")} ({unit})', rows)
    if plan.thresholds:
        by_decade = [
            [{d: 100 * float(ratio(s['events'], s['months'])) for d, s in one.of(None).items()} for one in several]
            for several in kept.values()
        ]
        table(
            'hot and dry months (%)',
            {f'{d}s': [shown([one[d] for one in m], 2) for m in by_decade] for d in by_decade[0][0]},
        )
    lagged = [np.stack([one.lag1() for one in several]) for several in kept.values()]
    table(
        'correlation from month to month',
        {n: [shown(m[:, v], 3) for m in lagged] for v, n in enumerate(plan.variables)},
    )
    return '\n'.join(lines)
