"""Properties of rosettes: what a leaking split would claim, and what a second view and a deeper network are worth.

    python -m experiments.crystals.rosettes leakage views networks [--dry-run] [--config.KEY=VALUE ..]

    leakage     a split by crystal, and one by image, in which training has seen test crystals from other sides
    views       one view, and two views 90 and 120 degrees apart
    networks    the polar CNN, the CNN and the small ResNet

Every variant is a run of main.py in a process of its own and in runs/rosettes/GROUP-VARIANT. Prints a table per group
and writes GROUP.csv with every score of every method.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.command_line import run_program
from experiments.many_runs import Run, markdown, parse_groups, rows, run_all, show, write_csv

CONFIG = 'configs/rosettes.py'
GROUPS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    'leakage': {'by_crystal': {}, 'by_image': {'data.split_by': 'image'}},
    'views': {
        'one': {},
        'two_90': {'data.views': 2, 'data.angle': 90.0},
        'two_120': {'data.views': 2, 'data.angle': 120.0},
    },
    'networks': {
        'polar': {},
        'cnn': {'model.trunk': 'cnn', 'training.ema_decay': 0.999, 'training.main.learning_rate': 2e-3},
        'resnet': {'model.trunk': 'resnet'},
    },
}
COLUMNS = ('run', 'method', 'r2_density', 'r2_surface', 'rmse_density', 'rmse_surface', 'balanced_accuracy')


def group_runs(group: str, common: Mapping[str, Any]) -> list[Run]:
    """The runs of a group, with `common` overrides."""
    return [Run(f'{group}-{name}', {**common, **values}) for name, values in GROUPS[group].items()]


def main() -> int:
    options, common = parse_groups(__doc__, GROUPS, CONFIG, Path('runs/rosettes'))
    failed = 0
    for group in options.groups or GROUPS:
        runs = group_runs(group, common)
        if options.dry_run:
            print(show(runs, options.config, options.root))
            continue
        scores = run_all(runs, options.config, options.root)
        failed += len(runs) - len(scores)
        if scores:
            table = rows(scores)
            write_csv(options.root / f'{group}.csv', table)
            print(f'\n{markdown(table, COLUMNS)}\n', flush=True)
    return min(failed, 1)


if __name__ == '__main__':
    run_program(main)
