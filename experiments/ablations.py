"""Ablations of the sea-ice system: one setting is changed at a time.

    python -m experiments.ablations target gamma [--dry-run] [--config.KEY=VALUE ..]     one or several groups, or all

    target      the full field instead of the anomaly: how far do large scales drift away from the coarse input?
    gamma       signal rates at t = 0 and t = 1
    prediction  what the network predicts: eps, v or x0, each with its own plain loss
    inputs      each input left out in turn, except the target's own

Every variant is a run of main.py in a process of its own and in runs/ablations/GROUP-VARIANT; `base`, the config with
only the values given on the command line, is in every table. With the default config a run costs as much as the demo,
ten minutes on 2 CPU cores. Prints one table per group and writes GROUP.csv with every score of every method. Large
scales: bias and RMSE of a member filtered back to the kernel against the coarse input
(`evaluation.statistics.consistency`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.consistency import consistency
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared
from experiments.command_line import run_program
from experiments.consistency import summarise
from experiments.many_runs import Run, markdown, parse_groups, resolve, rows, run_all, show, write_csv

METHODS = ('regression', 'diffusion')
COLUMNS = (
    'run', 'method', 'crps', 'rmse', 'bias', 'spread_skill', 'power_low', 'power_high',
    'large_scale_bias', 'large_scale_rmse',
)  # fmt: skip
Variants = dict[str, dict[str, Any]]  # {variant: overrides}


def target(base: dict[str, Any]) -> Variants:
    return {'anomaly': {'data.anomaly': True}, 'full_field': {'data.anomaly': False}}


def gamma(base: dict[str, Any]) -> Variants:
    start, end = base['diffusion.signal_rates']
    rates = [(first, end) for first in (0.95, 0.99, 0.9999)] + [(start, last) for last in (0.02, 0.1)]
    rates += [(0.95, 0.02)]  # published
    return {f'{first:g}_to_{last:g}': {'diffusion.signal_rates': (first, last)} for first, last in rates}


def prediction(base: dict[str, Any]) -> Variants:
    return {name: {'diffusion.prediction': name, 'diffusion.weighting': name} for name in ('eps', 'v', 'x0')}


def inputs(base: dict[str, Any]) -> Variants:
    listed = [f'data.{key}' for key in ('inputs', 'kernel_km', 'spacing_km', 'noise')]
    variants: Variants = {}
    for index, name in enumerate(base['data.inputs']):
        if name != base['data.target']:
            # an empty list stands for a default of every input, and stays empty
            variants[f'without_{name}'] = {
                key: tuple(value for i, value in enumerate(base[key]) if i != index) for key in listed if base[key]
            }
    return variants


GROUPS: dict[str, Callable[[dict[str, Any]], Variants]] = {
    'target': target,
    'gamma': gamma,
    'prediction': prediction,
    'inputs': inputs,
}


def group_runs(group: str, config: str, common: dict[str, Any]) -> list[Run]:
    """The base, the config with `common` overrides, and the variants of a group that differ from it."""
    base = resolve(config, common)
    variants = {
        variant: overrides
        for variant, overrides in GROUPS[group](base).items()
        if resolve(config, {**common, **overrides}) != base
    }
    named = {'base': common} | {f'{group}-{variant}': {**common, **values} for variant, values in variants.items()}
    return [Run(name, overrides) for name, overrides in named.items()]


def large_scales(workdir: Path) -> dict[str, dict[str, float]]:
    """{method: how far its fields, filtered back to the kernel, lie from the coarse input} on the scored days.

    `truth` is the zero of this measure: the truth filtered back is not quite the input, which was sampled on the grid
    of an observation.
    """
    here = Prepared(workdir)
    prepared = Prepared(workdir.parent / 'data' / here.meta['name'])
    split, transform = prepared.split('test'), prepared.transform_as(RefinementTransform)
    index_of = {int(stamp): index for index, stamp in enumerate(encode_times(split.times))}
    sea = prepared.statics['cell_area'].values.astype(np.float64) * prepared.mask
    sizes, kernel = grid.cell_sizes_km(prepared.statics), prepared.meta['kernel_km'][transform.channel]

    def of_day(fields, coarse):
        return consistency(fields, coarse, sea, sizes, kernel, prepared.periodic)

    sums: dict[str, list] = {}
    for method in METHODS:
        with xr.open_zarr(workdir / 'ensembles' / f'{method}.zarr', consolidated=False) as ensemble:
            for number, stamp in enumerate(encode_times(ensemble['time'].values)):
                record = split[index_of[int(stamp)]]
                coarse = record['coarse'][..., transform.channel]
                fields = ensemble[transform.target].isel(time=number).values
                sums.setdefault(method, []).append(of_day(fields, coarse))
                if method == METHODS[0]:
                    sums.setdefault('truth', []).append(of_day(record['fine'][None], coarse))
    found = {method: summarise(total(days)) for method, days in sums.items()}
    return {
        method: {'large_scale_bias': scores['bias'], 'large_scale_rmse': scores['rmse_member']}
        for method, scores in found.items()
    }


def main() -> int:
    options, common = parse_groups(__doc__, GROUPS, 'configs/diffusion_sit.py', Path('runs/ablations'))
    failed = 0
    for group in options.groups or GROUPS:
        runs = group_runs(group, options.config, common)
        if options.dry_run:
            print(show(runs, options.config, options.root))
            continue
        scores = run_all(runs, options.config, options.root)
        failed += len(runs) - len(scores)
        for name, table in scores.items():
            for method, numbers in large_scales(options.root / name).items():
                table[method] = table.get(method, {}) | numbers
        if scores:
            write_csv(options.root / f'{group}.csv', rows(scores))
            shown = rows(scores, METHODS) + rows(scores, ['truth'])[:1]  # the same for all runs
            print(f'\n{markdown(shown, COLUMNS)}\n', flush=True)
    return min(failed, 1)


if __name__ == '__main__':
    run_program(main)
