"""Test days -> ensembles beside baselines -> scores.json, figures, report.html."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.evaluation import figures, report, scores, spectra
from downscale_jax.fields import grid
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.runtime.files import write_json
from downscale_jax.training.log import read

FINEST = 4  # cells: the shortest wavelength at which power is scored
Methods = dict[str, np.ndarray]  # name -> members [M, H, W] of one day


def evaluate(
    generators: Mapping[str, Generator], prepared: Prepared, config: dict[str, Any], workdir: Path
) -> dict[str, dict[str, float]]:
    """Scores every generator and the coarse field as it is on `evaluation.days` days of the test split (0: all).

    Ensembles go to workdir/ensembles/NAME.zarr first, by the same way as `--mode=downscale`, so that a killed
    evaluation goes on; those of other settings are replaced. Returns {method: {score: number}}, also written to
    scores.json.
    """
    settings = config['evaluation']
    split = prepared.split('test')
    days = spread_evenly(len(split), settings['days'])
    coarse = coarse_dataset(prepared, split, days)
    opened = {}
    for name, generator in generators.items():
        members = settings['members'] if generator.draws else 1
        path = workdir / 'ensembles' / f'{name}.zarr'
        path.parent.mkdir(exist_ok=True)
        request = {'input': f'{prepared.directory.name}, {len(days)} days of test', 'model': generator.identity}
        attrs = {'title': f'{label(prepared)} downscaled by {name}, days of the test split'}
        ensemble.to_store(
            generator, coarse, prepared.statics, members, config['seed'], attrs, path, request, replace=True
        )
        opened[name] = xr.open_zarr(path, consolidated=False)
    sums, powers = collect(opened, prepared, split, days, settings)
    table, intervals = summarise(sums, powers, opened, prepared, settings)
    write_json(workdir / 'scores.json', {m: {k: finite(v) for k, v in sorted(s.items())} for m, s in table.items()})
    draw(opened, prepared, split, days, powers, settings, config, workdir)
    report.write(
        workdir / 'report.html',
        title=f'{label(prepared)} downscaled',
        lead=f'An ensemble of {settings["members"]} members by diffusion beside a regression with the same network '
        'and the coarse field as it is.',
        unit=prepared.transform.units,
        summary=headline(table, prepared),
        scores=table,
        intervals=intervals,
        figures={caption: workdir / 'figures' / f'{name}.png' for name, caption in captions(prepared).items()},
        config=config,
        notes=describe_days(prepared, split, days, powers),
    )
    print_table(table, prepared.transform.units)
    return table


def spread_evenly(total: int, wanted: int) -> list[int]:
    """Indices of `wanted` days evenly spread over `total`, first and last among them; all where wanted is 0."""
    if not wanted or wanted >= total:
        return list(range(total))
    return sorted({round(i) for i in np.linspace(0, total - 1, wanted)})


def coarse_dataset(prepared: Prepared, split: Split, days: list[int]) -> xr.Dataset:
    """The coarse inputs of test days as a lazy canonical data set on the fine grid."""
    transform, dims, shape = prepared.transform, prepared.statics['mask'].dims, prepared.mask.shape

    def read_day(day, channel):
        return split[day]['coarse'][None, ..., channel]

    variables = {}
    for channel, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True)):
        days_of = [
            dask.array.from_delayed(dask.delayed(read_day)(day, channel), (1, *shape), np.float32) for day in days
        ]
        variables[name] = (('time', *dims), dask.array.concatenate(days_of), {'units': units})
    coords = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    return xr.Dataset(variables, {**coords, 'time': ('time', split.times[days])})


def day_fields(opened: Mapping[str, xr.Dataset], prepared: Prepared, split: Split, day: int, index: int):
    """(truth [H, W], coarse [H, W], {method: members}) of one day: all that is in memory at a time."""
    record, transform = split[day], prepared.transform
    low, high = (np.float32(bound) for bound in transform.bounds)
    coarse = np.clip(record['coarse'][..., transform.channel], low, high)
    methods: Methods = {'coarse': coarse[None]}
    for name, dataset in opened.items():
        methods[name] = dataset[transform.target].isel(time=index).values
    return record['fine'], coarse, methods


def collect(opened, prepared: Prepared, split: Split, days: list[int], settings: dict):
    """({method: [sums of a day]}, {'field' or 'anomaly': {line: [(power, windows) of a day]}})."""
    area = prepared.statics['cell_area'].values.astype(np.float64)
    cell = cell_km(prepared)
    sums: dict[str, list] = {}
    powers: dict[str, dict[str, list]] = {'field': {}, 'anomaly': {}}
    for index, day in enumerate(days):
        truth, coarse, methods = day_fields(opened, prepared, split, day, index)
        # every method is scored on the same cells: those where all of them and the truth have a value
        known = prepared.mask & np.isfinite(truth) & np.isfinite(coarse)
        known &= np.logical_and.reduce([np.isfinite(m).all(0) for m in methods.values()])
        for name, members in methods.items():
            weight = np.where(known, area, 0.0)
            sums.setdefault(name, []).append(scores.day_sums(members, np.where(known, truth, np.nan), weight))
        size = settings['window']
        origins = spectra.windows(known, known & (truth > settings['ice']), size)
        for kind, base in (('field', 0.0), ('anomaly', coarse)):
            for name, fields in lines(methods, truth).items():
                total = spectra.power(fields - base, origins, size, cell)[1].mean(0)
                powers[kind].setdefault(name, []).append((total, len(origins)))
    return sums, powers


def lines(methods: Methods, truth: np.ndarray) -> Methods:
    """What the spectra show: deterministic methods under their names, an ensemble as `member` and `mean`."""
    shown = {'truth': truth[None]}
    for name, members in methods.items():
        shown |= {'member': members, 'mean': members.mean(0, keepdims=True)} if len(members) > 1 else {name: members}
    return shown


def summarise(sums, powers, opened, prepared: Prepared, settings: dict):
    """({method: {score: number}}, {method: {score: (low, high)}}) with the range of member anomaly power."""
    table, intervals = {}, {}
    for name, parts in sums.items():
        count = opened[name].sizes['member'] if name in opened else 1
        table[name] = scores.summarise(scores.combine(parts), count)
        intervals[name] = scores.bootstrap(parts, partial(scores.summarise, members=count))
        if name in opened:
            table[name]['out_of_bounds'] = float(opened[name]['clipped_share'].mean())
        ratios = power_ratios(powers['anomaly'], 'member' if count > 1 else name, prepared, settings)
        if ratios.size:
            table[name] |= {'power_low': float(ratios.min()), 'power_high': float(ratios.max())}
    return table, intervals


def power_ratios(powers: dict[str, list], line: str, prepared: Prepared, settings: dict) -> np.ndarray:
    """Power over truth's at every wavelength from the target's kernel down to four cells; empty without windows."""
    truth, found = spectra.mean(powers['truth']), spectra.mean(powers[line])
    if truth is None or found is None:
        return np.zeros(0)
    cell = cell_km(prepared)
    wavelength = spectra.wavelengths(settings['window'], cell)
    scored = (wavelength <= kernel_km(prepared) * 1.001) & (wavelength >= FINEST * cell * 0.999)
    return spectra.ratio(found, truth)[scored]


def cell_km(prepared: Prepared) -> float:
    dy, dx = grid.cell_sizes_km(prepared.statics)
    return float(np.sqrt(np.median(dy) * np.median(dx)))


def kernel_km(prepared: Prepared) -> float:
    return float(prepared.meta['kernel_km'][prepared.transform.channel])


def label(prepared: Prepared) -> str:
    """What is shown: the variable, called idealised where it is simulated."""
    attributes = prepared.meta['attributes']
    name = attributes.get('standard_name') or attributes.get('long_name') or prepared.transform.target
    name = name.replace('_', ' ')
    return f'Idealised {name}' if prepared.meta['idealised'] else name[0].upper() + name[1:]


def draw(opened, prepared: Prepared, split: Split, days, powers, settings: dict, config: dict, workdir: Path) -> None:
    folder = workdir / 'figures'
    folder.mkdir(exist_ok=True)
    unit, cell = prepared.transform.units, cell_km(prepared)
    channel = prepared.transform.channel
    index = int(np.argmax([np.nanstd(split[day]['fine'] - split[day]['coarse'][..., channel]) for day in days]))
    truth, coarse, methods = day_fields(opened, prepared, split, days[index], index)
    y = prepared.statics[prepared.statics['mask'].dims[0]]
    figure = figures.maps(
        coarse,
        methods['diffusion'],
        truth,
        prepared.mask,
        cell,
        label(prepared).lower(),
        unit,
        title=label(prepared),
        subtitle=f'{str(split.times[days[index]])[:13]} h, the test day with the strongest anomaly; '
        f'{len(methods["diffusion"])} members',
        regression=methods['regression'][0],
        zoom=liveliest(truth - coarse, prepared.mask, min(96, *(n // 2 for n in truth.shape))),
        y_up=bool(y.size < 2 or y[0] < y[-1]),
    )
    figures.save(figure, folder / 'maps.png')
    means = {
        kind: {name: mean for name, parts in by.items() if (mean := spectra.mean(parts)) is not None}
        for kind, by in powers.items()
    }
    figure = figures.spectra(
        spectra.wavelengths(settings['window'], cell),
        means['field'],
        means['anomaly'],
        unit,
        {'kernel': kernel_km(prepared), f'{FINEST} cells': FINEST * cell},
        title='Power by wavelength',
        subtitle=f'{label(prepared)}, mean over {len(days)} test days; anomaly: field minus coarse input',
    )
    figures.save(figure, folder / 'spectra.png')
    figure = figures.training(read(workdir / 'metrics.jsonl'), title='Training', subtitle=label(prepared))
    figures.save(figure, folder / 'training.png')


def captions(prepared: Prepared) -> dict[str, str]:
    return {
        'maps': 'One test day: coarse input, two members, truth; a zoom; ensemble mean, regression, spread, error.',
        'spectra': 'Power by wavelength over windows free of land and gaps, at least half ice.',
        'training': 'Losses of the regression (baseline and first guess) and of the diffusion.',
    }


def liveliest(anomaly: np.ndarray, mask: np.ndarray, size: int) -> tuple[int, int, int]:
    """(row, column, cells) of the window with the largest variance of the anomaly among those that are mostly sea."""
    known = np.isfinite(anomaly) & mask
    sums = [np.pad(a.cumsum(0).cumsum(1), ((1, 0), (1, 0))) for a in (np.where(known, anomaly, 0) ** 2, known * 1.0)]
    energy, count = (s[size:, size:] - s[:-size, size:] - s[size:, :-size] + s[:-size, :-size] for s in sums)
    best = np.argmax(np.where(count >= min(0.7 * size**2, count.max()), energy, -1))
    row, column = np.unravel_index(best, energy.shape)
    return int(row), int(column), size


def headline(table: dict, prepared: Prepared) -> dict[str, str]:
    """What the report says first."""
    diffusion, regression, coarse = (table[name] for name in ('diffusion', 'regression', 'coarse'))
    return {
        'CRPS / MAE of the regression': f'{diffusion["crps"] / regression["mae"]:.2f}',
        'CRPS / MAE of the coarse field': f'{diffusion["crps"] / coarse["mae"]:.2f}',
        'RMSE of the mean / of the regression': f'{diffusion["rmse"] / regression["rmse"]:.2f}',
        'spread / skill': f'{diffusion["spread_skill"]:.2f}',
    } | (
        {'member power / truth': f'{diffusion["power_low"]:.2f} to {diffusion["power_high"]:.2f}'}
        if 'power_low' in diffusion
        else {}
    )


def describe_days(prepared: Prepared, split: Split, days: list[int], powers) -> list[str]:
    windows = sum(count for _, count in powers['field']['truth'])
    return [
        f'{len(days)} of {len(split)} test days, evenly spread, scored over all cells of the full domain that are sea '
        'and where truth and all methods have values, weighted by cell area.',
        f'Spectra: {windows} windows.',
        'coarse: the input of the target variable as it is. regression: the same network trained to the mean.',
    ]


def finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def print_table(table: dict[str, dict[str, float]], units: str) -> None:
    """The scores, a method a row."""
    names = [n for n in scores.SCORES if any(n in row for row in table.values())]
    print(f'\n{"":12}' + ''.join(f'{name:>14}' for name in names) + f'   [{units}]')
    for method, row in table.items():
        print(f'{method:12}' + ''.join(f'{row[n]:14.4g}' if n in row else f'{"":>14}' for n in names))
