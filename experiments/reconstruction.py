"""A long coarse archive of another source downscaled by DPDM: a reconstruction, what it says of change, and how well.

    python experiments/reconstruction.py [--workdir=runs/diffusion_dpdm] [--start=1960 --years=40] [--members=3]
        [--uncorrected] [--month=YYYY-MM] [--input=FILE]

Without --input the archive, WORKDIR/20cr_like.nc, is made up in the likeness of the 20th Century Reanalysis: the world
that the model learned from, before and after the years of training too, as another model would see it (`distorted`).
An archive is interpolated bilinearly to the centres of the model's blocks (average much smaller cells beforehand), its
distribution in the years of training is mapped to the climate of training, and it becomes WORKDIR/reconstruction.zarr;
a killed run goes on where it was. WORKDIR/reconstruction.md tells, beside the truth of a made-up archive and the
archive linearly interpolated (Lerp): area mean and extremes by decade, their trends (in brackets the members' range, of
one series 5 to 95 %), how often months are both hot and dry by the thresholds of the training split, how anomalies
correlate from month to month, what is out of bounds. WORKDIR/case_study.png shows one month, by default the wettest of
the test split. --uncorrected keeps the bias, in files of that name.

The default is 1440 fields: ten minutes on two idle cores at the model's default size (0.8 CPU seconds a field). 180
years (--start=1836 --years=180) of 33 members are 71 280 fields: eight to nine hours there and up to 22 GB on disk.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cftime
import matplotlib
import numpy as np
import xarray as xr
import zarr
from matplotlib.figure import Figure

from data_prep import mountains
from data_prep.prepare import prepare
from downscale_jax.downscale import ensemble, inputs
from downscale_jax.downscale.generate import Generator
from downscale_jax.evaluation import compound, correlation, evaluate, look, reference, trends
from downscale_jax.evaluation.bootstrap import ratio, total
from downscale_jax.fields import block_means, dates, interpolation, store
from downscale_jax.fields.quantile_mapping import QuantileMap
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, told
from downscale_jax.runtime.files import write_text
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler

SHIFT, PORTION = 0.35, 120  # of a side, by which the archive's cells begin outside; times of an archive read at once
BIAS, SEASONAL, WIDER, ERROR = 1.2, 0.4, 1.25, 0.3  # of additive variables: standard deviations, and their factor
WETTER, DRIZZLE, NOISE = 1.3, 0.25, 0.2  # of what is never negative: factor, share of the mean, of the logarithm
HOT, DRY = 't2m', 'tp'
TRUTH, ENSEMBLE, LERP, RAW = 'truth', 'ensemble', 'Lerp, corrected', 'Lerp, uncorrected'
Month = tuple[str, dict[str, np.ndarray]]


def wide_cells(axis: np.ndarray, side: int, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres [n] of cells of `side` fine ones, matrix [n, N] of means by weight [N] over those that are there)."""
    outside, step = round(SHIFT * side), axis[1] - axis[0]
    cells = np.arange((axis.size + outside - 1) // side + 1)
    matrix = ((np.arange(axis.size) + outside) // side == cells[:, None]) * weight
    return axis[0] + step * (side * cells + (side - 1) / 2 - outside), matrix / matrix.sum(1, keepdims=True)


def distorted(coarse: np.ndarray, months: np.ndarray, positive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fields [T, h, w, V] of calendar months [T] as another model has them: too high, most in winter, and too variable;
    where never negative (`positive` [V]) multiplied, and with drizzle in dry months. All have random errors."""
    normal = np.stack([coarse[months == m].mean(0) for m in months])
    deviation, mean = (coarse - normal).std(0), np.maximum(coarse.mean(0), 1e-12)
    season, noise = np.cos(2 * np.pi * (months - 1) / 12)[:, None, None, None], rng.standard_normal(coarse.shape)
    added = normal + WIDER * (coarse - normal) + deviation * (BIAS + SEASONAL * season + ERROR * noise)
    wetter = WETTER * coarse * np.exp(NOISE * noise - NOISE**2 / 2) + DRIZZLE * mean * np.exp(-coarse / mean)
    return np.where(positive, wetter, added)


def make_up(path: Path, model: Downscaler, years: range, truth: 'Kept') -> None:
    """Writes the archive: cells of two blocks a side that share no border with blocks, from the north, years of 365
    days. Its fine fields are counted in `truth`. Raises UserError where the model's world is not ours to go on with."""
    data, transform, grid = model.config['data'], model.prepared.block_means, model.prepared.statics
    size = {'seed': model.config['seed'], **data['simulate']}
    if data['path'] or size.pop('world', '') != 'mountains':
        raise UserError(f'{model.workdir} was trained on {data["path"] or "another world"}: give an archive by --input')
    north, east = grid['lat'].values, grid['lon'].values
    lat, rows = wide_cells(north, 2 * transform.factor, np.cos(np.deg2rad(north)))
    lon, columns = wide_cells(east, 2 * transform.factor, np.ones(east.size))
    coarse = np.empty((12 * len(years), lat.size, lon.size, len(transform.inputs)))
    first = 12 * (years[0] - int(mountains.START[:4]))
    for month, fields in mountains.World(size['seed'], size['rows'], size['columns']).months(first, len(coarse)):
        index, fine = month - first, np.stack([fields[name] for name in transform.inputs], -1).astype(np.float32)
        fine = fine[: north.size, : east.size]  # whole blocks
        coarse[index] = np.einsum('ri,ijv,cj->rcv', rows, fine, columns, optimize=True)
        truth.add(f'{years[index // 12]:04d}-{index % 12 + 1:02d}', fine)
    months = np.arange(len(coarse)) % 12 + 1
    seen = distorted(coarse, months, transform.limits[0] == 0, np.random.default_rng((size['seed'], 20)))
    fields = {
        name: (('time', 'lat', 'lon'), seen[:, ::-1, :, v], {'units': units})
        for v, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True))
    }
    times = [cftime.DatetimeNoLeap(years[i // 12], m, 1) for i, m in enumerate(months)]
    store.write_netcdf(xr.Dataset(fields, {'time': times, 'lat': lat[::-1], 'lon': lon}), path)


def on_blocks(archive: xr.Dataset, prepared: Prepared, years: range) -> xr.Dataset:
    """The months of these years, in memory, interpolated bilinearly to the centres of the blocks. Raises UserError
    where the archive lacks a variable or the years, is not monthly, or does not cover the region."""
    source, transform, split = archive.encoding['source'], prepared.block_means, prepared.split('train')
    span = f'{years[0]:04d}-01', f'{years[-1]:04d}-12'
    fields = dates.select_dates(inputs.checked(archive, transform, source), (span,))
    times = fields['time'].values
    if len(set(labels(times))) < times.size:
        raise UserError(f'{source}: {times.size} times in {len(set(labels(times)))} months: give monthly means')
    blocks = evaluate.coarse_dataset(prepared, split, split.times, [0])  # their grid
    to_blocks, parts = interpolation.ToFine(fields, blocks), []
    for begin in range(0, times.size, PORTION):
        one = store.load(fields.isel(time=slice(begin, begin + PORTION)), source)
        parts.append(np.stack([to_blocks(one[name].values) for name in transform.inputs], -1).astype(np.float32))
    values = np.concatenate(parts)
    known = np.isfinite(values).all(-1).mean((1, 2))
    if known.min() < 1:
        when = labels(times)[int(known.argmin())]
        raise UserError(f'{source} covers {known.min():.0%} of the region in {when}: all of it is needed, at all times')
    found = {name: (blocks[name].dims, values[..., v], blocks[name].attrs) for v, name in enumerate(transform.inputs)}
    return xr.Dataset(found, {**blocks.drop_vars('time').coords, 'time': times})


def labels(times: np.ndarray) -> list[str]:
    return [*xr.DataArray(times, dims='time').dt.strftime('%Y-%m').values]


def thresholds(prepared: Prepared) -> compound.Thresholds | None:
    """Of the training split; None without temperature and rain."""
    split, targets = prepared.split('train'), prepared.block_means.targets
    if not {HOT, DRY} <= {*targets}:
        return None
    fields = np.stack([split[i]['fine'][..., [targets.index(HOT), targets.index(DRY)]] for i in range(len(split))])
    return compound.thresholds(fields[..., 0], fields[..., 1], np.array([int(one[-2:]) for one in labels(split.times)]))


class Kept:
    """What is kept of the fields of a method, or a member, that come a month at a time in any order."""

    def __init__(self, prepared: Prepared, limits: compound.Thresholds | None):
        self.prepared, self.limits, self.area = prepared, limits, prepared.area[..., 0]
        # far beyond the values of training; of what is never negative finest near zero
        share = np.linspace(0, 1, 1001)
        self.edges = [
            3 * high * share**3 if bound == 0 else low + (high - low) * (3 * share - 1)
            for (low, high), bound in zip(prepared.meta['range'], prepared.block_means.limits[0], strict=True)
        ]
        self.sums: dict[tuple, dict[str, Any]] = {}  # by (variable, year), and by (None, decade) of hot and dry months
        self.series: dict[int, np.ndarray] = {}  # by months since year 0, one cell of each block: [P, V]

    def add(self, when: str, field: np.ndarray) -> None:
        """A month, YYYY-MM and [H, W, V]."""
        (year, month), transform = map(int, when.split('-')), self.prepared.block_means
        found = ((v, trends.series_sums(field[..., v], self.area, edges)) for v, edges in enumerate(self.edges))
        more: dict[tuple, dict[str, Any]] = {(v, year): sums for v, sums in found}
        if self.limits:
            hot, dry = (field[None, ..., transform.targets.index(name)] for name in (HOT, DRY))
            events = compound.month_sums(hot, dry, np.array([month]), self.limits)
            more[None, year // 10 * 10] = {key: np.vdot(x, self.area) for key, x in events.items()}
        for key, sums in more.items():
            self.sums[key] = total([self.sums[key], sums]) if key in self.sums else sums
        inside = slice(transform.factor // 2, None, transform.factor)
        self.series[12 * year + month - 1] = field[inside, inside].reshape(-1, field.shape[-1]).astype(np.float32)

    def of(self, what: int | None) -> dict[int, dict[str, Any]]:
        """Sums of a variable by year, of hot and dry months by decade."""
        return {when: self.sums[which, when] for which, when in sorted(self.sums, key=lambda k: k[1]) if which == what}


def lag1(series: Mapping[int, np.ndarray]) -> np.ndarray:
    """[V]: correlation of the anomalies from one month to the next, over cells and time, of fields [P, V] by months
    counted from a January; an anomaly is that from the mean of the calendar month."""
    numbers = np.array(sorted(series))
    anomaly = np.stack([series[number] for number in numbers]).astype(np.float64)
    for month in np.unique(numbers % 12):
        anomaly[numbers % 12 == month] -= anomaly[numbers % 12 == month].mean(0)
    before = np.flatnonzero(np.diff(numbers) == 1)
    now, then = (np.nan_to_num(anomaly[at]) for at in (before, before + 1))
    return ratio((now * then).sum((0, 1)), np.sqrt((now**2).sum((0, 1)) * (then**2).sum((0, 1))))


def shown(values: Any, digits: int, interval: Sequence[float] = ()) -> str:
    """One number, with its interval if there is one, or the mean of the members' and their range."""
    ends = interval if len(values) == 1 else (np.min(values), np.max(values))
    told = ' to '.join(f'{end:.{digits}f}' for end in ends)
    return f'{np.mean(values):.{digits}f}' + (f' ({told})' if told else '')


def tables(kept: Mapping[str, Sequence[Kept]]) -> str:
    """Markdown, of all methods, of each of which there are one or several members."""
    transform, lines = next(iter(kept.values()))[0].prepared.block_means, []

    def add(title: str, rows: Mapping[str, Sequence[str]]) -> None:
        body = [[title, *kept], ['---'] * (len(kept) + 1), *([label, *cells] for label, cells in rows.items())]
        lines.extend([*(f'| {" | ".join(line)} |' for line in body), ''])

    for v, name in enumerate(transform.targets):
        told = [[trends.summarise([*k.of(v).values()], [*k.of(v)], k.edges[v]) for k in m] for m in kept.values()]
        for key in ('mean', *(f'quantile_{level:g}' for level in trends.LEVELS)):
            rows = {}
            for d, (decade, years) in enumerate(zip(told[0][0]['decades'], told[0][0]['years_in_decade'], strict=True)):
                rows[f'{decade}s ({years} years)'] = [shown([one[key]['by_decade'][d] for one in m], 2) for m in told]
            rows['trend a decade'] = [shown([one[key]['trend'] for one in m], 3, m[0][key]['interval']) for m in told]
            add(f'{name}, {key.replace("_", " ")} ({transform.target_units[v]})', rows)
    hot = [
        [{d: float(ratio(s['events'], s['months'])) for d, s in k.of(None).items()} for k in m] for m in kept.values()
    ]
    rows = {f'{d}s': [shown([100 * one[d] for one in m], 2) for m in hot] for d in hot[0][0]}
    add('hot and dry months (%)', rows or {f'unknown without {HOT} and {DRY}': ['-'] * len(kept)})
    lagged = [np.stack([lag1(one.series) for one in m]) for m in kept.values()]
    rows = {name: [shown(m[:, v], 3) for m in lagged] for v, name in enumerate(transform.targets)}
    add('correlation from month to month', rows)
    return '\n'.join(lines)


def methods(path: Path, blocks: xr.Dataset, corrected: QuantileMap | None, prepared: Prepared) -> Iterator[Month]:
    """(YYYY-MM, fields [M, H, W, V] by name): the members in the store, and the archive interpolated."""
    transform, group = prepared.block_means, cast(Any, zarr.open_group(path, mode='r'))
    for t, when in enumerate(labels(blocks['time'].values)):
        coarse = {RAW: np.stack([blocks[name].values[t] for name in transform.inputs], -1)}
        if corrected:
            coarse = {LERP: corrected.apply(coarse[RAW], int(when[-2:])), **coarse}
        fields = {ENSEMBLE: np.stack([np.asarray(group[name][:, t]) for name in transform.targets], -1)}
        for name, field in coarse.items():
            fine = block_means.interpolate(field, transform.factor, prepared.periodic, 'linear')
            fields[name] = fine.clip(*transform.limits)[None]
        yield when, fields


def case_of(prepared: Prepared, wanted: str, years: range) -> tuple[str, np.ndarray]:
    """(month, truth [H, W, V]) of a record within these years: the month wanted, else that of the test split whose area
    mean of rain, or of the first variable, is largest. Raises UserError where there is none."""
    found = {
        when: split[i]['fine']
        for split in map(prepared.split, ('test', 'validation', 'train') if wanted else ('test',))
        for i, when in enumerate(labels(split.times))
        if int(when[:4]) in years and wanted in ('', when)
    }
    if not found:
        what = f'--month={wanted} is no month YYYY-MM' if wanted else 'no month of the test split is one'
        raise UserError(f'{what} of {years[0]} to {years[-1]} that the records of the model have: choose others')
    v = prepared.block_means.targets.index(DRY) if DRY in prepared.block_means.targets else 0
    month = max(found, key=lambda when: np.nansum(found[when][..., v] * prepared.area[..., 0]))
    return month, found[month]


@matplotlib.rc_context(look.LOOK)
def case_study(panels: Mapping[str, np.ndarray], prepared: Prepared, month: str) -> Figure:
    """Maps {name: [H, W, V]} of a month, YYYY-MM, TRUTH among them, a row a variable."""
    names, units = prepared.block_means.targets, prepared.block_means.target_units
    normal = reference.reference(prepared).normal[int(month[-2:]) - 1]
    y = prepared.statics[prepared.statics['mask'].dims[0]].values
    figure = look.blank(2.1 * len(names), f'{month}, reconstructed', 'scores of this month alone')
    for v, line in enumerate(figure.subplots(len(names), len(panels), squeeze=False)):
        truth = panels[TRUTH][..., v]
        low, high = np.nanquantile(truth, (0.005, 0.995))
        weight = prepared.area[..., 0] * np.isfinite(truth)
        for panel, (name, values) in zip(line, panels.items(), strict=True):
            field = values[..., v]
            image = panel.imshow(field, origin='lower' if y[0] < y[-1] else 'upper', vmin=low, vmax=high)
            rmse = np.sqrt(np.average(np.nan_to_num(field - truth) ** 2, weights=weight))
            acc = correlation.summarise(correlation.day_sums(field, truth, weight, normal[..., v]))['acc']
            panel.set_title(name + f'\nRMSE {rmse:.2f}, ACC {acc:.2f}' * (name != TRUTH), loc='left', fontsize=9)
            panel.set(xticks=[], yticks=[])
        line[0].set_ylabel(names[v])
        figure.colorbar(image, ax=list(line), shrink=0.85, pad=0.01).set_label(units[v])
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_dpdm'))
    parser.add_argument('--input', default='', help='monthly means: a file, glob, Zarr store or URL')
    for name, default in (('start', 1960), ('years', 40), ('members', 3)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--month', default='', help='of the case study, YYYY-MM')
    parser.add_argument('--uncorrected', action='store_true')
    options = parser.parse_args()
    if not 1 <= options.start <= 9999 - options.years or min(options.years, options.members) < 2:
        found = f'--start={options.start} --years={options.years} --members={options.members}'
        raise UserError(f'{found}: years 1 to 9999, at least 2 of them and 2 members are needed')
    model = load(options.workdir)
    if not isinstance(model, Downscaler) or model.prepared.meta.get('kind') != 'block_means' or not model.best().draws:
        raise UserError(f'{options.workdir} holds no DPDM: give the work directory of configs/diffusion_dpdm.py')
    prepared = prepare(model.config['data'], model.config['seed'], options.workdir.parent / 'data')
    years, best = range(options.start, options.start + options.years), model.best()
    month, truth = case_of(prepared, options.month, years)
    train = model.config['data']['train']
    overlap = () if options.uncorrected else (min(start for start, _ in train), max(end for _, end in train))
    if overlap and not {*range(int(overlap[0][:4]), int(overlap[1][:4]) + 1)} & {*years}:
        found = f'{years[0]} to {years[-1]} lack the years of training, {overlap[0]} to {overlap[1]}'
        raise UserError(f'{found}, by which the bias is corrected: choose others by --start and --years')
    limits, source = thresholds(prepared), options.input or str(options.workdir / '20cr_like.nc')
    kept: dict[str, list[Kept]] = {} if options.input else {TRUTH: [Kept(prepared, limits)]}
    if not options.input:
        make_up(Path(source), model, years, kept[TRUTH][0])
    blocks = on_blocks(store.open_dataset(source), prepared, years)
    if month not in labels(blocks['time'].values):
        raise UserError(f'{source} has no {month}, the month of the case study: choose another by --month')
    corrected, name = model.correction(blocks, overlap, source), '_uncorrected' * options.uncorrected
    sampling = dataclasses.replace(best.sampling, members=min(best.sampling.members, options.members))
    generator = Generator(best.task, best.host_params, best.transform, sampling)  # no units of 11 for 3
    state = hashlib.sha256(b''.join(blocks[v].values.tobytes() for v in best.transform.inputs)).hexdigest()[:16]
    request = {'input': source, 'input_state': state, 'model': generator.identity, 'overlap': [*overlap]}
    path, asked = options.workdir / f'reconstruction{name}.zarr', (options.members, 0, model.attributes())
    ensemble.to_store(generator, blocks, prepared.statics, *asked, path, request, corrected=corrected)
    for when, fields in methods(path, blocks, corrected, prepared):
        for method, members in fields.items():
            kept.setdefault(method, [Kept(prepared, limits) for _ in members])
            for one, field in zip(kept[method], members, strict=True):
                one.add(when, field)
        if when == month:
            case = fields
    outside = float(np.mean(np.asarray(zarr.open_group(path, mode='r')['clipped_share'])))
    text = f'{tables(kept)}\nOut of the physical bounds: {outside:.2g} of all values before clipping, none after.\n'
    print(text)
    write_text(options.workdir / f'reconstruction{name}.md', text)
    lerp, members = LERP if corrected else RAW, case[ENSEMBLE]
    panels = {lerp: case[lerp][0], 'one member': members[0], f'mean of {len(members)} members': members.mean(0)}
    look.save(case_study({**panels, TRUTH: truth}, prepared, month), options.workdir / f'case_study{name}.png')
    return 0


if __name__ == '__main__':
    with told():
        sys.exit(main())
