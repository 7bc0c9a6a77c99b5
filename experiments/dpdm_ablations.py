"""What relief, the climate of grid points, the size of patches and the number of members are worth to DPDM (SYSTEMS.md,
system 4).

    python experiments/dpdm_ablations.py [relief] [points] [patch] [--root=DIR] [--dry-run] [--config.KEY=VALUE ..]

    relief   the networks see topography and land, or neither
    points   all grid points are normalised alike, or each by its own mean and deviation, or by its own range
    patch    patches of 32, 64 and 128 cells, as many cells a step in each

Every variant is a run of configs/diffusion_dpdm.py in a process of its own, without EDSR; `base` stands in every table.
The number of members is told by all of them: the mean of 1, 5, 10, 33 (and, with --config.evaluation.members=100, 100).
Values given as to main.py are those of all runs. Prints a table a group and writes ROOT/GROUP.csv with every score.
"""

import sys
from pathlib import Path
from typing import Any

from many_runs import Run, markdown, parse_groups, resolve, rows, run_all, show, write_csv

from downscale_jax.fields import grid_point
from downscale_jax.runtime.errors import told

CONFIG = 'configs/diffusion_dpdm.py'
CELLS = 16 * 80**2  # in a step of the default
BARE = ('season',)
SHOWN = ('rmse', 'crps', 'acc', 'ssim', 'spread_skill')


def relief(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {'without': {'data.context': BARE}}


def points(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {kind: {'data.grid_point': kind} for kind in grid_point.KINDS if kind}


def patch(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for size in (32, 64, 128):
        found[str(size)] = {'data.patch': size, 'training.batch_size': max(8, round(CELLS / size**2 / 8) * 8)}
    return found


GROUPS = {'relief': relief, 'points': points, 'patch': patch}


def group_runs(group: str, config: str, common: dict[str, Any]) -> list[Run]:
    """The base, which has no EDSR, and the variants of a group."""
    common = {'rivals': (), **common}
    variants = GROUPS[group](resolve(config, common))
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
            ensembles = sorted({m for table in scores.values() for m in table if m.startswith('dpdm_')}, key=len)
            methods = ('linear', 'regression', *ensembles)
            variables = resolve(options.config, {**common, 'rivals': ()})['data.variables']
            columns = ('run', 'method', *(f'{score}_{v}' for v in variables for score in SHOWN))
            print(f'\n{markdown(rows(scores, methods), columns)}\n', flush=True)
    return min(failed, 1)


if __name__ == '__main__':
    with told():
        sys.exit(main())
