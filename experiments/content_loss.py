"""Which content loss makes the better SRGAN: squared error, or the distance that AtmoDist has learnt?

    python -m experiments.content_loss [--seeds 0 1] [--atmodist=DIR] [--root=runs/content_loss] [--dry-run]
      [--config.KEY=VALUE ..]

One AtmoDist (configs/atmodist.py, or the finished work directory --atmodist), then for every seed one run of
configs/srgan.py: a generator trained alone, and from it a GAN for each content loss, `mse` and `atmodist`. Seeds change
networks and batches, not the data. Values given as to main.py are those of the SRGANs. What is done is not done again.

Prints, and writes to ROOT/content_loss.md, every score of every method over all seeds, and the differences between the
methods, with 5 to 95 % intervals over resampled blocks of times and resampled seeds (local statistics: over seeds);
draws ROOT/spectra.png and ROOT/places.png.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_prep.prepare import prepare
from downscale_jax.evaluation import super_resolution
from downscale_jax.evaluation import super_resolution_scores as scores
from downscale_jax.evaluation.drawing import fields as figures
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.statistics import local as local_statistics
from downscale_jax.evaluation.statistics.bootstrap import blocks, total
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime.errors import UserError, exit_on_user_error
from downscale_jax.runtime.files import write_text
from downscale_jax.systems import load
from experiments.many_runs import Run, parse_overrides, run_all, show

CONTENTS = ('mse', 'atmodist')
SAMPLES = 500
# keys that AtmoDist and the SRGANs must have in common
SHARED = ('data.path', 'data.variables', 'data.level', 'data.train', 'data.validation', 'data.test')
SIZE = ('data.simulate.days', 'data.simulate.rows')
LEARNED, RIVALS = 'gan_atmodist', ('gan_mse', 'pretrained', 'bicubic')
SHOWN = ('energy', 'spectrum', 'semivariogram', 'total_variation', 'wasserstein', 'rmse', 'ssim')
Estimates = dict[str, np.ndarray]  # {score: [3]}, value, 5 and 95 %


class Pooled(NamedTuple):
    """All seeds: sums {method: {name: [S, T, ..]}}, values at places {method: [S, T, P, V]}."""

    sums: dict[str, dict[str, np.ndarray]]
    series: dict[str, np.ndarray]
    measures: scores.Measures
    top: int
    variables: tuple[str, ...]
    units: tuple[str, ...]
    truth: dict[str, np.ndarray]  # its curves
    block: int  # times that share their errors


def gather(workdirs: Sequence[Path]) -> Pooled:
    """Scores the fields that the runs have generated, a seed each. Raises UserError where their data differ."""
    collected, measured, names, block = [], None, set(), 1
    for workdir in workdirs:
        opened = load(workdir)
        prepared = prepare(opened.config['data'], opened.config['seed'], workdir.parent / 'data')
        names.add(prepared.meta['name'])
        found = super_resolution.score(opened, prepared)
        collected.append(found.collected)
        measured, block = found.measures, super_resolution.block_of(encode_times(found.times[found.chosen]))
    if measured is None or len(names) > 1:
        raise UserError(f'{len(names)} different data among {len(workdirs)} runs: one was expected')
    first = collected[0]
    sums = {
        method: {
            name: np.stack([[time[name] for time in one.sums[method]] for one in collected])
            for name in first.sums[method][0]
        }
        for method in first.sums
    }
    series = {method: np.stack([one.series[method] for one in collected]) for method in first.series}
    top, times = super_resolution.top_of(first), first.sums[next(iter(first.sums))]
    truth = scores.of_truth(total(times), len(times), top)  # of every seed the same
    transform = prepared.transform_as(BlockMeans)
    return Pooled(sums, series, measured, top, transform.targets, transform.target_units, truth, block)


def draws(seeds: int, times: int, block: int) -> np.ndarray:
    """[SAMPLES, S, T]: how often each seed and time is drawn; the first row is all of them once."""
    rng = np.random.default_rng(0)
    of_times = blocks(times, block, SAMPLES, 0)
    of_seeds = np.stack([np.bincount(rng.integers(0, seeds, seeds), minlength=seeds) for _ in range(SAMPLES)])
    drawn = of_seeds[:, :, None] * of_times[:, None, :]
    return np.concatenate([np.ones((1, seeds, times)), drawn])


def resampled(pooled: Pooled, drawn: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """{method: {score: [SAMPLES + 1, ..]}}, and curves."""
    found = {}
    for method, sums in pooled.sums.items():
        totals = {name: np.tensordot(drawn, values, 2) for name, values in sums.items()}
        found[method] = scores.of_sums(totals, pooled.measures, pooled.top)
        distances = np.stack([w1(pooled, method, v) for v in range(len(pooled.variables))], -1)  # [S, P, V]
        if distances.shape[1]:
            by_seed = drawn.sum(2) / drawn.sum((1, 2))[:, None]
            found[method]['wasserstein'] = by_seed @ np.nanmean(distances, 1)  # over seeds only
    return found


def w1(pooled: Pooled, method: str, variable: int) -> np.ndarray:
    """Wasserstein-1 distances at places [S, P]."""
    truth, found = (pooled.series[name][..., variable] for name in ('truth', method))
    return local_statistics.wasserstein(truth, found, axis=1)


def estimate(values: np.ndarray) -> np.ndarray:
    """[SAMPLES + 1, ..] -> [.., 3]."""
    return np.stack([values[0], *np.quantile(values[1:], (0.05, 0.95), axis=0)], -1)


def places(pooled: Pooled) -> dict[str, dict[str, dict[str, Any]]]:
    """{method: {rival: {variable: {'better', 'worse', 'equal': mean number over seeds, 'difference': [3]}}}}."""
    names, known = list(pooled.sums), pooled.series['truth'].shape[2]
    seeds = range(pooled.series['truth'].shape[0])
    result: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    for name in names:
        for rival in names:
            if name == rival:
                continue
            result[name][rival] = {}
            for v, variable in enumerate(pooled.variables):
                counts = local_statistics.compare(w1(pooled, name, v), w1(pooled, rival, v))
                intervals = [
                    local_statistics.interval(
                        pooled.series['truth'][seed, ..., v],
                        pooled.series[name][seed, ..., v],
                        pooled.series[rival][seed, ..., v],
                        pooled.block,
                    )
                    if known
                    else np.full(2, np.nan)
                    for seed in seeds
                ]
                difference = counts.better - counts.worse
                result[name][rival][variable] = {
                    **{key: float(np.mean(values)) for key, values in counts._asdict().items()},
                    # the widest of the seeds' intervals: seeds differ by more than times
                    'difference': np.array(
                        [difference.mean(), np.min(intervals, 0)[0], np.max(intervals, 0)[1]], float
                    ),
                    'by_seed': difference.tolist(),
                }
    return result


def lines(
    pooled: Pooled, found: Mapping[str, Mapping[str, np.ndarray]], compared: Mapping[str, Mapping], seeds: Sequence[int]
) -> list[str]:
    """The tables, in Markdown."""
    flat = {
        method: scores.flat({name: estimate(values) for name, values in one.items()}, pooled.variables)
        for method, one in found.items()
    }
    shown = [name for name in flat[LEARNED] if name.split('_')[0] in SHOWN or name.startswith('total_variation')]
    told = [f'Seeds {", ".join(map(str, seeds))}; {pooled.series["truth"].shape[1]} test times.', '']
    told += ['| score | ' + ' | '.join(flat) + ' |', '|---|' + '---|' * len(flat)]
    for name in shown:
        cells = ' | '.join(text(flat[method][name]) for method in flat)
        told.append(f'| {name} | {cells} |')
    told += ['', f'{LEARNED} minus its rivals (negative: better).', '', '| score | ' + ' | '.join(RIVALS) + ' |']
    told.append('|---|' + '---|' * len(RIVALS))
    for name in shown:
        if name.split('_')[0] in ('energy', 'spectrum', 'semivariogram', 'rmse'):
            score, _, variable = name.partition('_')
            index = (..., pooled.variables.index(variable)) if variable else ...
            less = (found[LEARNED][score] - found[rival][score] for rival in RIVALS)
            cells = ' | '.join(text(estimate(one[index].reshape(SAMPLES + 1))) for one in less)
            told.append(f'| {name} | {cells} |')
    told += ['', f'Places where {LEARNED} is better, worse, equal (mean over seeds); better minus worse by seed.', '']
    told += [
        '| variable | rival | better | worse | equal | better - worse | by seed |',
        '|---|---|---|---|---|---|---|',
    ]
    for rival, by_variable in compared[LEARNED].items():
        for variable, row in by_variable.items():
            counts = ' | '.join(f'{row[key]:g}' for key in ('better', 'worse', 'equal'))
            told.append(f'| {variable} | {rival} | {counts} | {text(row["difference"])} | {row["by_seed"]} |')
    return told


def text(values: np.ndarray) -> str:
    value, low, high = (f'{v:.3g}' for v in values)
    return f'{value} [{low}, {high}]'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--config', default='configs/srgan.py', help='a variant may follow: FILE:smoke')
    parser.add_argument('--atmodist', type=Path, help='work directory of a trained AtmoDist; without, one is trained')
    parser.add_argument('--root', type=Path, default=Path('runs/content_loss'))
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args()
    encoder = options.atmodist or options.root / 'atmodist'
    common = {**parse_overrides(others), 'contents': CONTENTS, 'content.workdir': str(encoder)}
    _, _, variant = options.config.partition(':')
    teacher = f'configs/atmodist.py{":" + variant if variant else ""}'
    shared = {key: value for key, value in common.items() if key in (*SHARED, *SIZE)}
    if 'data.simulate.seed' in common:
        shared['seed'] = common['data.simulate.seed']
    teachers = [] if options.atmodist else [Run('atmodist', shared)]
    runs = [Run(f'seed{seed}', {**common, 'seed': seed}) for seed in options.seeds]
    if options.dry_run:
        commands = (show(teachers, teacher, options.root) if teachers else '', show(runs, options.config, options.root))
        print('\n'.join(filter(None, commands)))
        return 0
    if len(run_all(teachers, teacher, options.root)) < len(teachers):
        return 1
    finished = run_all(runs, options.config, options.root)
    if len(finished) < len(runs):
        return 1
    pooled = gather([options.root / run.name for run in runs])
    found = resampled(pooled, draws(len(runs), pooled.series['truth'].shape[1], pooled.block))
    compared = places(pooled)
    table = '\n'.join(lines(pooled, found, compared, options.seeds))
    print(table)
    write_text(options.root / 'content_loss.md', table + '\n')
    subtitle = f'{len(runs)} seeds, {pooled.series["truth"].shape[1]} test times'
    curves = {
        method: {name: estimate(one[name]) for name in ('power', 'kinetic') if name in one}
        for method, one in found.items()
    }
    wavelength = pooled.measures.power.wavelength_km[: pooled.top]
    figure = figures.spectra(
        wavelength, curves, pooled.truth, pooled.variables, pooled.units, 'Power by wavelength', subtitle
    )
    look.save(figure, options.root / 'spectra.png')
    look.save(figures.places(compared, pooled.variables, 'Local statistics', subtitle), options.root / 'places.png')
    return 0


if __name__ == '__main__':
    with exit_on_user_error():
        sys.exit(main())
