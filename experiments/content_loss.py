"""Comparison of content losses for SRGAN: squared error, and the distance that AtmoDist has learned.

    python -m experiments.content_loss [--seeds 0 1] [--atmodist=DIR] [--root=runs/content_loss] [--dry-run]
      [--config.KEY=VALUE ..]

Trains one AtmoDist (configs/atmodist.py, or uses the finished work directory --atmodist), then runs configs/srgan.py
once per seed: a generator trained alone, and from it a GAN for each content loss, `mse` and `atmodist`. Seeds change
networks and batches, not the data. Overrides of the config apply to the SRGANs. Finished runs are not repeated.

Prints, and writes to ROOT/content_loss.md, the scores of every method over all seeds and the differences between
methods, with 5 to 95 % intervals over resampled blocks of times and resampled seeds (local statistics: over seeds);
draws ROOT/spectra.png and ROOT/places.png.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_prep.prepare import prepare
from downscale_jax.evaluation import fields
from downscale_jax.evaluation.drawing import bars, ratios, style
from downscale_jax.evaluation.measures import similarity, spectra
from downscale_jax.evaluation.measures.pointwise import ALL
from downscale_jax.evaluation.protocol import Setting
from downscale_jax.evaluation.results import Estimate
from downscale_jax.evaluation.statistics import bootstrap, distributions, local, pointwise
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_text
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler
from experiments.command_line import Parser, run_program, seed_number
from experiments.many_runs import Run, parse_overrides, run_all, show

CONTENTS = ('mse', 'atmodist')
SAMPLES = 500
# settings that AtmoDist and the SRGANs must have in common
SHARED = ('data.path', 'data.variables', 'data.level', 'data.train', 'data.validation', 'data.test')
SIZE = ('data.simulate.days', 'data.simulate.rows')
LEARNED, RIVALS, TRUTH = 'gan_atmodist', ('gan_mse', 'pretrained', 'bicubic'), 'truth'
MEASURES = ('spectra', 'semivariogram', 'distribution', 'places', 'pointwise', 'similarity')
LOWER_IS_BETTER = ('energy', 'spectrum', 'semivariogram', 'rmse')  # scores whose differences are shown
Comparison = dict[str, Any]  # 'better', 'worse', 'equal': mean number of places; 'difference': [3]; 'by_seed': list


class Seeds(NamedTuple):
    """The measures of runs that differ in their seed alone."""

    setting: Setting
    measures: Sequence[Mapping[str, Any]]  # of each seed, by name
    block: int  # number of consecutive times whose errors are correlated


class Quantity(NamedTuple):
    """A score or a curve of every method."""

    sums: Mapping[str, Mapping[str, np.ndarray]]  # {method: {name: [S, T, ...]}} of seeds and times
    summary: Callable[[bootstrap.Sums], np.ndarray]  # keeps leading axes


def gather(workdirs: Sequence[Path]) -> Seeds:
    """Evaluates runs, one per seed. Raises UserError where their data differ."""
    opened = [load(workdir, kind=Downscaler) for workdir in workdirs]
    names = {run.prepared.meta['name'] for run in opened}
    if len(names) != 1:
        raise UserError(f'{", ".join(map(str, workdirs))} have different data ({", ".join(sorted(names))}): choose '
                        'another --root or remove them')  # fmt: skip
    evaluated = [evaluate(run) for run in opened]
    setting, measures = evaluated[0]
    sums: bootstrap.Accumulator = measures['similarity'].sums
    block = bootstrap.weather_block(sums.stamps((setting.main, 0)))
    return Seeds(setting, [measures for _, measures in evaluated], block)


def evaluate(run: Downscaler) -> tuple[Setting, dict[str, Any]]:
    """The measures of this experiment, added up over the test times that the config names."""
    config = {**run.config, 'evaluation': {**run.config['evaluation'], 'measures': MEASURES}}
    prepared = prepare(config['data'], config['seed'], run.workdir.parent / 'data')
    generators = {name: run.generator(name) for name in run.tasks}
    return fields.score(generators, prepared, config, run.workdir)


def stacked(seeds: Seeds, measure: str, key: tuple) -> dict[str, dict[str, np.ndarray]]:
    """{method: {name: [S, T, ...]}} of the sums that a measure keeps by (method, *key)."""

    def of_method(method: str) -> dict[str, np.ndarray]:
        by_seed = [measures[measure].sums.times((method, *key)) for measures in seeds.measures]
        return {name: np.array([[sums[name] for sums in times] for times in by_seed]) for name in by_seed[0][0]}

    return {method: of_method(method) for method in seeds.setting.complete}


def scores(seeds: Seeds) -> dict[str, Quantity]:
    """Scores from sums, by score and variable; `energy` where vorticity and divergence, or winds, are variables."""
    setting, measures = seeds.setting, seeds.measures[0]
    spectral = partial(spectra.summarise, top=measures['spectra'].resolved())
    quantities = {}
    if (setting.main, spectra.KINETIC) in measures['spectra'].sums:
        sums = stacked(seeds, 'spectra', (spectra.KINETIC,))
        quantities['energy'] = Quantity(sums, lambda sums: spectral(sums)['spectrum'])
    summaries: dict[str, tuple[str, Callable[[bootstrap.Sums], np.ndarray]]] = {
        'spectrum': ('spectra', lambda sums: spectral(sums)['spectrum']),
        'semivariogram': ('semivariogram', lambda sums: measures['semivariogram'].summarise(sums)['semivariogram']),
        'total_variation': (
            'distribution',
            lambda sums: distributions.frame_scores(sums)['total_variation'],
        ),
        'rmse': ('pointwise', lambda sums: pointwise.summarise(sums)['rmse'][..., ALL]),
        'ssim': ('similarity', lambda sums: similarity.summarise(sums)['ssim']),
    }
    for score, (measure, summary) in summaries.items():
        for index, variable in enumerate(setting.variables):
            key = {'spectra': (variable.name,), 'pointwise': (index, None)}.get(measure, (index,))
            quantities[setting.name(score, variable)] = Quantity(stacked(seeds, measure, key), summary)
    return quantities


def curves(seeds: Seeds) -> dict[str, Quantity]:
    """Power by wavenumber over that of the truth, by variable and of `energy`."""
    measure = seeds.measures[0]['spectra']
    spectral = partial(spectra.summarise, top=measure.resolved())
    keys = [key for method, key in measure.sums if method == seeds.setting.main]
    return {key: Quantity(stacked(seeds, 'spectra', (key,)), lambda sums: spectral(sums)['power']) for key in keys}


def series(seeds: Seeds) -> dict[str, np.ndarray]:
    """{method, or 'truth': values at places [S, T, P, V]}."""
    variables = range(len(seeds.setting.variables))
    return {
        method: np.array([[m['places'].series[method, v] for v in variables] for m in seeds.measures]).transpose(
            0, 2, 3, 1
        )
        for method in (TRUTH, *seeds.setting.complete)
    }


def draws(seeds: int, times: int, block: int) -> np.ndarray:
    """[SAMPLES + 1, S, T]: how often each seed and time is drawn; in the first sample each exactly once."""
    rng = np.random.default_rng(0)
    of_times = bootstrap.draws(times, block, SAMPLES, 0)
    of_seeds = np.stack([np.bincount(rng.integers(0, seeds, seeds), minlength=seeds) for _ in range(SAMPLES)])
    drawn = of_seeds[:, :, None] * of_times[:, None, :]
    return np.concatenate([np.ones((1, seeds, times)), drawn])


def resampled(quantities: Mapping[str, Quantity], drawn: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """{quantity: {method: [SAMPLES + 1, ...]}}."""
    return {
        name: {
            method: quantity.summary({key: np.tensordot(drawn, values, 2) for key, values in sums.items()})
            for method, sums in quantity.sums.items()
        }
        for name, quantity in quantities.items()
    }


def distances(values: Mapping[str, np.ndarray], method: str) -> np.ndarray:
    """Wasserstein-1 distances [S, P, V] of the values at places to those of the truth."""
    return local.wasserstein(values[TRUTH], values[method], axis=1)


def mean_distances(setting: Setting, values: Mapping[str, np.ndarray], drawn: np.ndarray) -> dict[str, dict]:
    """{'wasserstein_VARIABLE': {method: [SAMPLES + 1]}} over resampled seeds; empty without a place."""
    if not values[TRUTH].shape[2]:
        return {}
    by_seed = drawn.sum(2) / drawn.sum((1, 2))[:, None]
    means = {method: by_seed @ np.nanmean(distances(values, method), 1) for method in setting.complete}
    return {
        setting.name('wasserstein', variable): {method: mean[:, v] for method, mean in means.items()}
        for v, variable in enumerate(setting.variables)
    }


def estimate(values: np.ndarray) -> Estimate:
    """[SAMPLES + 1, ...] -> [..., 3]."""
    return np.stack([values[0], *np.quantile(values[1:], (0.05, 0.95), axis=0)], -1)


def compare(
    setting: Setting, values: Mapping[str, np.ndarray], block: int
) -> dict[str, dict[str, dict[str, Comparison]]]:
    """{method: {rival: {variable: comparison at places}}}."""
    found = {method: distances(values, method) for method in setting.complete}

    def of(method: str, rival: str, v: int) -> Comparison:
        counts = local.compare(found[method][..., v], found[rival][..., v])
        difference = counts.better - counts.worse
        by_seed = zip(*(values[name][..., v] for name in (TRUTH, method, rival)), strict=True)
        intervals = [
            # quantiles over no place do not exist
            local.interval_of(local.resampled(truth, mine, block), local.resampled(truth, theirs, block))
            if truth.size
            else np.full(2, np.nan)
            for truth, mine, theirs in by_seed
        ]
        return {
            **{key: float(np.mean(number)) for key, number in counts._asdict().items()},
            # the widest of the seeds' intervals: seeds differ by more than times
            'difference': np.array([difference.mean(), np.min(intervals, 0)[0], np.max(intervals, 0)[1]]),
            'by_seed': difference.tolist(),
        }

    return {
        method: {
            rival: {variable.name: of(method, rival, v) for v, variable in enumerate(setting.variables)}
            for rival in setting.complete
            if rival != method
        }
        for method in setting.complete
    }


def tables(
    values: Mapping[str, Mapping[str, np.ndarray]], compared: Mapping[str, Mapping], seeds: Sequence[int], times: int
) -> str:
    """Scores, differences and comparisons at places, in Markdown."""
    methods = list(compared)
    lines = [f'Seeds {", ".join(map(str, seeds))}; {times} test times.', '']
    lines += header(['score', *methods])
    lines += [row([name, *(text(estimate(of[method])) for method in methods)]) for name, of in values.items()]
    lines += ['', f'{LEARNED} minus its rivals (negative: better).', '', *header(['score', *RIVALS])]
    for name, of in values.items():
        if name.split('_')[0] in LOWER_IS_BETTER:
            lines.append(row([name, *(text(estimate(of[LEARNED] - of[rival])) for rival in RIVALS)]))
    lines += ['', f'Places where {LEARNED} is better, worse, equal (mean over seeds); better minus worse by seed.', '']
    lines += header(['variable', 'rival', 'better', 'worse', 'equal', 'better - worse', 'by seed'])
    for rival, by_variable in compared[LEARNED].items():
        for variable, comparison in by_variable.items():
            counts = [f'{comparison[key]:g}' for key in ('better', 'worse', 'equal')]
            lines.append(row([variable, rival, *counts, text(comparison['difference']), str(comparison['by_seed'])]))
    return '\n'.join(lines)


def header(cells: Sequence[str]) -> list[str]:
    return [row(cells), '|' + '---|' * len(cells)]


def row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def text(values: Estimate) -> str:
    value, low, high = (f'{v:.3g}' for v in values)
    return f'{value} [{low}, {high}]'


def report(seeds: Seeds, numbers: Sequence[int], root: Path) -> None:
    """Prints and writes the tables, and draws the figures."""
    setting, at_places = seeds.setting, series(seeds)
    times = at_places[TRUTH].shape[1]
    drawn = draws(len(numbers), times, seeds.block)
    values = resampled(scores(seeds), drawn) | mean_distances(setting, at_places, drawn)
    compared = compare(setting, at_places, seeds.block)
    table = tables(values, compared, numbers, times)
    print(table)
    write_text(root / 'content_loss.md', table + '\n')
    subtitle = f'{len(numbers)} seeds, {times} test times'
    measure: spectra.Spectra = seeds.measures[0]['spectra']
    panels = measure.panels(
        {key: {m: estimate(power) for m, power in of.items()} for key, of in resampled(curves(seeds), drawn).items()}
    )
    if panels:
        style.save(ratios.spectra(measure.wavelength_km, panels, 'Power by wavelength', subtitle), root / 'spectra.png')
    variables = [variable.name for variable in setting.variables]
    style.save(bars.places(compared, variables, 'Local statistics', subtitle), root / 'places.png')


def main() -> int:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--seeds', type=seed_number, nargs='+', default=[0, 1])
    parser.add_argument('--config', default='configs/srgan.py', help='optionally with a variant: FILE:smoke')
    parser.add_argument('--atmodist', type=Path, help='work directory of a trained AtmoDist; by default it is trained')
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
    for stage, config in ((teachers, teacher), (runs, options.config)):
        if len(run_all(stage, config, options.root)) < len(stage):
            return 1
    report(gather([options.root / run.name for run in runs]), options.seeds, options.root)
    return 0


if __name__ == '__main__':
    run_program(main)
