"""Test times -> super-resolved fields beside interpolation and truth -> scores.json, details.json, figures, report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.downscale.ensemble import unit_of
from downscale_jax.evaluation import retiling as tile_seams
from downscale_jax.evaluation import super_resolution_present as present
from downscale_jax.evaluation import super_resolution_scores as scores
from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.evaluation.evaluate import fill
from downscale_jax.evaluation.present import plain, print_table
from downscale_jax.evaluation.reference import reference
from downscale_jax.evaluation.report import html as report
from downscale_jax.evaluation.statistics import compound, distributions, normality, places
from downscale_jax.evaluation.statistics import local as local_statistics
from downscale_jax.evaluation.statistics.bootstrap import Sums, block_length, stacked, total
from downscale_jax.evaluation.statistics.members import COUNTS, kept
from downscale_jax.evaluation.summary import estimates
from downscale_jax.fields.datasets.times import encode_times, evenly, month_of
from downscale_jax.fields.geometry.blocks import repeat
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.systems.downscaler import Downscaler

VALUES = 2_000_000  # kept for percentiles, of each variable and method
DAYS = 5  # of weather that errors share: a block of the bootstrap
CURVES = ('power', 'variogram', 'kinetic', 'spread', 'ranks')
WINDS = {'eastward_wind': 0, 'x_wind': 0, 'northward_wind': 1, 'y_wind': 1}


class Collected(NamedTuple):
    """Of all scored times, in order; of an ensemble a method is the mean of its first members."""

    sums: dict[str, list[Sums]]  # by method
    maps: dict[str, Sums]  # by method, [H, W, V]
    series: dict[str, np.ndarray]  # by method and for the truth, at places [T, P, V]
    values: dict[str, np.ndarray]  # likewise, of chosen cells [T, K, V]
    ensembles: dict[str, list[Sums]]  # by generator that draws members: normality, [V, ..]
    hot_dry: dict[str, list[Sums]]  # by method and for the truth; none without temperature and precipitation


class Scored(NamedTuple):
    stores: dict[str, xr.Dataset]  # what each generator made, lazily
    times: np.ndarray  # of the whole split
    chosen: list[int]  # indices of the scored ones
    measures: scores.Measures
    places: list[str]  # on the grid
    collected: Collected
    baselines: Baselines
    tiles: dict[str, dict[str, Any]]  # by generator that draws members, see `tile_seams.look`


def evaluate(opened: Downscaler, prepared: Prepared) -> dict[str, dict[str, float]]:
    """Scores every generator, and the baselines of the config, on `evaluation.times` times of the test split (0: all).

    Of an ensemble the mean of its first 1, 5, 10, 33, .. members is a method each, `NAME_33`, the largest last. Fields
    go to workdir/ensembles/NAME.zarr first, by the same way as `--mode=downscale`. Returns {method: {score: number}},
    without what is undefined, also written to scores.json; details.json has intervals and curves.
    """
    workdir, transform, split = opened.workdir, prepared.transform_as(BlockMeans), prepared.split('test')
    variables, title = transform.targets, title_of(transform)
    stores, times, chosen, measures, names, collected, baselines, tiles = score(opened, prepared)
    details = {**summarise(collected, measures, variables, encode_times(times[chosen])), 'tiles': tiles}
    for name, found in ((name, found) for name, found in tiles.items() if found):
        scored = details['methods'][f'{name}_{present.numbers_of(name, details)[-1]}']['scores']
        scored |= {
            f'{score}_{variable}': np.array([value, np.nan, np.nan])
            for score in ('seam', 'step')
            for variable, value in zip(variables, found[score], strict=True)
        }
    table = {
        method: {name: float(e[0]) for name, e in found['scores'].items() if np.isfinite(e[0])}
        for method, found in details['methods'].items()
    }
    write_json(workdir / 'scores.json', {method: dict(sorted(row.items())) for method, row in table.items()})
    write_json(workdir / 'details.json', plain(details))
    middle = len(chosen) // 2
    month = month_of(times[chosen[middle]])
    truth, coarse, found = fields_of(stores, prepared, split, middle, chosen, baselines, month)
    shown = {'truth': truth, 'coarse': repeat(coarse, transform.factor)}
    shown |= {name: members.mean(0) for name, members in views(found).items()}
    captions = present.draw(workdir, prepared, details, collected.maps, shown, str(times[chosen[middle]])[:13])
    described = scores.described(variables, transform.target_units)
    report.write(
        workdir / 'report.html',
        title=f'Super-resolution: {title}',
        lead=f'{", ".join(opened.tasks)} beside {", ".join(baselines.names)}, '
        f'{"idealised, simulated data" if prepared.meta["idealised"] else Path(opened.config["data"]["path"]).name}.',
        summary=present.headline(table, details, variables),
        scores=table,
        intervals={m: {n: (e[1], e[2]) for n, e in d['scores'].items()} for m, d in details['methods'].items()},
        tables=present.tables(details, variables, transform.target_units),
        figures={caption: workdir / 'figures' / f'{name}.png' for name, caption in captions.items()},
        config=opened.config,
        notes=[
            f'{len(chosen)} of {len(split)} test times, evenly spread, the whole grid, weighted by cell area.',
            f'Local statistics at {len(names)} places: {", ".join(names[:4])} and others.'
            if names
            else 'No place of the list lies on the grid: no local statistics.',
            'A generator that draws no ensemble gives one field: its CRPS is its MAE.',
            'Of each the checkpoint is the best on validation patches: by its loss, of a GAN by the distance of its '
            'spectra.',
            *present.told_of_tiles(tiles),
            *['Spectra of the rows at least half as wide as the widest: blocks leave no whole globe.']
            * (measures.band.stop is not None),
        ],
        described=described,
    )
    print_table(table, described)
    return table


def score(opened: Downscaler, prepared: Prepared) -> Scored:
    """Generates what the stores of the test times lack, and sums up what scores need of them."""
    settings, transform, split = opened.config['evaluation'], prepared.transform_as(BlockMeans), prepared.split('test')
    known = places.read(settings['places'])
    times = split.times
    chosen = evenly(len(split), settings['times'])
    generators = {name: opened.generator(name) for name in opened.tasks} | {opened.last: opened.best()}
    title = title_of(transform)
    stores = fill(generators, prepared, split, times, chosen, opened.config, opened.workdir, title)
    ranges = np.array(prepared.meta['range'])
    factor = transform.factor
    winds = winds_of(prepared)
    measures = scores.Measures(prepared.statics, transform.targets, winds, ranges, reference(prepared), factor)
    at = cells_of(known, prepared)
    names = [known.names[i] for i in np.flatnonzero(at[2])]
    draw = {name: generator for name, generator in generators.items() if generator.draws}
    made = {name: g.changed(**unit_of(stores[name].attrs)) for name, g in draw.items()}
    few, patch = [chosen[i] for i in evenly(len(chosen), tile_seams.TIMES)], opened.config['data']['patch']
    tiles = {
        name: tile_seams.look(g, prepared, split, times, few, patch, opened.config['seed']) for name, g in made.items()
    }
    baselines = Baselines(baselines_of(opened), prepared)
    collected = collect(stores, prepared, split, times[chosen], chosen, measures, at, baselines, tuple(made))
    return Scored(stores, times, chosen, measures, names, collected, baselines, tiles)


def title_of(transform: BlockMeans) -> str:
    return f'{" and ".join(transform.targets)} {transform.factor} times finer'


def winds_of(prepared: Prepared) -> tuple[str, str] | None:
    """The variables that are eastward and northward wind, by their standard names."""
    found: dict[int, str] = {}
    for name, attributes in prepared.meta['attributes'].items():
        if (place := WINDS.get(attributes.get('standard_name', ''))) is not None:
            found.setdefault(place, name)
    return (found[0], found[1]) if len(found) == 2 else None


def cells_of(known: places.Places, prepared: Prepared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns of the cells of places, and which of all these are; none on a grid without latitudes."""
    try:
        return places.cells(known, prepared.statics)
    except UserError:
        nothing = np.zeros(0, int)
        return nothing, nothing, np.zeros(len(known.names), bool)


def baselines_of(opened: Downscaler) -> tuple[str, ...]:
    return tuple(opened.config['evaluation'].get('baselines', ('bicubic',)))  # an SRGAN names none


def fields_of(
    stores: Mapping[str, xr.Dataset],
    prepared: Prepared,
    split: Any,
    index: int,
    chosen: Sequence[int],
    baselines: Baselines,
    month: int,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """(truth [H, W, V], coarse [h, w, V], {method: members [M, H, W, V]}) of one scored time of a calendar month."""
    transform = prepared.transform_as(BlockMeans)
    truth = split[chosen[index]]['fine']
    coarse = transform.coarsen(truth, prepared.area)
    found = {name: field[None] for name, field in baselines(coarse, month).items()}
    for name, dataset in stores.items():
        found[name] = np.stack([dataset[v].isel(time=index).values for v in transform.targets], -1)
    return truth, coarse, found


def views(fields: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A method each: single fields as they are, of an ensemble its first members, `NAME_n`."""
    found: dict[str, np.ndarray] = {}
    for name, members in fields.items():
        count = len(members)
        numbers = sorted({*kept(COUNTS, count), count}) if count > 1 else []
        found |= {f'{name}_{n}': members[:n] for n in numbers} or {name: members}
    return found


def collect(
    stores: Mapping[str, xr.Dataset],
    prepared: Prepared,
    split: Any,
    times: np.ndarray,
    chosen: Sequence[int],
    measures: scores.Measures,
    at: tuple[np.ndarray, np.ndarray, np.ndarray],
    baselines: Baselines,
    drawn: Sequence[str],
) -> Collected:
    """A time in memory at once, but for the values at places and chosen cells."""
    transform = prepared.transform_as(BlockMeans)
    rows, columns, _ = at
    few = cells_for_percentiles(measures, len(chosen))
    sums: dict[str, list[Sums]] = {}
    maps: dict[str, Sums] = {}
    series: dict[str, list[np.ndarray]] = {}
    values: dict[str, list[np.ndarray]] = {}
    ensembles: dict[str, list[Sums]] = {}
    hot_dry: dict[str, list[Sums]] = {}
    known = measures.reference.hot_dry
    for index, time in enumerate(times):
        month = month_of(time)
        truth, coarse, fields = fields_of(stores, prepared, split, index, chosen, baselines, month)
        for name, members in {'truth': truth[None], **views(fields)}.items():
            field = members.mean(0)
            series.setdefault(name, []).append(field[rows, columns])
            values.setdefault(name, []).append(field.reshape(-1, field.shape[-1])[few])
            if known:
                here = np.where(np.isfinite(truth).all(-1), measures.weight, 0.0)
                hot_dry.setdefault(name, []).append(compound.day_sums(members, here, month, known))
            if name == 'truth':
                continue
            gap = transform.coarsen(field, prepared.area) - coarse
            sums.setdefault(name, []).append(measures.sums(members, truth, gap, month))
            planes = [distributions.map_sums(field[..., v], truth[..., v]) for v in range(field.shape[-1])]
            added = stacked(planes, -1)
            maps[name] = total([maps[name], added]) if name in maps else added
        for name in drawn:
            ensembles.setdefault(name, []).append(normal_sums(fields[name], measures.weight))
    at_places, in_cells = ({name: np.stack(one) for name, one in several.items()} for several in (series, values))
    return Collected(sums, maps, at_places, in_cells, ensembles, hot_dry)


def normal_sums(members: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Of members [M, H, W, V]: the sums of `normality`, [V, ..]."""
    return stacked(
        [
            normality.day_sums(fields, np.where(np.isfinite(fields).all(0), weight, 0.0))
            for fields in np.moveaxis(members, -1, 0)
        ]
    )


def summarise(
    collected: Collected, measures: scores.Measures, variables: Sequence[str], seconds: np.ndarray
) -> dict[str, Any]:
    """What details.json holds; every estimate is [3], value, 5 and 95 % over resampled blocks of times.

    methods      {method: {'scores': {score: [3]}, 'power', 'variogram': [V, n, 3], 'kinetic': [n, 3]}}, curves over the
                 truth's; 'quantile_error', 'crps_above' [V, L, 3] and 'fss_above' [V, L, S, 3] at the levels and
                 windows of extremes; of an ensemble also 'spread' [V, 3] and 'ranks' [V, M + 1, 3]
    ensembles    {generator: {'normal': [V, 3], 'quantiles': [V, P, 3]}}, see `normality`
    extremes     {'levels': [L], 'thresholds': [V, L] of training, 'windows': [S] in cells}
    hot_dry      {'truth' or method: [3]}: how often it is hot and dry, see `compound`; {} where neither can be told
    truth        the truth's own: {'power', 'variogram': [V, n], 'kinetic': [n]}, see `scores.of_truth`
    places       {method: {rival: {variable: {'better', 'worse', 'equal', 'difference': [3]}}}}: at how many places the
                 distance of the method to the truth is better than the rival's by a tenth, and better minus worse
    percentiles  {'truth' or method: [V, L]}; frames {method: [T, V]}, the mean squared error of each time
    wavelength_km, kilometres   of the curves
    """
    methods: dict[str, Any] = {}
    truth = collected.series['truth']
    block = block_of(seconds)
    local = {}
    for name, times in collected.sums.items():
        found = scores.summarise(times, measures, top_of(collected), block)
        if truth.shape[1]:
            local[name] = np.stack(
                [
                    local_statistics.wasserstein(truth[..., v], collected.series[name][..., v])
                    for v in range(len(variables))
                ]
            )
            mean = np.nanmean(local[name], -1)
            found['wasserstein'] = np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)], -1)
        methods[name] = {
            'scores': scores.flat(found, variables),
            **{key: found[key] for key in (*CURVES, *scores.EXTREMES) if key in found},
        }
    weight = measures.weight.ravel()[cells_for_percentiles(measures, len(truth))]
    percentiles = {
        name: np.stack([distributions.percentiles(values[..., v], weight) for v in range(len(variables))])
        for name, values in collected.values.items()
    }
    return {
        'methods': methods,
        'truth': scores.of_truth(total(next(iter(collected.sums.values()))), len(truth), top_of(collected)),
        'ensembles': {
            name: estimates(times, normality.summarise, block) for name, times in collected.ensembles.items()
        },
        'extremes': {
            'levels': measures.reference.levels,
            'thresholds': measures.reference.thresholds,
            'windows': measures.windows,
        },
        'hot_dry': {
            name: estimates(times, compound.summarise, block)['frequency'] for name, times in collected.hot_dry.items()
        },
        'places': compare(local, collected.series, variables, block),
        'percentiles': percentiles,
        'frames': {
            name: np.stack([distributions.frame_scores(t)['mse'] for t in times])
            for name, times in collected.sums.items()
        },
        'wavelength_km': measures.power.wavelength_km[: top_of(collected)],
        'kilometres': measures.pairs.kilometres,
    }


def cells_for_percentiles(measures: scores.Measures, times: int) -> np.ndarray:
    return distributions.choose_cells(measures.weight, max(1, VALUES // times))


def block_of(seconds: np.ndarray) -> int:
    """Times in DAYS, no more than a third of all."""
    step = np.median(np.diff(seconds)) if len(seconds) > 1 else 1
    return int(np.clip(round(DAYS * 86_400 / step), block_length(len(seconds)), max(1, len(seconds) // 3)))


def top_of(collected: Collected) -> int:
    """Wavenumbers that the truth resolves."""
    return scores.resolved(total(next(iter(collected.sums.values())))['power_truth'])


def compare(
    local: Mapping[str, np.ndarray], series: Mapping[str, np.ndarray], variables: Sequence[str], block: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """`places` of `summarise`, of all pairs of methods: local {method: distances [V, P]}, series likewise [T, P, V]."""
    found: dict[str, dict[str, dict[str, Any]]] = {name: {r: {} for r in local if r != name} for name in local}
    for v, variable in enumerate(variables):
        # each method once: of n there are n (n - 1) pairs
        again = {
            name: local_statistics.resampled(series['truth'][..., v], series[name][..., v], block) for name in local
        }
        for name, rivals in found.items():
            for rival in rivals:
                better, worse, equal = map(int, local_statistics.compare(local[name][v], local[rival][v]))
                interval = local_statistics.interval_of(again[name], again[rival])
                difference = np.array([better - worse, *interval])
                rivals[rival][variable] = {'better': better, 'worse': worse, 'equal': equal, 'difference': difference}
    return found
