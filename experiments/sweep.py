"""Every point of a grid of config values: a run of main.py each, and one table of their scores.

    python -m experiments.sweep --config=configs/atmodist.py:smoke --grid training.main.learning_rate=1e-3,2e-3 \\
      --grid seed=0,1 [--zip KEY=VALUE,..] [--method=NAME] [--score=NAME,NAME] [--root=DIR] [--dry-run] \\
      [--config.KEY=VALUE ..]

Each --grid is an axis: its values are combined with those of every other one. The keys of --zip vary together, first
value with first value, as one further axis. Values are written as in Python, or are words; commas within brackets and
quotes belong to a value: --grid "model.widths=(8,8),(16,16)". Values of --config.KEY apply to all runs.

Each run is its own process in ROOT/NAME, where NAME lists the values that differ from the config's (`base` if none do).
A grid can therefore grow without repeating finished runs: by a new value, or by a new key if the config's own value is
among its values. The same command resumes a stopped sweep. The exit status is 1 if a run failed; its output is in
ROOT/NAME.log. ROOT/sweep.csv and ROOT/sweep.md have one row per run: the keys that vary, the run, then METHOD/SCORE of
all methods, or SCORE of --method.
"""

import hashlib
import itertools
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.runtime.files import write_text
from experiments.command_line import Parser, run_program
from experiments.many_runs import (
    MAIN,
    Run,
    Scores,
    all_columns,
    finished,
    markdown,
    parse_overrides,
    parse_value,
    resolve,
    run_all,
    show,
    write_csv,
)

LONGEST = 60  # characters of a name before its digest
Point = dict[str, Any]  # {'section.key': value}


def split(text: str) -> list[str]:
    """'(8,8),16' -> ['(8,8)', '16']: at the commas outside brackets and quotes. Raises UserError if some stay open."""
    items, depth, quote = [''], 0, ''
    for sign in text:
        if sign == ',' and not depth and not quote:
            items.append('')
            continue
        items[-1] += sign
        if quote:
            quote = '' if sign == quote else quote
        elif sign in '\'"':
            quote = sign
        else:
            depth += (sign in '([{') - (sign in ')]}')
    if depth or quote:
        raise UserError(f'{text}: a bracket or a quote is open: quote the whole argument for the shell')
    return items


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """The key and the values of 'section.key=value,value'. Raises UserError for another form."""
    first, *others = split(text)
    key, _, value = first.partition('=')
    items = [item.strip() for item in (value, *others)]
    if not key or not all(items):
        raise UserError(f"'{text}': KEY=VALUE,VALUE was expected, with '' in quotes for an empty word")
    return key, [parse_value(item) for item in items]


def points(grid: Sequence[str], zipped: Sequence[str]) -> list[Point]:
    """The product of the axes of --grid and of the one axis of --zip; the last varies fastest.

    Raises UserError for an empty grid, a key that is given twice and keys of --zip with different numbers of values.
    """
    alone, together = ([parse_axis(text) for text in given] for given in (grid, zipped))
    keys = [key for key, _ in alone + together]
    if not keys:
        raise UserError('the grid is empty: give --grid KEY=VALUE,VALUE')
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f'{twice[0]} is given twice: name all its values in one --grid or --zip')
    if len({len(values) for _, values in together}) > 1:
        counts = ', '.join(f'{key} has {len(values)}' for key, values in together)
        raise UserError(f'--zip needs the same number of values for each key: {counts}')
    axes = [[{key: value} for value in values] for key, values in alone]
    if together:
        columns = [values for _, values in together]
        axes.append([dict(zip(keys[len(alone) :], row, strict=True)) for row in zip(*columns, strict=True)])
    return [{key: value for part in parts for key, value in part.items()} for parts in itertools.product(*axes)]


def run_name(changed: Mapping[str, Any], keys: Collection[str]) -> str:
    """The name of a run whose config has the values `changed`: 'main.steps=40,seed=1', or 'base' for none.

    A key is shortened by the config's `keys`, not by those of the grid, which may grow. Where characters had to be
    replaced or cut off, a digest of all that is changed follows: different changes have different names.
    """
    values = {key: str(changed[key]) for key in sorted(changed)}
    plain = {key: re.sub(r'[^A-Za-z0-9.+-]+', '_', value).strip('_') for key, value in values.items()}
    name = ','.join(f'{shorten(key, keys)}={value}' for key, value in plain.items()) or 'base'
    if plain == values and len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    return f'{name[:LONGEST]}-{digest}'


def shorten(key: str, keys: Collection[str]) -> str:
    """The shortest end of a dotted key that no other of `keys` has; the whole key where another one ends with it."""
    parts = key.split('.')
    ends = ['.'.join(parts[start:]) for start in reversed(range(len(parts)))]
    return next((end for end in ends if sum(f'.{each}'.endswith(f'.{end}') for each in keys) == 1), key)


def sweep_runs(config: str, common: Point, grid: Sequence[Point]) -> list[Run]:
    """One run per point, with the values of `common` added.

    Raises UserError for keys and values that the config does not take, for a key of the grid that is among `common`,
    and for two points of one config.
    """
    if both := [key for key in grid[0] if key in common]:
        raise UserError(f'{both[0]} is given twice: it varies, so leave out --config.{both[0]}')
    base = resolve(config, common)
    runs: dict[str, Run] = {}
    for point in grid:
        values = resolve(config, {**common, **point})
        name = run_name({key: values[key] for key in point if values[key] != base[key]}, base)
        if name in runs:
            same = ', '.join(f'{key}={value}' for key, value in point.items())
            raise UserError(f'two runs of the grid have the same config, {same}: name each value once')
        runs[name] = Run(name, {**common, **point})
    return list(runs.values())


def tabulate(
    runs: Sequence[Run], varied: Iterable[str], scores: Mapping[str, Scores], method: str, wanted: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per run that has scores: the varied keys, the run, the wanted scores of the methods (all by default).

    Raises UserError for a method and a score that no run has.
    """
    tables = [table for run in scores.values() for table in run.items()]
    methods, names = {name for name, _ in tables}, {name for _, numbers in tables for name in numbers}
    for flag, asked, known in (('method', [method] if method else [], methods), ('score', wanted, names)):
        if unknown := [name for name in asked if scores and name not in known]:
            raise UserError(f"--{flag}: no run has '{unknown[0]}': {suggestion(unknown[0], known)}")
    rows = []
    for run in runs:
        if run.name in scores:
            # a key's value as it was given: four digits would make neighbours equal
            row: dict[str, Any] = {key: str(run.overrides[key]) for key in varied} | {'run': run.name}
            for each, numbers in scores[run.name].items():
                if method in ('', each):
                    shown = [name for name in wanted or numbers if name in numbers]
                    row |= {name if method else f'{each}/{name}': numbers[name] for name in shown}
            rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None, script: Path = MAIN) -> int:
    parser = Parser(__doc__)
    parser.add_argument('--config', required=True, help='a variant may follow: FILE:smoke')
    parser.add_argument('--grid', action='append', default=[], metavar='KEY=VALUE,..', help='an axis; repeatable')
    parser.add_argument('--zip', action='append', default=[], metavar='KEY=VALUE,..', help='varies with other --zip')
    parser.add_argument('--root', type=Path, default=Path('runs/sweep'))
    parser.add_argument('--method', default='', help='scores of this one only')
    parser.add_argument('--score', default='', metavar='NAME,..', help='these scores only')
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args(arguments)
    grid = points(options.grid, options.zip)
    runs = sweep_runs(options.config, parse_overrides(others), grid)
    if options.dry_run:
        print(show(runs, options.config, options.root))
        return 0
    status = 0
    try:
        scores = run_all(runs, options.config, options.root, script)
        status = int(len(scores) < len(runs))
    except KeyboardInterrupt:  # the running child has been stopped
        print('stopped: run the same command to resume', file=sys.stderr, flush=True)
        scores, status = finished(runs, options.root), 130
    table = tabulate(runs, grid[0], scores, options.method, list(filter(None, options.score.split(','))))
    text = f'{len(table)} of {len(runs)} runs have scores.'
    if table:
        write_csv(options.root / 'sweep.csv', table)
        text = f'{markdown(table, all_columns(table))}\n\n{text}'
        write_text(options.root / 'sweep.md', f'{text}\n')
    print(f'\n{text}', flush=True)
    return status


if __name__ == '__main__':
    run_program(main)
