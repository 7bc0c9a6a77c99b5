"""Does a model that learned from the past alone reproduce the change to a warmer climate?

    python -m experiments.climate.change [--dry-run] [--root=DIR] [--config.KEY=VALUE ..]

Two runs of configs/pairs.py on 50 years of the simulated climate, which warms by 0.02 K a year, and on the same climate
as a biased coarse model sees it: `history` is trained on 16 years at the beginning, `both` on 16 years too, half of
them at the beginning and half near the end. Both are scored on years of the beginning and of the end that neither has
seen. Config values given here apply to both. Prints, and writes to ROOT/climate_change.md, the errors of every method
in the change between the two periods (docs/scores.md), and CRPS.
"""

from pathlib import Path
from typing import Any

from downscale_jax.runtime.files import write_text
from experiments.command_line import Parser, run_program
from experiments.many_runs import Run, markdown, parse_overrides, rows, run_all, show

CONFIG = 'configs/pairs.py'
MONTHS = 600  # from 1981 to 2030
FIRST, LAST = ('1981-01', '1988-12'), ('2017-01', '2024-12')
TRAIN = {'history': (('1981-01', '1996-12'),), 'both': (FIRST, LAST)}
COMMON: dict[str, Any] = {
    'data.simulate.months': MONTHS,
    'data.validation': (('1998-01', '1999-06'),),
    'data.test': (('2000-01', '2003-12'), ('2027-01', '2030-12')),
    'evaluation.records': 48,
}
SCORES = ('crps', 'change_mean', 'change_high', 'change_extreme', 'change_exceedance')


def runs(overrides: dict[str, Any]) -> list[Run]:
    return [Run(name, {**COMMON, 'data.train': train, **overrides}) for name, train in TRAIN.items()]


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--root', type=Path, default=Path('runs/climate_change'))
    parser.add_argument('--config', default=CONFIG, help='a variant may follow: FILE:smoke')
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args()
    both = runs(parse_overrides(others))
    if options.dry_run:
        print(show(both, options.config, options.root))
        return 0
    scores = run_all(both, options.config, options.root)
    table = rows(scores)
    columns = sorted(
        {column for row in table for column in row if column.startswith(SCORES)},
        key=lambda name: (name.rpartition('_')[2], [name.startswith(score) for score in SCORES].index(True)),
    )
    text = markdown(table, ('run', 'method', *columns))
    write_text(options.root / 'climate_change.md', text + '\n')
    print(f'\n{text}\n')
    return 0 if len(scores) == len(both) else 1


if __name__ == '__main__':
    run_program(main)
