"""Reconstruction: a long coarse archive of another source, downscaled by DPDM, its trends and its errors.

    python -m experiments.reconstruction [--workdir=runs/diffusion_dpdm] [--start=1960 --years=40] [--members=3]
        [--overlap=1981-01,1996-12] [--month=YYYY-MM] [--input=FILE] [--output=FOLDER] [--config.sampling.KEY=VALUE ..]

Without --input an idealised archive, 20cr_like.nc, is written (`climate.archive`): the simulated climate of the
training data, in any years, as a biased model would give it. An archive is interpolated bilinearly to the centres of
the model's blocks (average much smaller cells beforehand) and downscaled to reconstruction.zarr; a killed run resumes.
--overlap names dates over which its distribution is first mapped to the climate of training; by default it is not
corrected. --config.sampling.correlation_hours=720 correlates the noise of members from month to month; other settings
of `sampling` are overridden in the same way.

reconstruction.md compares the ensemble with the truth of an idealised archive and with the linearly interpolated
archive: area mean and extremes by decade, their trends (in brackets the range of the members, or of a single
series 5 to 95 %), the frequency of months that are both hot and dry by the thresholds of the training split, the
correlation of anomalies from month to month, values out of bounds; compound.png maps the hot and dry months,
case_study.png one month, by default the wettest of the test split. All lie in the work directory, or in --output.

The default is 1440 fields: ten minutes on two idle cores at the model's default size (0.8 CPU seconds a field). 180
years (--start=1836 --years=180) of 33 members are 71 280 fields: eight to nine hours there and up to 22 GB on disk;
several processes share them, as in --mode=downscale.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
import xarray as xr
import zarr
from matplotlib.figure import Figure

from data_prep.prepare import prepare
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.inputs import checked as checked_inputs
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.request import Source
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.drawing.colours import SPREAD, of_quantity
from downscale_jax.evaluation.drawing.frame import Frame, frame_of
from downscale_jax.evaluation.reference import reference
from downscale_jax.evaluation.setting import label, quantity
from downscale_jax.evaluation.statistics import compound, correlation
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.fields.datasets import dates, store
from downscale_jax.fields.geometry import interpolation
from downscale_jax.fields.geometry.blocks import interpolate
from downscale_jax.fields.geometry.grid import cell_size_km
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_text
from downscale_jax.runtime.settings import flatten
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.workdir import read_config
from experiments.climate import trends
from experiments.climate.archive import write_archive
from experiments.climate.persistence import Persistence
from experiments.command_line import Parser, run_program
from experiments.many_runs import checked, parse_overrides

PORTION = 120  # times of an archive that are read at once
HOT, DRY, STORE = 't2m', 'tp', 'reconstruction.zarr'
BAND = 2**28  # bytes of the training split in memory
COLUMNS = 3  # of maps in the case study
TRUTH, ENSEMBLE, LERP, RAW = 'truth', 'ensemble', 'interpolation, corrected', 'interpolation, uncorrected'
Month = tuple[str, dict[str, np.ndarray]]


def on_blocks(archive: xr.Dataset, prepared: Prepared, years: range) -> xr.Dataset:
    """The months of these years, in memory, interpolated bilinearly to the centres of the blocks. Raises UserError
    where the archive lacks a variable or the years, is not monthly, or does not cover the region."""
    source, transform, split = archive.encoding['source'], prepared.transform_as(BlockMeans), prepared.split('train')
    span = f'{years[0]:04d}-01', f'{years[-1]:04d}-12'
    fields = dates.select_dates(checked_inputs(archive, transform, source), (span,))
    times = fields['time'].values
    if len(set(labels(times))) < times.size:
        raise UserError(f'{source}: {times.size} times in {len(set(labels(times)))} months: give monthly means')
    blocks = coarse_dataset(prepared, split, split.times, [0])  # their grid
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
    split, targets = prepared.split('train'), prepared.transform_as(BlockMeans).targets
    if not {HOT, DRY} <= {*targets}:
        return None
    months, (height, width) = np.array([int(one[-2:]) for one in labels(split.times)]), prepared.mask.shape
    pair, rows, bands = [targets.index(HOT), targets.index(DRY)], max(1, BAND // (8 * width * len(split))), []
    for first in range(0, height, rows):
        band = np.stack([split[i]['fine'][first : first + rows, :, pair] for i in range(len(split))])
        bands.append(compound.thresholds(band[..., 0], band[..., 1], months))
    return compound.Thresholds(*(np.concatenate(parts, 1) for parts in zip(*bands, strict=True)))


class Kept:
    """Statistics of the fields of a method or member, which come one month at a time in any order."""

    def __init__(self, prepared: Prepared, limits: compound.Thresholds | None):
        self.prepared, self.limits, self.area = prepared, limits, prepared.area[..., 0]
        # far beyond the values of training; finest near zero for variables that are never negative
        share = np.linspace(0, 1, 1001)
        self.edges = [
            3 * high * share**3 if bound == 0 else low + (high - low) * (3 * share - 1)
            for (low, high), bound in zip(
                prepared.meta['range'], prepared.transform_as(BlockMeans).limits[0], strict=True
            )
        ]
        self.sums: dict[tuple, dict[str, Any]] = {}  # by (variable, year), and by (None, decade) of hot and dry months
        self.places: dict[str, np.ndarray] = {}  # of hot and dry months, [H, W]
        side, shape = prepared.transform_as(BlockMeans).factor, prepared.mask.shape
        self.inside = slice(side // 2, None, side)  # one cell of each block
        cells = np.zeros(shape)[self.inside, self.inside].size
        self.persistence = Persistence(cells, len(prepared.transform_as(BlockMeans).targets))

    def add(self, when: str, field: np.ndarray) -> None:
        """A month, YYYY-MM and [H, W, V]."""
        (year, month), transform = map(int, when.split('-')), self.prepared.transform_as(BlockMeans)
        found = ((v, trends.series_sums(field[..., v], self.area, edges)) for v, edges in enumerate(self.edges))
        more: dict[tuple, dict[str, Any]] = {(v, year): sums for v, sums in found}
        if self.limits:
            hot, dry = (field[None, ..., transform.targets.index(name)] for name in (HOT, DRY))
            events = compound.month_sums(hot, dry, np.array([month]), self.limits)
            self.places = total([self.places, events]) if self.places else events
            more[None, year // 10 * 10] = {key: np.vdot(x, self.area) for key, x in events.items()}
        for key, sums in more.items():
            self.sums[key] = total([self.sums[key], sums]) if key in self.sums else sums
        self.persistence.add(12 * year + month - 1, field[self.inside, self.inside].reshape(-1, field.shape[-1]))

    def of(self, what: int | None) -> dict[int, dict[str, Any]]:
        """Sums of a variable by year, of hot and dry months by decade."""
        return {when: self.sums[which, when] for which, when in sorted(self.sums, key=lambda k: k[1]) if which == what}


def shown(values: Any, digits: int, interval: Sequence[float] = ()) -> str:
    """One number, with its interval if there is one, or the mean of the members' and their range."""
    ends = interval if len(values) == 1 else (np.min(values), np.max(values))
    spread = ' to '.join(f'{end:.{digits}f}' for end in ends)
    return f'{np.mean(values):.{digits}f}' + (f' ({spread})' if spread else '')


def tables(kept: Mapping[str, Sequence[Kept]]) -> str:
    """Tables of all methods in Markdown; each method has one or several members."""
    transform, lines = next(iter(kept.values()))[0].prepared.transform_as(BlockMeans), []

    def add(title: str, rows: Mapping[str, Sequence[str]]) -> None:
        body = [[title, *kept], ['---'] * (len(kept) + 1), *([label, *cells] for label, cells in rows.items())]
        lines.extend([*(f'| {" | ".join(line)} |' for line in body), ''])

    for v, name in enumerate(transform.targets):
        summaries = [[trends.summarise([*k.of(v).values()], [*k.of(v)], k.edges[v]) for k in m] for m in kept.values()]
        first = summaries[0][0]
        for key in ('mean', *(f'quantile_{level:g}' for level in trends.LEVELS)):
            rows = {}
            for d, (decade, years) in enumerate(zip(first['decades'], first['years_in_decade'], strict=True)):
                by_decade = [shown([one[key]['by_decade'][d] for one in m], 2) for m in summaries]
                rows[f'{decade}s ({years} years)'] = by_decade
            rows['trend per decade'] = [
                shown([one[key]['trend'] for one in m], 3, m[0][key]['interval']) for m in summaries
            ]
            add(f'{name}, {key.replace("_", " ")} ({transform.target_units[v]})', rows)
    hot = [
        [{d: 100 * float(compound.summarise(s)['frequency']) for d, s in k.of(None).items()} for k in m]
        for m in kept.values()
    ]
    rows = {f'{d}s': [shown([one[d] for one in m], 2) for m in hot] for d in hot[0][0]}
    add('hot and dry months (%)', rows or {f'unknown without {HOT} and {DRY}': ['-'] * len(kept)})
    lagged = [np.stack([one.persistence.correlation() for one in m]) for m in kept.values()]
    rows = {name: [shown(m[:, v], 3) for m in lagged] for v, name in enumerate(transform.targets)}
    add('correlation from month to month', rows)
    return '\n'.join(lines)


def methods(path: Path, blocks: xr.Dataset, corrected: QuantileMap | None, prepared: Prepared) -> Iterator[Month]:
    """(YYYY-MM, fields [M, H, W, V] by name): the members in the store, and the archive interpolated."""
    transform, group = prepared.transform_as(BlockMeans), cast(Any, zarr.open_group(path, mode='r'))
    for t, when in enumerate(labels(blocks['time'].values)):
        coarse = {RAW: np.stack([blocks[name].values[t] for name in transform.inputs], -1)}
        if corrected:
            coarse = {LERP: corrected.apply(coarse[RAW], int(when[-2:])), **coarse}
        fields = {ENSEMBLE: np.stack([np.asarray(group[name][:, t]) for name in transform.targets], -1)}
        for name, field in coarse.items():
            fine = interpolate(field, transform.factor, prepared.periodic, 'linear')
            fields[name] = fine.clip(*transform.limits)[None]
        yield when, fields


def case_of(prepared: Prepared, wanted: str, years: range) -> tuple[str, np.ndarray]:
    """(month, truth [H, W, V]) of a record within these years: the month wanted, else that of the test split whose area
    mean of rain, or of the first variable, is largest. Raises UserError where there is none."""
    found = {
        when: (split, i)
        for split in map(prepared.split, ('test', 'validation', 'train') if wanted else ('test',))
        for i, when in enumerate(labels(split.times))
        if int(when[:4]) in years and wanted in ('', when)
    }
    if not found:
        what = f'no record of --month={wanted}' if wanted else 'no month of the test split'
        raise UserError(f'{what} lies within {years[0]} to {years[-1]}: choose another month (YYYY-MM) or other years')
    v = prepared.transform_as(BlockMeans).targets.index(DRY) if DRY in prepared.transform_as(BlockMeans).targets else 0

    def field(when: str) -> np.ndarray:
        split, i = found[when]
        return split[i]['fine']

    month = max(found, key=lambda when: np.nansum(field(when)[..., v] * prepared.area[..., 0]))
    return month, field(month)


def frame(prepared: Prepared) -> Frame:
    """Place of the cells on a map."""
    y = prepared.statics[prepared.statics['mask'].dims[0]].values
    return frame_of(prepared.statics, cell_size_km(prepared.statics), bool(y[0] < y[-1]))


@matplotlib.rc_context(look.LOOK)
def case_study(panels: Mapping[str, np.ndarray], prepared: Prepared, month: str) -> Figure:
    """Maps {name: [H, W, V]} of a month, YYYY-MM, with TRUTH among them; rows of COLUMNS maps for each variable."""
    names, units = prepared.transform_as(BlockMeans).targets, prepared.transform_as(BlockMeans).target_units
    attributes, maps = prepared.attributes, frame(prepared)
    climatology = reference(prepared).climatology[int(month[-2:]) - 1]
    rows = -(-len(panels) // COLUMNS)
    figure = look.blank(2.4 * rows * len(names), f'{month}, reconstructed', 'scores of this month alone')
    for v, lines in enumerate(np.split(figure.subplots(rows * len(names), COLUMNS, squeeze=False), len(names))):
        truth = panels[TRUTH][..., v]
        low, high = np.nanquantile(truth, (0.005, 0.995))
        colours = of_quantity(quantity(names[v], attributes[names[v]], units[v]))
        weight = prepared.area[..., 0] * np.isfinite(truth)
        for panel in lines.flat[len(panels) :]:
            panel.axis('off')
        for panel, (name, values) in zip(lines.flat, panels.items(), strict=False):
            field = values[..., v]
            image = maps.show(panel, field, vmin=low, vmax=high, cmap=colours)
            rmse = np.sqrt(np.average(np.nan_to_num(field - truth) ** 2, weights=weight))
            acc = correlation.summarise(correlation.day_sums(field, truth, weight, climatology[..., v]))['acc']
            panel.set_title(name + f'\nRMSE {rmse:.2f}, ACC {acc:.2f}' * (name != TRUTH), loc='left', fontsize=9)
        bar = figure.colorbar(image, ax=lines, shrink=0.6, pad=0.01, extend='both')
        look.label_bar(bar, units[v], label(names[v], attributes[names[v]]))
    return figure


@matplotlib.rc_context(look.LOOK)
def compound_maps(shares: Mapping[str, np.ndarray], prepared: Prepared) -> Figure:
    """Maps {name: share [H, W] of the months that are hot and dry}."""
    q = compound.QUANTILE
    criterion = f'hotter than quantile {q:g} of the training split, drier than {1 - q:.2g}; '
    figure = look.blank(
        2.0, 'How often months are both hot and dry', f'{criterion}{100 * (1 - q) ** 2:.2g} % if independent'
    )
    high, maps = 100 * max(float(np.nanquantile(share, 0.99)) for share in shares.values()), frame(prepared)
    line = figure.subplots(1, len(shares), squeeze=False)[0]
    for panel, (name, share) in zip(line, shares.items(), strict=True):
        image = maps.show(panel, 100 * share, vmin=0, vmax=high or 1, cmap=SPREAD)
        panel.set_title(name, loc='left', fontsize=9)
    figure.colorbar(image, ax=line, shrink=0.8, pad=0.01, extend='max').set_label('%')
    return figure


def report(
    folder: Path,
    months: Iterator[Month],
    kept: dict[str, list[Kept]],
    prepared: Prepared,
    limits: compound.Thresholds | None,
    case: tuple[str, np.ndarray],
) -> None:
    """Tables and figures of all months, beside the store."""
    month, truth = case
    for when, fields in months:
        for method, members in fields.items():
            kept.setdefault(method, [Kept(prepared, limits) for _ in members])
            for one, field in zip(kept[method], members, strict=True):
                one.add(when, field)
        if when == month:
            lerp, members = (fields[name] for name in (LERP if LERP in fields else RAW, ENSEMBLE))
            panels = {'linear interpolation': lerp[0], f'mean of {len(members)} members': members.mean(0), TRUTH: truth}
            panels |= {f'member {number}': field for number, field in enumerate(members[:COLUMNS], 1)}
    outside = float(np.mean(np.asarray(zarr.open_group(folder / STORE, mode='r')['clipped_share'])))
    text = f'{tables(kept)}\nOut of the physical bounds: {outside:.2g} of all values before clipping, none after.\n'
    print(text)
    write_text(folder / 'reconstruction.md', text)
    look.save(case_study(panels, prepared, month), folder / 'case_study.png')
    if limits:
        shares = {name: compound.summarise(total([one.places for one in m]))['frequency'] for name, m in kept.items()}
        look.save(compound_maps(shares, prepared), folder / 'compound.png')


def opened(workdir: Path, overrides: Mapping[str, Any]) -> Downscaler:
    """The model with other values of `sampling`. Raises UserError where it is no DPDM or has no such value."""
    known = {key: value for key, value in flatten(read_config(workdir)).items() if key.startswith('sampling.')}
    model = load(workdir, checked(str(workdir), known, overrides), kind=Downscaler)
    if model.prepared.meta.get('kind') != 'block_means' or not model.best().draws:
        raise UserError(f'{workdir} holds no DPDM: give the work directory of configs/diffusion_dpdm.py')
    model.system.check(model.config)
    return model


def main() -> int:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_dpdm'))
    parser.add_argument('--input', default='', help='monthly means: a file, glob, Zarr store or URL')
    parser.add_argument('--output', type=Path, help='output folder; by default the work directory')
    for name, default in (('start', 1960), ('years', 40), ('members', 3)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--overlap', default='', help='START,END: dates over which the bias is corrected to training')
    parser.add_argument('--month', default='', help='of the case study, YYYY-MM')
    options, others = parser.parse_known_args()
    if not 1 <= options.start <= 9999 - options.years or min(options.years, options.members) < 2:
        found = f'--start={options.start} --years={options.years} --members={options.members}'
        raise UserError(f'{found}: years 1 to 9999, at least 2 of them and 2 members are needed')
    folder, overlap = options.output or options.workdir, tuple(filter(None, options.overlap.split(',')))
    overrides = parse_overrides(others)
    parallel.initialize()
    model = opened(options.workdir, overrides)
    if not folder.is_dir():
        raise UserError(f"--output: there is no folder '{folder}': make it first")
    data = model.config['data'], model.config['seed'], options.workdir.parent / 'data'
    parallel.on_first_process(lambda: prepare(*data))
    prepared, best = prepare(*data), model.best()
    years = range(options.start, options.start + options.years)
    case = case_of(prepared, options.month, years)
    limits, source = (
        parallel.on_first_process(lambda: thresholds(prepared)),
        options.input or str(folder / '20cr_like.nc'),
    )
    kept: dict[str, list[Kept]] = {} if options.input else {TRUTH: [Kept(prepared, limits)]}
    if not options.input:
        parallel.on_first_process(lambda: write_archive(Path(source), model, years, kept[TRUTH][0].add))
    blocks = on_blocks(store.open_dataset(source), prepared, years)
    if case[0] not in labels(blocks['time'].values):
        raise UserError(f'{source} has no {case[0]}, the month of the case study: choose another by --month')
    corrected = model.bias_correction(blocks, overlap, source)
    assert corrected is None or isinstance(corrected, QuantileMap)  # of block means
    state = hashlib.sha256(b''.join(blocks[v].values.tobytes() for v in best.transform.inputs)).hexdigest()[:16]
    inputs = open_inputs(blocks, best.transform, prepared.statics, source, corrected)
    ensemble = Ensemble(best, inputs, prepared.statics, options.members, 0)
    to_store(ensemble, folder / STORE, Source(source, state, overlap=overlap), model.attributes())
    months = methods(folder / STORE, blocks, corrected, prepared)
    parallel.on_first_process(lambda: report(folder, months, kept, prepared, limits, case))
    return 0


if __name__ == '__main__':
    run_program(main)
