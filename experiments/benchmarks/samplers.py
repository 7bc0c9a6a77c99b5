"""Samplers against the number of evaluations: how few does a good ensemble need?

    python -m experiments.benchmarks.samplers [--workdir=runs/diffusion_sit] [--days 2] [--members 8] [--crop 128]
    python -m experiments.benchmarks.samplers --fewer runs/one_pass runs/distilled     adds these generators

Draws ensembles of the diffusion in a work directory on days of the test split, in the square of --crop cells whose
truth differs most from the coarse field: every sampler at its usual spacing of noise levels, temperature 1, the same
noise for all. Prints scores as Markdown tables and draws them (--figure): fair CRPS, RMSE of the ensemble mean,
spread/skill, and the mean |ln(power / truth's power)| of the members' anomaly from the kernel of the coarse input down
to four cells; and CPU seconds of an ensemble, the least over the days, so that compilation does not count. If
--evaluations has both, the next line compares DPM-Solver++(2M) at 10 with DDIM at 100. The last lines give the seconds
of a work unit of --members on the square in the compiled program that --mode=downscale runs, by the sampler of the work
directory and by the generators beside it, measured in turn. Eight minutes of CPU time in all with the network of the
default config.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from data_prep.prepare import prepare
from downscale_jax.diffusion.samplers import Solver
from downscale_jax.downscale import noise
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.tiles import Domain
from downscale_jax.evaluation.measures.examples import liveliest
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.spectra import spectral_distance
from downscale_jax.fields.datasets.times import encode_times, evenly
from downscale_jax.fields.geometry.grid import cell_size_km
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler
from experiments.benchmarks.scaling import in_turns, unit_arguments
from experiments.command_line import Parser, at_least, figure_file, run_program

SAMPLERS = {  # sampler, spacing, eta
    'DDIM': ('ddim', 't', 0.0),
    'DDIM, eta 0.5': ('ddim', 't', 0.5),
    'DDPM': ('ddpm', 't', 0.0),
    'Heun': ('heun', 'karras', 0.0),
    'DPM-Solver++(2M)': ('dpm_solver', 'half_log_snr', 0.0),
    'SDE-DPM-Solver++(2M)': ('dpm_solver_sde', 'half_log_snr', 0.0),
}
# of the samplers, the distilled and the one-pass generators
COLOURS = ('#0072b2', '#56b4e9', '#009e73', '#cc79a7', '#d55e00', '#e69f00', '#000000', '#7a5c00')
SCORES = {
    'crps': 'CRPS [{unit}]',
    'rmse': 'RMSE of the mean [{unit}]',
    'spread_skill': 'spread/skill',
    'power': 'mean distance of ln power from the truth',
}
SECONDS = 'CPU seconds of an ensemble'
SEED = 0
ROUNDS = 9  # of which the fastest counts
Draw = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # (coarse, known, seconds) -> members [M, H, W]
FIGURE = Path(__file__).parents[2] / 'docs' / 'figures' / 'samplers.png'


def main() -> None:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_sit'))
    fewer = 'work directories of one-pass or distilled generators on the same data'
    parser.add_argument('--fewer', type=Path, nargs='+', default=(), help=fewer)
    parser.add_argument('--days', type=at_least(2), default=2, help='of the test split; programs compile on the first')
    parser.add_argument('--members', type=at_least(2), default=8)
    parser.add_argument('--crop', type=at_least(1), default=128, help='cells a side')
    parser.add_argument('--evaluations', type=at_least(1), nargs='+', default=(1, 2, 3, 5, 10, 20, 50, 100))
    parser.add_argument('--figure', type=figure_file, default=FIGURE)
    options = parser.parse_args()
    opened = load(options.workdir, kind=Downscaler)
    prepared = prepare(opened.config['data'], opened.config['seed'], options.workdir.parent / 'data')
    generator, window = opened.generator(opened.last), opened.config['evaluation']['window']
    stride = generator.task.network.stride
    crop = min(options.crop, *prepared.mask.shape) // stride * stride
    if crop < 4:
        parser.error(f'--crop leaves {crop} cells a side: at least 4 are needed, in multiples of {stride}')
    draws = sampler_draws(generator, options.members, crop, options.evaluations)
    assert generator.sampling is not None
    generators = {f'{generator.sampling.sampler}, evaluations: {generator.sampling.steps}': generator}
    for workdir in options.fewer:
        other = load(workdir, kind=Downscaler)
        task: Any = other.tasks[other.last]
        name, own = other.last.replace('_', ' '), other.generator(other.last)
        draws[name, task.evaluations] = own_draw(own, options.members, crop)
        generators[f'{name}, evaluations: {task.evaluations}'] = own
    columns = sorted({steps for _, steps in draws})
    found = measure(draws, prepared, options.days, crop, min(window, crop))
    known = next(iter(found['DDIM'].values()))  # without a window free of land there is no spectrum
    unit = prepared.transform_as(RefinementTransform).units
    labels = {score: label.format(unit=unit) for score, label in SCORES.items() if np.isfinite(known[score])}
    for score, label in {**labels, 'seconds': SECONDS}.items():
        print(f'\n| {label} | ' + ' | '.join(map(str, columns)) + ' |')
        print('|---' * (1 + len(columns)) + '|')
        for name, row in found.items():
            cells = [f'{row[steps][score]:.3g}' if steps in row else '' for steps in columns]
            print(f'| {name} | ' + ' | '.join(cells) + ' |')
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    of = f'{options.days} test days, {options.members} members, {crop} x {crop} cells'
    draw(found, labels, of).savefig(options.figure, dpi=130, metadata={'Software': None})
    if {10, 100} <= set(options.evaluations):
        ratio = found['DPM-Solver++(2M)'][10]['crps'] / found['DDIM'][100]['crps']
        print(f'\nCRPS of DPM-Solver++(2M) with 10 evaluations against DDIM with 100: {100 * (ratio - 1):+.1f} %')
    print()
    for line in speeds(generators, options.members, crop):
        print(line)


def measure(
    draws: Mapping[tuple[str, int], Draw], prepared: Prepared, count: int, crop: int, window: int
) -> dict[str, dict[int, dict[str, float]]]:
    """{method: {evaluations: {score: number}}} over `count` test days; window: cells a side for the spectra."""
    split, transform = prepared.split('test'), prepared.transform_as(RefinementTransform)
    low, high = transform.limits[:, 0]
    times = encode_times(split.times)
    area = prepared.statics['cell_area'].values.astype(np.float64)
    cell, kernel = cell_size_km(prepared.statics), prepared.meta['kernel_km'][transform.channel]
    rings = scales.scored(spectra.wavelengths(window, cell), kernel, cell)
    sums: dict[tuple[str, int], list] = {method: [] for method in draws}
    seconds: dict[tuple[str, int], list[float]] = {method: [] for method in draws}
    for day in evenly(len(split), count):
        truth, coarse = split[day]['fine'], split[day]['coarse']
        row, column, _ = liveliest(truth - coarse[..., transform.channel], prepared.mask, crop)
        place = slice(row, row + crop), slice(column, column + crop)
        truth, coarse = truth[place], coarse[place]
        base = np.clip(coarse[..., transform.channel], low, high)
        known = prepared.mask[place] & np.isfinite(truth) & np.isfinite(base)
        weight, everywhere = np.where(known, area[place], 0), np.ones((1, crop, crop), bool)
        origins = spectra.windows(known, known, window)
        for method, draw_members in draws.items():
            start = time.process_time()
            drawn = draw_members(coarse, known, int(times[day]))
            seconds[method].append(time.process_time() - start)
            fields = {scales.COARSE: base[None], 'members': np.clip(drawn, low, high)}
            cells = scores.day_sums(fields['members'], truth, weight, everywhere, np.random.default_rng(0))
            sums[method].append(cells | scales.day_powers(truth, fields, '', origins, window))
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name, _ in draws}
    for (name, steps), parts in sums.items():
        whole = total(parts)
        power = float(spectral_distance(scales.summarise(whole)['power members'][rings], np.ones(rings.sum()), share=1))
        numbers = {score: float(value[0]) for score, value in scores.summarise(whole).items()}
        found[name][steps] = {**numbers, 'power': power, 'seconds': min(seconds[name, steps])}
    return found


def speeds(generators: Mapping[str, FieldGenerator], members: int, crop: int) -> list[str]:
    """Lines with the seconds of a work unit, on the clock and of all cores, and its speed relative to the first."""
    calls: list[Callable[[], Any]] = []
    for generator in generators.values():
        domain = Domain((crop, crop), len(generator.transform.inputs))
        coarse = np.random.default_rng(SEED).standard_normal((*domain.shape, domain.channels), np.float32)
        program = generator.with_partition(members=members).program(domain)
        calls.append(partial(program, *unit_arguments(generator, coarse, members)))
    for call in calls:
        jax.block_until_ready(call())  # the first call is slow
    found = in_turns(calls, ROUNDS)
    clock, cores = found[0]
    return [
        f'a work unit by {name}: {one:.3g} s, {every:.3g} s of all cores; {clock / one:.2f} and {cores / every:.2f} '
        'times as fast as the first'
        for name, (one, every) in zip(generators, found, strict=True)
    ]


def sampler_draws(
    generator: FieldGenerator, members: int, crop: int, evaluations: Sequence[int]
) -> dict[tuple[str, int], Draw]:
    """Every sampler with every number of evaluations."""
    solve = solver_of(generator, members, crop)
    return {
        (name, steps): partial(solve, solver=Solver(sampler, steps, spacing, eta))
        for name, (sampler, spacing, eta) in SAMPLERS.items()
        for steps in evaluations
    }


def own_draw(generator: FieldGenerator, members: int, crop: int) -> Draw:
    """Members of a generator whose number of evaluations is its own: in one pass, or distilled."""
    task, params, transform = generator.task, generator.params, generator.transform

    @jax.jit
    def sample(condition, valid, kernel):
        return task.sample(params, condition, valid, lambda i: drawn_noise(task, members, crop, i, kernel), whole, None)

    def draw_members(coarse, known, seconds):
        valid = known[..., None]
        fields = sample(transform.condition(coarse, valid)[None], valid, noise.time_kernel(seconds, 0.0))
        return np.asarray(transform.decode(fields, coarse[None]))[..., 0]

    return draw_members


def whole(network: Callable, *fields: jax.Array) -> jax.Array:
    """`apply` of a domain that is one tile."""
    return network(*fields)


def drawn_noise(task: Any, members: int, crop: int, i: Any, kernel: noise.TimeKernel) -> jax.Array:
    """Standard normals [M, H, W, C] of the draw i."""

    def of_member(member):
        return noise.field(jnp.uint32(SEED), member, kernel, i, (crop, crop), task.network.channels)

    return jax.vmap(of_member)(jnp.arange(members, dtype=jnp.uint32))


def solver_of(generator: FieldGenerator, members: int, crop: int) -> Callable[..., np.ndarray]:
    """solve(coarse [H, W, Cin], known [H, W], seconds, solver) -> members [M, H, W] in physical units.

    One evaluation is compiled, once for all samplers and numbers of steps, and loops run in Python around it: compiling
    every combination would take longer than sampling.
    """
    task: Any = generator.task  # a Diffusion
    params, transform = generator.params, generator.transform

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
        return jnp.where(valid[None], task.denoise(params, z, jnp.full(members, gamma), shown), 0)

    drawn = compiled(partial(drawn_noise, task, members, crop))

    def solve(coarse, known, seconds, solver):
        valid = known[..., None]
        shown, mean, error = given(transform.condition(coarse, valid)[None])
        kernel = noise.time_kernel(seconds, 0.0)

        def denoise(z, gamma):
            return evaluate(z, gamma, shown, valid)

        def fresh(i):
            return drawn(i, kernel)

        gammas = solver.gammas(task.schedule)
        with jax.disable_jit():
            # a loop of no steps cannot run this way
            residual = solver.solve(denoise, fresh, task.schedule) if len(gammas) > 1 else denoise(fresh(0), gammas[0])
        return np.asarray(transform.decode(mean + error * residual, coarse[None]))[..., 0]

    return solve


def draw(found: dict[str, dict[int, dict[str, float]]], labels: dict[str, str], of: str) -> Figure:
    figure = Figure(figsize=(9, 6.4), layout='constrained')
    figure.suptitle(f'Samplers by the number of evaluations: {of}')
    for place, (score, label) in enumerate(labels.items(), 1):
        axes = figure.add_subplot(2, 2, place)
        lines = {name: [numbers[score] for numbers in row.values()] for name, row in found.items()}
        for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
            axes.plot(list(found[name]), values, 'o-', color=colour, ms=4, label=name)
        if score == 'spread_skill':
            axes.axhline(1, color='0.6', lw=0.8)
        # scores far worse than those of a single evaluation, Heun's giant steps, leave the frame
        first, least = lines['DDIM'][0], np.nanmin(np.concatenate(list(lines.values())))
        top = 1.6 if score == 'spread_skill' else 1.3 * first
        bottom = 0 if score in ('spread_skill', 'power') else 0.95 * least
        axes.set(title=label, xscale='log', ylim=(bottom, top))
        axes.set_xticks(list(found['DDIM']), list(map(str, found['DDIM'])))
        axes.minorticks_off()
        axes.spines[['top', 'right']].set_visible(False)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc='outside lower center', ncols=-(-len(found) // 2), frameon=False)
    return figure


if __name__ == '__main__':
    run_program(main)
