"""Ablations of DPDM (docs/systems/dpdm.md): relief, the climate of grid points, size of patches, number of members.

    python -m experiments.dpdm_ablations [relief] [points] [patch] [members] [--root=DIR] [--dry-run]
        [--config=FILE] [--config.KEY=VALUE ..]

    relief   the networks see topography and land, or neither
    points   all grid points are normalised alike, or each by its own mean and deviation, or by its own range
    patch    patches of 32, 64 and 128 cells, with the same number of cells per step
    members  no variant: all tables have rows for the mean of 1, 5, 10, 33 and 100 members

Every variant is a run of configs/diffusion_dpdm.py in a process of its own, without EDSR, of 1000 steps and 100 members
unless others are given; a config with a variant, FILE:smoke, keeps its own. `base` is in every table. Config values
given here apply to all runs. Prints a table for each group (all groups if none is named), and writes ROOT/GROUP.csv
with every score.
"""

from pathlib import Path
from typing import Any

from downscale_jax.fields.transforms import grid_point
from experiments.command_line import run_program
from experiments.many_runs import Run, markdown, parse_groups, resolve, rows, run_all, show, write_csv

CONFIG = 'configs/diffusion_dpdm.py'
LONG = {'training.main.steps': 1000, 'evaluation.members': 100}
BARE = ('season',)
SHOWN = ('rmse', 'crps', 'acc', 'ssim', 'spread_skill')


def relief(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {'without': {'data.context': BARE}}


def points(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {kind: {'data.grid_point': kind} for kind in grid_point.KINDS if kind}


def patch(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found, cells = {}, base['training.batch_size'] * base['data.patch'] ** 2
    for size in (32, 64, 128):
        found[str(size)] = {'data.patch': size, 'training.batch_size': max(8, round(cells / size**2 / 8) * 8)}
    return found


def members(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {}


GROUPS = {'relief': relief, 'points': points, 'patch': patch, 'members': members}


def group_runs(group: str, config: str, common: dict[str, Any]) -> list[Run]:
    """The base, which has no EDSR, and the variants of a group that differ from it."""
    common = {'rivals': (), **({} if ':' in config else LONG), **common}
    base = resolve(config, common)
    variants = {n: v for n, v in GROUPS[group](base).items() if resolve(config, {**common, **v}) != base}
    named = {'base': common} | {f'{group}-{name}': {**common, **values} for name, values in variants.items()}
    return [Run(name, overrides) for name, overrides in named.items()]


def main() -> int:
    options, common = parse_groups(__doc__, GROUPS, CONFIG, Path('runs/dpdm_ablations'))
    failed = 0
    for group in options.groups or GROUPS:
        runs = group_runs(group, options.config, common)
        if options.dry_run:
            print(show(runs, options.config, options.root))
            continue
        scores = run_all(runs, options.config, options.root)
        failed += len(runs) - len(scores)
        if scores:
            write_csv(options.root / f'{group}.csv', rows(scores))
            ensembles = {m for table in scores.values() for m in table if m.startswith('dpdm_')}
            methods = {'linear', 'regression', *ensembles}
            variables = resolve(options.config, {**common, 'rivals': ()})['data.variables']
            columns = ('run', 'method', *(f'{score}_{v}' for v in variables for score in SHOWN))
            print(f'\n{markdown(rows(scores, methods), columns)}\n', flush=True)
    return min(failed, 1)


if __name__ == '__main__':
    run_program(main)
