"""Samplers against the number of evaluations: how few does a good ensemble need?

    python experiments/benchmarks/samplers.py [--workdir=runs/diffusion_sit] [--days 2] [--members 8] [--crop 128]

Draws ensembles of the diffusion in a work directory on days of the test split, in the square of --crop cells whose
truth differs most from the coarse field: every sampler at its usual spacing of noise levels, temperature 1, the same
noise for all. Prints scores as Markdown tables and draws them (--figure): fair CRPS, RMSE of the ensemble mean,
spread/skill, and the mean |ln(power / truth's power)| of the members' anomaly from the kernel of the coarse input down
to four cells. The last line sets DPM-Solver++(2M) with 10 evaluations against DDIM with 100.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from data_prep.prepare import prepare
from downscale_jax.diffusion.samplers import Solver
from downscale_jax.downscale import noise
from downscale_jax.downscale.generate import Generator
from downscale_jax.evaluation import days, scales, scores, spectra
from downscale_jax.evaluation.bootstrap import total
from downscale_jax.evaluation.evaluate import cell_km
from downscale_jax.fields.times import encode_times
from downscale_jax.pipeline.records import Prepared
from downscale_jax.run import open_trained

# name: (sampler, spacing, eta), colour
SAMPLERS = {
    'DDIM': (('ddim', 't', 0.0), '#0072b2'),
    'DDIM, eta 0.5': (('ddim', 't', 0.5), '#56b4e9'),
    'DDPM': (('ddpm', 't', 0.0), '#009e73'),
    'Heun': (('heun', 'karras', 0.0), '#cc79a7'),
    'DPM-Solver++(2M)': (('dpm_solver', 'half_log_snr', 0.0), '#d55e00'),
    'SDE-DPM-Solver++(2M)': (('dpm_solver_sde', 'half_log_snr', 0.0), '#e69f00'),
}
EVALUATIONS = (1, 2, 3, 5, 10, 20, 50, 100)
SCORES = {'crps': 'CRPS', 'rmse': 'RMSE of the mean', 'spread_skill': 'spread/skill', 'power': '|ln power ratio|'}
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_sit'))
    parser.add_argument('--days', type=int, default=2)
    parser.add_argument('--members', type=int, default=8)
    parser.add_argument('--crop', type=int, default=128, help='cells a side')
    parser.add_argument('--evaluations', type=int, nargs='+', default=EVALUATIONS)
    parser.add_argument('--figure', type=Path, default=Path('samplers.png'))
    options = parser.parse_args()
    opened, prepared = open_trained('evaluate', options.workdir, {}, prepare)
    generator, window = opened.generator(opened.last), opened.config['evaluation']['window']
    found = measure(generator, prepared, options.days, options.members, options.crop, options.evaluations, window)
    unit = prepared.transform.units
    for score, label in SCORES.items():
        print(f'\n{label}{f" [{unit}]" if score in ("crps", "rmse") else ""}\n')
        print('| evaluations | ' + ' | '.join(map(str, options.evaluations)) + ' |')
        print('|---' * (1 + len(options.evaluations)) + '|')
        for name, row in found.items():
            print(f'| {name} | ' + ' | '.join(f'{row[count][score]:.3g}' for count in options.evaluations) + ' |')
    draw(
        found, unit, f'{options.days} test days, {options.members} members, {options.crop} x {options.crop} cells'
    ).savefig(options.figure, dpi=160, metadata={'Software': None})
    if {10, 100} <= set(options.evaluations):
        ratio = found['DPM-Solver++(2M)'][10]['crps'] / found['DDIM'][100]['crps']
        print(f'\nCRPS of DPM-Solver++(2M) with 10 evaluations against DDIM with 100: {100 * (ratio - 1):+.1f} %')


def measure(
    generator: Generator, prepared: Prepared, count: int, members: int, crop: int, evaluations, window: int
) -> dict[str, dict[int, dict[str, float]]]:
    """{sampler: {evaluations: {score: number}}}."""
    split, stride = prepared.split('test'), generator.task.network.stride
    crop = min(crop, *prepared.mask.shape) // stride * stride
    window = min(window, crop)
    area = prepared.statics['cell_area'].values.astype(np.float64)
    cell, kernel = cell_km(prepared), prepared.meta['kernel_km'][prepared.transform.channel]
    rings = scales.scored(spectra.wavelengths(window, cell), kernel, cell)
    solve = solver_of(generator, members, crop)
    sums: dict[tuple[str, int], list] = {}
    powers: dict[tuple[str, int], list] = {}
    for day in days.evenly(len(split), count):
        record, stamp = split[day], int(encode_times(split.times)[day])
        rows, columns = liveliest(record, prepared, crop)
        truth, coarse = record['fine'][rows, columns], record['coarse'][rows, columns]
        low_high = prepared.transform.bounds
        base = np.clip(coarse[..., prepared.transform.channel], *low_high)
        known = prepared.mask[rows, columns] & np.isfinite(truth) & np.isfinite(base)
        weight = np.where(known, area[rows, columns], 0)
        origins = spectra.windows(known, known, window)
        for name, ((sampler, spacing, eta), _) in SAMPLERS.items():
            for steps in evaluations:
                fields = np.clip(solve(coarse, known, stamp, Solver(sampler, steps, spacing, eta)), *low_high)
                ties = np.random.default_rng(0)
                sums.setdefault((name, steps), []).append(
                    scores.day_sums(fields, truth, weight, np.ones((1, *known.shape), bool), ties)
                )
                powers.setdefault((name, steps), []).append(
                    scales.day_powers(truth, {scales.COARSE: base[None], 'members': fields}, 'members', origins, window)
                )
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in SAMPLERS}
    for (name, steps), parts in sums.items():
        numbers = {score: float(value[0]) for score, value in scores.summarise(total(parts)).items()}
        power = scales.summarise(total(powers[name, steps]))['power members'][rings]
        found[name][steps] = {**numbers, 'power': float(np.abs(np.log(power)).mean())}
    return found


def liveliest(record: dict[str, np.ndarray], prepared: Prepared, crop: int) -> tuple[slice, slice]:
    """Rows and columns of the square with the largest sum of squares of the anomaly, on a lattice of a quarter."""
    anomaly = record['fine'] - record['coarse'][..., prepared.transform.channel]
    energy = np.where(prepared.mask & np.isfinite(anomaly), anomaly, 0) ** 2
    height, width = energy.shape
    places = [
        (slice(row, row + crop), slice(column, column + crop))
        for row in range(0, height - crop + 1, crop // 4)
        for column in range(0, width - crop + 1, crop // 4)
    ]
    return max(places, key=lambda place: energy[place].sum())


def solver_of(generator: Generator, members: int, crop: int) -> Callable[..., np.ndarray]:
    """solve(coarse [H, W, Cin], known [H, W], seconds, solver) -> members [M, H, W] in physical units.

    One evaluation is compiled, once for all samplers and numbers of steps, and loops run in Python around it: compiling
    every combination would take longer than sampling.
    """
    task, params, transform = generator.task, generator.params, generator.transform
    shape, channels = (crop, crop), task.network.channels

    def compiled(function):
        jitted = jax.jit(function)

        def call(*args):
            with jax.disable_jit(False):
                return jitted(*args)

        return call

    given = compiled(lambda condition: task.condition(params.guess, condition))

    @compiled
    def evaluate(z, gamma, shown, valid):
        shown = jnp.broadcast_to(shown, (members, *shown.shape[1:]))
        return jnp.where(valid, task.denoise(params, z, jnp.full(members, gamma), shown), 0)

    @compiled
    def drawn(i, nodes, weights):
        def of_member(member):
            return noise.field(np.uint32(SEED), member, nodes, weights, i, shape, channels)

        return jax.vmap(of_member)(jnp.arange(members, dtype=jnp.uint32))

    def solve(coarse, known, seconds, solver):
        valid = known[..., None]
        shown, mean, error = given(transform.condition(coarse, valid)[None])
        nodes, weights = noise.time_nodes(seconds, 0.0)

        def denoise(z, gamma):
            return evaluate(z, gamma, shown, valid)

        def draw(i):
            return drawn(i, nodes, weights)

        gammas = solver.gammas(task.schedule)
        with jax.disable_jit():
            # a loop of no steps cannot run so
            residual = solver.solve(denoise, draw, task.schedule) if len(gammas) > 1 else denoise(draw(0), gammas[0])
        return np.asarray(transform.decode(mean + error * residual, coarse))[..., 0]

    return solve


def draw(found: dict[str, dict[int, dict[str, float]]], unit: str, subtitle: str) -> Figure:
    figure = Figure(figsize=(9, 6.4), layout='constrained')
    figure.suptitle(f'Samplers by evaluations of the network: {subtitle}')
    for axes, (score, label) in zip(figure.subplots(2, 2, sharex=True).flat, SCORES.items(), strict=True):
        for name, row in found.items():
            (_, colour) = SAMPLERS[name]
            axes.plot(list(row), [scores[score] for scores in row.values()], 'o-', color=colour, ms=4, label=name)
        if score == 'spread_skill':
            axes.axhline(1, color='0.6', lw=0.8)
        else:
            axes.set_yscale('log')
        axes.set_xscale('log')
        axes.set_xticks(list(row), list(row))
        axes.minorticks_off()
        axes.set_title(f'{label} [{unit}]' if score in ('crps', 'rmse') else label, loc='left')
    figure.supxlabel('evaluations')
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc='outside lower center', ncols=3, frameon=False)
    return figure


if __name__ == '__main__':
    main()
