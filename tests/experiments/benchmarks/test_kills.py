import signal
import sys
import time

import numpy as np
import pytest

from experiments.benchmarks import kills

UNITS = 12
TOLD = '9 units to do'

# what a downscaling leaves behind, at the pace of a fast one; `careless`: the store tells how often it was begun
CHILD = """
import sys, time
from pathlib import Path
path, careless = Path(sys.argv[1]), len(sys.argv) > 2
path.mkdir(exist_ok=True)
if careless:
    with (path / 'begun').open('a') as file:
        file.write('once more')
for cut in path.rglob('*.partial'):
    cut.unlink()
time.sleep(0.02)
print('some units to do')
time.sleep(0.02)
for unit in range(12):
    chunk, mark = path / f't/c/0/{unit}/0/0', path / f'clipped_share/c/0/{unit}'
    aside = chunk.with_name('0.id.partial')
    if mark.exists():
        continue
    time.sleep(0.02)
    for file in (chunk, mark):
        file.parent.mkdir(parents=True, exist_ok=True)
    with aside.open('w') as file:
        for number in range(10):
            file.write(f'{number} of {unit}')
            file.flush()
            time.sleep(0.003)
    aside.rename(chunk)
    mark.touch()
"""


def compare(folder, *arguments, count=10):
    (folder / 'child.py').write_text(CHILD)
    return kills.compare(
        lambda output: [sys.executable, str(folder / 'child.py'), str(output), *arguments], folder, count, seed=0
    )


def rows(told):
    """[seconds, stage, units] of every kill."""
    return [line.strip('| ').split(' | ')[1:] for line in told.splitlines() if line.startswith('| ')][1:]


def test_a_store_that_survives(tmp_path, capsys):
    assert compare(tmp_path) is False
    found = capsys.readouterr().out
    assert found.splitlines()[-1].startswith('10 kills in ')
    assert found.endswith('identical\n')
    table = rows(found)
    assert len(table) == 10
    units = [int(row[2].split(' of ')[0]) for row in table]
    assert 0 < max(units) <= UNITS
    assert {row[1] for row in table} >= {kills.START, kills.WRITING}
    assert kills.marks(tmp_path / 'killed1.zarr') == UNITS


def test_a_store_that_does_not(tmp_path, capsys):
    assert compare(tmp_path, 'careless', count=4) is True
    found = capsys.readouterr().out
    assert '1 files differ, such as begun' in found
    assert found.endswith('DIFFERENT\n')


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(SystemExit, match=r"'no\.py', 'out\.zarr'\] ended with status 2: .*No such file"):
        kills.undisturbed([sys.executable, 'no.py', 'out.zarr'], tmp_path / 'out.zarr')


def test_the_last_child_ends_by_itself(tmp_path):
    (tmp_path / 'child.py').write_text(CHILD)
    path = tmp_path / 'out.zarr'
    pace, rng = kills.Pace(0.1, 0.1), np.random.default_rng(0)  # far too fast: all are killed early
    found = list(kills.killed([sys.executable, str(tmp_path / 'child.py'), str(path)], path, pace, UNITS, 3, rng))
    assert len(found) == 3
    assert kills.marks(path) == UNITS


def test_a_child_takes_its_children_with_it(tmp_path):
    born, alive = tmp_path / 'born', tmp_path / 'alive'
    grandchild = f'import time; open({str(born)!r}, "w"); time.sleep(0.5); open({str(alive)!r}, "w")'
    code = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {grandchild!r}])'
    with kills.child([sys.executable, '-c', code]) as (process, _):
        while not born.exists():
            time.sleep(0.01)
    assert process.returncode == -signal.SIGKILL
    time.sleep(0.7)
    assert not alive.exists()


@pytest.mark.parametrize(
    ('said', 'begun', 'files', 'expected'),
    [
        ('', 2, ['t/c/0/1/0/0.1.partial'], 'START'),
        (TOLD, 2, [], 'COMPILATION'),
        (TOLD, 3, ['t/c/0/1/0/0'], 'COMPILATION'),  # the one before was killed behind its values
        (TOLD, 2, ['t/c/0/1/0/0'], 'WRITING'),
        (TOLD, 3, ['t/c/0/1/0/0.1.partial'], 'WRITING'),
        (TOLD, 2, ['t/c/0/1/0/0', 'q/c/0/1/0/0', 'clipped_share/c/0/1.1.partial'], 'WRITING'),
        (TOLD, 2, ['t/c/0/1/0/0', 'q/c/0/1/0/0', 'clipped_share/c/0/1'], 'COMPUTING'),
        (TOLD, 2, ['t/c/0/1/0/0', 'q/c/0/1/0/0', 'clipped_share/c/0/1', 't/c/0/2/0/0'], 'WRITING'),
    ],
)
def test_stages(tmp_path, said, begun, files, expected):
    for name in ('t/c/0/0/0/0', 'q/c/0/0/0/0', 'clipped_share/c/0/0', 'member/c/0', *files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kills.stage(tmp_path, 1, begun, said) == getattr(kills, expected)


def test_the_pace_is_that_of_the_units(tmp_path):
    (tmp_path / 'child.py').write_text(CHILD)
    path = tmp_path / 'out.zarr'
    pace, seconds = kills.undisturbed([sys.executable, str(tmp_path / 'child.py'), str(path)], path)
    assert pace.each >= 0.05  # what the child sleeps in a unit
    assert pace.first + (UNITS - 1) * pace.each == pytest.approx(seconds)


def test_differences(tmp_path):
    for folder, files in {'a': {'x': '1', 'c/y': '2', 'z': '3'}, 'b': {'x': '1', 'c/y': '4', 'c/w': '5'}}.items():
        for name, text in files.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
    assert kills.differences(tmp_path / 'a', tmp_path / 'b') == ['c/w', 'c/y', 'z']
    assert kills.differences(tmp_path / 'a', tmp_path / 'a') == []
