"""Many runs of main.py that differ in some values of a config: each in a process and a work directory of its own.

Shared by the experiments that compare configs (`ablations`, `curriculum`, `sweep`).
A run that has its scores is not run again, a killed run resumes, a failure is reported and the others go on. All runs
of one root share what they prepare, in root/data.
"""

import argparse
import ast
import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.runtime.settings import flatten
from downscale_jax.systems.workdir import read_config as read_workdir
from experiments.command_line import Parser
from experiments.configs import read_config

MAIN = Path(__file__).parents[1] / 'main.py'
Scores = dict[str, dict[str, float]]  # {method: {score: number}}, as in scores.json


@dataclass(frozen=True)
class Run:
    """`name` is its work directory under the root; `overrides` {'section.key': value} change the config."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


def resolve(config: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config 'configs/NAME.py[:variant]' with overrides, as a work directory keeps it, {'section.key': value}.

    Raises UserError for a config, a variant or a key that does not exist, and for a value of another type.
    """
    values = flatten(read_config(config))
    return json.loads(json.dumps({**values, **checked(config, values, overrides)}))


def checked(config: str, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides as main.py takes them in place of `values`. Raises UserError for a key that these do not have, and
    for a value of another type."""
    for key in overrides:
        if key not in values:
            raise UserError(f"{config} has no key '{key}': {suggestion(key, values)}")
    return {key: fitted(key, value, values[key]) for key, value in overrides.items()}


def fitted(key: str, value: Any, default: Any) -> Any:
    """A value as main.py converts it to the type of `default`: 1 becomes 1.0, 5 becomes '5', true becomes True.

    Raises UserError for a value of another type.
    """
    kind = type(default)
    if kind is str:
        return str(value)
    if kind is bool:
        value = {'true': True, 'false': False}.get(value, value) if isinstance(value, str) else value
    if (kind is float and type(value) is int) or (kind is tuple and type(value) is list):
        value = kind(value)
    if default is not None and type(value) is not kind:
        raise UserError(f'{key}={value!r}: a value of type {kind.__name__} was expected, such as {default!r}')
    return value


def parse_groups(
    description: str | None, groups: Iterable[str], config: str, root: Path
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The command line of a script that runs groups of variants: (groups, config, root, dry_run; overrides).

    Raises UserError where a group is none of `groups`.
    """
    known = list(groups)
    parser = Parser(description)
    parser.add_argument('groups', nargs='*', metavar='GROUP', help=f'one or more of {", ".join(known)}')
    parser.add_argument('--config', default=config, help='a variant may follow: FILE:smoke')
    parser.add_argument('--root', type=Path, default=root)
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args()
    overrides = parse_overrides(others)
    if unknown := [group for group in options.groups if group not in known]:
        parser.error(f"'{unknown[0]}' is not a group: choose from {', '.join(known)}")
    return options, overrides


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """{'section.key': value} of '--config.section.key=value', values written as in Python. Raises UserError."""
    found = {}
    for argument in arguments:
        key, given, value = argument.partition('=')
        if not given or not key.startswith('--config.'):
            raise UserError(f'{argument} is not an argument: give --config.SECTION.KEY=VALUE, or see --help')
        found[key.removeprefix('--config.')] = parse_value(value)
    return found


def parse_value(text: str) -> Any:
    """A value written as in Python, or a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def command(run: Run, config: str, root: Path, main: Path = MAIN) -> list[str]:
    """What is executed; the line works in a shell too."""
    values = [f'--config.{key}={literal(value)}' for key, value in run.overrides.items()]
    return [sys.executable, str(main), f'--config={config}', f'--workdir={root / run.name}', *values]


def literal(value: Any) -> str:
    """As in Python, where infinity has no literal, but a number too large for a float is infinite."""
    return re.sub(r'\binf\b', '1e999', str(value))


def run_all(runs: Sequence[Run], config: str, root: Path, main: Path = MAIN) -> dict[str, Scores]:
    """{run: scores} of those that finished, in order; the output of main.py goes to root/NAME.log.

    Raises UserError, before anything runs, where a work directory was made with another config or root cannot be made.
    """
    for run in runs:
        check_workdir(run, config, root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'--root={root} cannot be made: {error.strerror}; choose another') from error
    scores = {}
    for number, run in enumerate(runs, 1):
        path, log = root / run.name / 'scores.json', root / f'{run.name}.log'
        label = f'{run.name} ({number} of {len(runs)})'
        if path.exists():
            print(f'{label}: already finished', flush=True)
        else:
            print(f'{label}: running, see {log}', flush=True)
            status = execute(command(run, config, root, main), log)
            if status or not path.exists():
                last = (log.read_text(errors='replace').strip() or 'no output').splitlines()[-1]
                print(f'{label}: FAILED with status {status}: {last}', file=sys.stderr, flush=True)
                continue
        scores[run.name] = json.loads(path.read_text())
    return scores


def execute(line: list[str], log: Path) -> int:
    """The exit status; an exception, such as Ctrl-C, is raised again after killing the child, which is always safe."""
    environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}  # otherwise output would be logged after errors
    with log.open('w') as file:
        child = subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            return child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise


def finished(runs: Sequence[Run], root: Path) -> dict[str, Scores]:
    """{run: scores} of those that have them, in order."""
    paths = {run.name: root / run.name / 'scores.json' for run in runs}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def show(runs: Sequence[Run], config: str, root: Path) -> str:
    """The commands of runs, one per line."""
    return '\n'.join(shlex.join(command(run, config, root)) for run in runs)


def check_workdir(run: Run, config: str, root: Path) -> None:
    """Raises UserError where the work directory of a run holds another config."""
    path = root / run.name / 'config.json'
    asked = resolve(config, run.overrides)
    if path.exists():
        held = flatten(read_workdir(path.parent))
        other = sorted(key for key in {*held, *asked} if held.get(key) != asked.get(key))
        if other:
            listed = ', '.join(f'{k} is {held.get(k)!r} there, {asked.get(k)!r} here' for k in other[:3])
            raise UserError(
                f'{path.parent} was made with another config ({listed}): choose another --root or remove it'
            )


def rows(scores: Mapping[str, Scores], methods: Iterable[str] = ()) -> list[dict[str, Any]]:
    """One row per run and method, {'run', 'method', score: number}; all methods where none is named."""
    wanted = list(methods)
    return [
        {'run': run, 'method': method, **numbers}
        for run, table in scores.items()
        for method, numbers in table.items()
        if not wanted or method in wanted
    ]


def all_columns(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column that a row has, in order of their first appearance."""
    return list(dict.fromkeys(name for row in table for name in row))


def write_csv(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, all_columns(table))
        writer.writeheader()
        writer.writerows(table)


def markdown(table: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A Markdown table of the named columns that at least one row has; empty where a row lacks one."""
    shown = [name for name in columns if any(name in row for row in table)]

    def cell(value):
        return '' if value is None else f'{value:.4g}' if isinstance(value, float) else str(value)

    lines = [f'| {" | ".join(shown)} |', '|---' * len(shown) + '|']
    return '\n'.join(lines + [f'| {" | ".join(cell(row.get(name)) for name in shown)} |' for row in table])
