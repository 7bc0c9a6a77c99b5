import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from downscale_jax.runtime.errors import UserError
from experiments import sweep
from experiments.many_runs import resolve

CONFIG = """
from ml_collections import ConfigDict

def get_config(variant=''):
    few = {'rate': 0.1, 'steps': 5}
    model = {'widths': (4, 4), 'kind': 'a', 'pool': False}
    return ConfigDict({'system': 'toy', 'seed': 0, 'model': model, 'main': {**few, 'warmup': 1}, 'few': few})
"""
# keeps its config as main.py does; rate + seed is its score; logs each start
MAIN = """
import ast, json, os, sys, time
from pathlib import Path
given = dict(a.removeprefix('--').split('=', 1) for a in sys.argv[1:])
workdir = Path(given['workdir'])
few = {'rate': 0.1, 'steps': 5}
model = {'widths': [4, 4], 'kind': 'a', 'pool': False}
config = {'system': 'toy', 'seed': 0, 'model': model, 'main': {**few, 'warmup': 1}, 'few': few}
for key, value in given.items():
    section, _, name = key.removeprefix('config.').rpartition('.')
    if key.startswith('config.'):
        place = config[section] if section else config
        place[name] = value if isinstance(place[name], str) else type(place[name])(ast.literal_eval(value))
workdir.mkdir(parents=True, exist_ok=True)
(workdir / 'config.json').write_text(json.dumps({'version': 2, **config}))
with (workdir.parent / 'started').open('a') as file:
    file.write(workdir.name + ' ')
if config['model']['kind'] == 'broken':
    print('some lines')
    print('error: it broke', file=sys.stderr)
    sys.exit(2)
if config['model']['kind'] == 'slow':
    (workdir / 'pid').write_text(f'{os.getpid()}')
    time.sleep(600)
scores = {'coarse': {'mae': 1.0}, 'net': {'mae': config['main']['rate'] + config['seed'], 'crps': 0.5}}
(workdir / 'scores.json').write_text(json.dumps(scores))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'some.py'
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def run(tmp_path, config):
    """The sweep of a fake main.py with these arguments -> exit status."""
    script = tmp_path / 'main.py'
    script.write_text(MAIN)
    return lambda *given: sweep.main([f'--config={config}', f'--root={tmp_path / "root"}', *given], script)


def started(root):
    return (root / 'started').read_text().split()


def test_a_grid_becomes_one_table(tmp_path, run, capsys):
    assert run('--grid', 'main.rate=0.1,0.2', '--grid', 'seed=0,1') == 0
    with (tmp_path / 'root' / 'sweep.csv').open(newline='') as file:
        table = list(csv.reader(file))
    assert table == [
        ['main.rate', 'seed', 'run', 'coarse/mae', 'net/mae', 'net/crps'],
        ['0.1', '0', 'base', '1.0', '0.1', '0.5'],
        ['0.1', '1', 'seed=1', '1.0', '1.1', '0.5'],
        ['0.2', '0', 'main.rate=0.2', '1.0', '0.2', '0.5'],
        ['0.2', '1', 'main.rate=0.2,seed=1', '1.0', '1.2', '0.5'],
    ]
    text = (tmp_path / 'root' / 'sweep.md').read_text()
    assert text.splitlines()[3] == '| 0.1 | 1 | seed=1 | 1 | 1.1 | 0.5 |'
    assert text.endswith('\n\n4 of 4 runs have scores.\n')
    assert capsys.readouterr().out.endswith(text)


def test_a_grown_grid_keeps_what_is_done(tmp_path, run):
    assert run('--grid', 'main.rate=0.1,2e-1') == 0
    assert run('--grid', 'seed=0,1', '--grid', 'main.rate=0.3,0.2,0.1') == 0  # by a value and by a key
    first, grown = ['base', 'main.rate=0.2'], ['main.rate=0.3', 'main.rate=0.3,seed=1', 'main.rate=0.2,seed=1']
    assert sorted(started(tmp_path / 'root')) == sorted([*first, *grown, 'seed=1'])


def test_scores_of_another_config_are_not_taken(tmp_path, run):
    assert run('--grid', 'seed=0') == 0
    with pytest.raises(UserError, match=r'few\.steps is 5 there, 6 here'):
        run('--grid', 'seed=0,1', '--config.few.steps=6')
    assert started(tmp_path / 'root') == ['base']


def test_a_failed_run_is_told_and_tried_again(tmp_path, run, capsys, monkeypatch):
    monkeypatch.delenv('PYTHONUNBUFFERED', raising=False)
    grid = ('--grid', 'model.kind=a,broken,b', '--method=net', '--score=mae')
    assert run(*grid) == 1
    told = capsys.readouterr()
    assert told.err == 'kind=broken (2 of 3): FAILED with status 2: error: it broke\n'
    table = '| model.kind | run | mae |\n|---|---|---|\n| a | base | 0.1 |\n| b | kind=b | 0.1 |\n'
    assert told.out.endswith(f'{table}\n2 of 3 runs have scores.\n')
    assert (tmp_path / 'root' / 'kind=broken.log').read_text() == 'some lines\nerror: it broke\n'
    assert run(*grid) == 1
    assert started(tmp_path / 'root') == ['base', 'kind=broken', 'kind=b', 'kind=broken']


def test_without_any_scores_there_is_no_table(tmp_path, run, capsys):
    assert run('--grid', 'model.kind=broken', '--method=net') == 1
    assert capsys.readouterr().out.endswith('\n0 of 1 runs have scores.\n')
    assert not (tmp_path / 'root' / 'sweep.md').exists()


def test_interrupted_it_stops_the_child_and_keeps_what_is_done(tmp_path, config, run):
    root = tmp_path / 'root'
    assert run('--grid', 'model.kind=b') == 0
    # tests that run in the background of a shell inherit that interrupts are ignored
    handler = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler)'
    program = 'sys.exit(sweep.main(sys.argv[2:], pathlib.Path(sys.argv[1])))'
    code = f'{handler}; import pathlib, sys; from experiments import sweep; {program}'
    given = [f'--config={config}', f'--root={root}', '--grid', 'model.kind=a,slow,b']
    with subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path / 'main.py'), *given],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            pid = root / 'kind=slow' / 'pid'
            while not (pid.exists() and pid.read_text()):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=300)  # half of what the child would sleep
        finally:
            process.kill()
    assert process.returncode == 130
    assert err == 'stopped: run the same command to resume\n'
    assert '| b | kind=b | 1 | 0.1 | 0.5 |\n\n2 of 3 runs have scores.' in out
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert started(root) == ['kind=b', 'base', 'kind=slow']


def test_values_with_commas(config):
    grid = sweep.points(['model.widths=(8,8),(16, 16), [2,(3,)]', "model.kind='a,b',c"], [])
    assert [point['model.widths'] for point in grid[::2]] == [(8, 8), (16, 16), [2, (3,)]]
    assert [point['model.kind'] for point in grid[:2]] == ['a,b', 'c']
    runs = sweep.sweep_runs(config, {'seed': 3}, grid)
    assert resolve(config, runs[0].overrides)['model.widths'] == [8, 8]
    assert all(run.overrides['seed'] == 3 for run in runs)
    assert all(re.fullmatch(r'kind=(a_b|c),widths=[0-9_]+-[0-9a-f]{8}', run.name) for run in runs)
    assert len({run.name for run in runs}) == 6


def test_zipped_keys_vary_together():
    zipped = sweep.points(['seed=0,1'], ['few.steps=1,2', 'main.steps=3,4'])
    assert [tuple(point.values()) for point in zipped] == [(0, 1, 3), (0, 2, 4), (1, 1, 3), (1, 2, 4)]
    with pytest.raises(UserError, match=r'--zip needs the same number of values for each key: a has 2, b has 1$'):
        sweep.points([], ['a=1,2', 'b=3'])


def test_names_are_short_safe_and_differ():
    keys = ['seed', 'data.seed', 'main.rate', 'few.rate', 'main.warmup', 'data.path']

    def name(changed):
        return sweep.run_name(changed, keys)

    assert name({}) == 'base'
    assert name({'main.warmup': 7, 'few.rate': 1e-05}) == 'few.rate=1e-05,warmup=7'
    assert name({'seed': 1, 'data.seed': -2}) == 'data.seed=-2,seed=1'
    hostile = [
        '../../etc/passwd',
        '..',
        'a b',
        'a_b',
        'a/b',
        'ä',
        '',
        'x' * 300,
        'x' * 301,
        'a,seed=1',
        [1, 23],
        [12, 3],
    ]
    names = [name({'data.path': value}) for value in hostile]
    assert len(set(names)) == len(hostile)
    assert all(re.fullmatch(r'path=[A-Za-z0-9._,=-]{0,64}', each) for each in names)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (['--grid', 'main.rates=1'], "no key 'main.rates': did you mean 'main.rate'"),
        (['--grid', 'main.steps=5,many'], "^main.steps='many': a value of type int was expected, such as 5$"),
        (['--grid', 'main.steps=True'], 'main.steps=True: a value of type int'),
        (['--grid', 'model.pool=1'], 'model.pool=1: a value of type bool was expected, such as False'),
        (['--grid', 'model.widths=8,16'], r'model.widths=8: a value of type tuple was expected, such as \(4, 4\)'),
        (['--grid', 'model.widths=(8,16'], r'model\.widths=\(8,16: a bracket or a quote is open'),
        (['--grid', 'seed=1', '--config.main.rate=fast'], "main.rate='fast': a value of type float"),
        ([], '^the grid is empty: give --grid KEY=VALUE,VALUE$'),
        (['--grid', 'seed='], "^'seed=': KEY=VALUE,VALUE was expected"),
        (['--grid', 'seed'], "^'seed': KEY=VALUE,VALUE was expected"),
        (['--grid', 'seed=1,,2'], "^'seed=1,,2': KEY=VALUE,VALUE was expected"),
        (['--grid', 'seed=0', '--grid', 'seed=1'], '^seed is given twice: name all'),
        (['--grid', 'seed=0', '--zip', 'seed=1'], '^seed is given twice: name all'),
        (['--grid', 'seed=0,1', '--config.seed=1'], '^seed is given twice: it varies, so leave out --config.seed$'),
        (['--grid', 'main.rate=1,1.0'], r'two runs of the grid have the same config, main\.rate=1\.0: name each'),
        (
            ['--grid', 'seed=1', '--config=configs/diffusion_sits.py'],
            "no file .*did you mean 'configs/diffusion_sit.py'",
        ),
        (['--grid', 'seed=1', '--sed=1'], '^--sed=1 is not an argument'),
        (['--config=configs/atmodist.py:smoke', '--grid', 'sed=1'], "^configs/.*:smoke has no key 'sed': did you mean"),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path, run, given, message):
    with pytest.raises(UserError, match=message):
        run(*given)
    assert not (tmp_path / 'root').exists()


def test_a_method_and_a_score_that_no_run_has(run):
    for given, message in (('--method=nets', "no run has 'nets': did you mean 'net'"), ('--score=mae,crs', "'crps'")):
        with pytest.raises(UserError, match=message):
            run('--grid', 'seed=0', given)


def test_the_commands_are_shown_and_not_run(tmp_path, run, capsys):
    assert run('--grid', 'model.widths=(8,8)', '--dry-run') == 0
    assert re.search(r"root/widths=8_8-[0-9a-f]{8} '--config.model.widths=\(8, 8\)'\n$", capsys.readouterr().out)
    assert not (tmp_path / 'root').exists()


def test_what_main_makes_of_a_value_is_what_is_compared(config):
    """So that a work directory made with a value as it was typed is known again."""
    typed = {'main.rate': 1, 'model.kind': 5, 'model.pool': 'true', 'model.widths': [1]}
    found = resolve(config, typed)
    assert [found[key] for key in typed] == [1.0, '5', True, [1]]
    assert json.dumps(found['main.rate']) == '1.0'
