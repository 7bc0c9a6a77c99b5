"""Downscaling killed at random moments: does the same command, again and again, end with the same store?

    python -m experiments.benchmarks.kills --workdir=runs/diffusion_dpdm [--kills 20] [--input coarse.nc]

Runs main.py --mode=downscale once undisturbed, then again as a child that is killed (SIGKILL, with its process group)
at random moments and started anew until all kills are done and it ends by itself. A moment is drawn uniformly between
the start of the process and the time by which, judging by the undisturbed run, it has done twice its share of the units
left, so that kills fall into start-up, compilation and computing. Every fourth kill then waits until a unit is being
written. A child that ends before its moment ends a round: the next kill begins another store. Every finished store is
compared with the undisturbed one, file by file and byte by byte; exit status 1 where one differs. The compilation cache
of main.py keeps restarts short. Without --input, the coarse fields are those of --times records of the test split. A
few minutes on 2 CPU cores.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from experiments.command_line import Parser, at_least, run_program, seed_number

START, COMPILATION, COMPUTING, WRITING = 'start-up', 'compilation', 'computing', 'writing'
POLL, CLOSELY = 0.02, 0.001  # seconds between checks; while waiting for the next unit


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, required=True)
    parser.add_argument('--config', default='configs/diffusion_dpdm.py', help='that of the work directory')
    parser.add_argument('--kills', type=at_least(1), default=20)
    parser.add_argument('--input', type=Path, help='coarse data set; by default from the test split')
    parser.add_argument('--times', type=at_least(1), default=12, help='of the test split')
    parser.add_argument('--members', type=at_least(1), default=44)
    parser.add_argument('--seed', type=seed_number, default=0, help='of the moments')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = options.input or Path(folder) / 'coarse.nc'
        if not options.input:
            write_input(options.workdir, options.times, source)

        def command(output: Path) -> list[str]:
            shared = {'config': options.config, 'workdir': options.workdir, 'mode': 'downscale', 'input': source}
            flags = {**shared, 'output': output, 'members': options.members}
            return [sys.executable, 'main.py', *(f'--{name}={value}' for name, value in flags.items())]

        sys.exit(compare(command, Path(folder), options.kills, options.seed))


def write_input(workdir: Path, times: int, path: Path) -> None:
    """Coarse fields of the test split, evenly spread. Raises UserError where the work directory has no data."""
    from data_prep.prepare import prepare
    from downscale_jax.downscale.records import coarse_dataset
    from downscale_jax.fields.datasets import store
    from downscale_jax.fields.datasets.times import evenly
    from downscale_jax.systems.workdir import read_config

    config = read_config(workdir)
    prepared = prepare(config['data'], config['seed'], workdir.parent / 'data')
    split = prepared.split('test')
    store.write_netcdf(coarse_dataset(prepared, split, split.times, evenly(len(split), times)).load(), path)


def compare(command: Callable[[Path], list[str]], folder: Path, kills: int, seed: int) -> bool:
    """Whether any store differs from the undisturbed one; prints how it went. `command(output)` fills that store."""
    whole = folder / 'whole.zarr'
    pace, seconds = undisturbed(command(whole), whole)
    units = marks(whole)
    print(f'undisturbed: {units} units in {seconds:.1f} s, the first after {pace.first:.1f} s\n')
    print('| kill | seconds after the start | in | units done |\n|---|---|---|---|', flush=True)
    start, done, differ = time.perf_counter(), 0, False
    rng, rounds = np.random.default_rng(seed), 0
    while done < kills:
        rounds += 1
        path = folder / f'killed{rounds}.zarr'
        for one in killed(command(path), path, pace, units, kills - done, rng):
            done += 1
            print(f'| {done} | {one.seconds:.1f} | {one.stage} | {one.units} of {units} |', flush=True)
        found = differences(whole, path)
        differ |= bool(found)
        outcome = f'{len(found)} files differ, such as {found[0]}' if found else 'identical to the undisturbed one'
        print(f'\nstore {rounds}: {outcome}', flush=True)
    print(f'{done} kills in {time.perf_counter() - start:.0f} s: {"DIFFERENT" if differ else "identical"}')
    return differ


@dataclass
class Pace:
    """Seconds from the start of a process to its first unit, and from unit to unit."""

    first: float
    each: float


@dataclass(frozen=True)
class Kill:
    seconds: float  # after the start of the process
    stage: str
    units: int  # done by then, by this process and earlier ones


def undisturbed(command: list[str], path: Path) -> tuple[Pace, float]:
    """The pace of an undisturbed run, and its seconds in all."""
    start, first = time.perf_counter(), 0.0
    with child(command) as (process, said):
        while process.poll() is None:
            if not first and marks(path):
                first = time.perf_counter() - start
            time.sleep(POLL)
        expect_success(process, said)
    whole = time.perf_counter() - start
    return Pace(first or whole, (whole - first) / max(marks(path) - 1, 1)), whole


def killed(
    command: list[str], path: Path, pace: Pace, units: int, kills: int, rng: np.random.Generator
) -> Iterator[Kill]:
    """Yields at most `kills` kills; after the last one, or earlier, a child ends by itself. Each kill updates the
    estimated pace: the undisturbed run may have compiled, and the load of the machine varies."""
    for number in range(kills):
        before, begun = marks(path), written(path)
        share = 2 * pace.each * (units - before) / (kills - number + 1)
        moment, at_writing = rng.uniform(0, pace.first + share), number % 4 == 3
        start, first, last = time.perf_counter(), 0.0, 0
        with child(command) as (process, said):
            while process.poll() is None:
                now = time.perf_counter() - start
                if not first and marks(path) > before:
                    first = now
                if now < moment:
                    last = touched(path)
                elif not at_writing or touched(path) != last:
                    break
                time.sleep(CLOSELY if now >= moment else min(POLL, moment - now))
            if process.poll() is not None:
                expect_success(process, said)
                return
            seconds = time.perf_counter() - start
            kill(process)
            done = marks(path)
            if first:
                pace.first = first
            if done > before + 1:
                pace.each = (seconds - first) / (done - before - 1)
            yield Kill(seconds, stage(path, before, begun, read(said)), done)
    with child(command) as (process, said):
        process.wait()
        expect_success(process, said)


@contextmanager
def child(command: list[str]) -> Iterator[tuple[subprocess.Popen, IO[str]]]:
    """A child in a process group of its own, which does not outlive the context, and the file of its output."""
    env = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    with tempfile.TemporaryFile('w+') as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            yield process, said
        finally:
            if process.poll() is None:
                kill(process)


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read(said: IO[str]) -> str:
    said.seek(0)
    return said.read()


def expect_success(process: subprocess.Popen, said: IO[str]) -> None:
    if process.returncode:
        sys.exit(f'{process.args!r} ended with status {process.returncode}: {read(said)}')


def marks(path: Path) -> int:
    """Units that the store holds: the mark of a unit is written after its values."""
    return len([mark for mark in path.glob('clipped_share/c/*/*') if mark.suffix != '.partial'])


def written(path: Path) -> int:
    """Chunks of values that were begun, of all variables: each has a folder, made before its file."""
    return len(list(path.glob('*/c/*/*/*')))


def touched(path: Path) -> int:
    """When, in ns, the writing of a unit or of a mark was last begun: their folders change."""
    return max((at.stat().st_mtime_ns for at in path.glob('*/c/*')), default=0)


def stage(path: Path, before: int, begun: int, said: str) -> str:
    """The stage in which a process that printed `said` was killed; at its start `before` units were done, `begun`
    chunks begun."""
    if 'units to do' not in said:
        return START
    done, chunks = marks(path), written(path)
    variables = len({at.parts[-5] for at in path.glob('*/c/*/*/*')})
    unmarked = chunks > done * variables if done > before else chunks > begun
    if unmarked or any(path.glob('**/*.partial')):
        return WRITING
    return COMPUTING if done > before else COMPILATION


def differences(one: Path, other: Path) -> list[str]:
    """Names of the files that are not in both, or not the same byte for byte."""
    files = [{str(f.relative_to(path)): f for f in path.rglob('*') if f.is_file()} for path in (one, other)]
    alone = {*files[0]} ^ {*files[1]}
    both = {*files[0]} & {*files[1]}
    return sorted(alone | {name for name in both if files[0][name].read_bytes() != files[1][name].read_bytes()})


if __name__ == '__main__':
    run_program(main)
