import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from downscale_jax.runtime.errors import UserError
from experiments.many_runs import Run, command, markdown, parse_overrides, resolve, rows, run_all, show, write_csv

CONFIG = """
from ml_collections import ConfigDict

def get_config(variant=''):
    if variant not in ('', 'small'):
        raise ValueError(f"no variant '{variant}'")
    return ConfigDict({'system': 'toy', 'size': 1 if variant else 8, 'model': {'widths': (1, 2), 'kind': 'a'}})
"""
MAIN = """
import json, sys, time
from pathlib import Path
given = dict(a.removeprefix('--').split('=', 1) for a in sys.argv[1:])
workdir = Path(given['workdir'])
if given.get('config.model.kind') == 'broken':
    print('some lines'); print('error: it broke', file=sys.stderr); sys.exit(2)
workdir.mkdir(parents=True)
config = {'system': 'toy', 'size': 8, 'model': {'widths': [1, 2], 'kind': given.get('config.model.kind', 'a')}}
(workdir / 'config.json').write_text(json.dumps({'version': 2, **config}))
score = {'crps': len(config['model']['kind']) / 3}
(workdir / 'scores.json').write_text(json.dumps({'coarse': {'mae': 1.0}, 'diffusion': score}))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'some.py'
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def main(tmp_path):
    path = tmp_path / 'main.py'
    path.write_text(MAIN)
    return path


def test_all_run_and_a_failure_stops_none(tmp_path, config, main, capsys):
    runs = [Run('base'), Run('bad', {'model.kind': 'broken'}), Run('other', {'model.kind': 'bbb'})]
    scores = run_all(runs, config, tmp_path / 'root', main)
    assert {name: table['diffusion']['crps'] for name, table in scores.items()} == {'base': 1 / 3, 'other': 1.0}
    told = capsys.readouterr()
    assert 'bad (2 of 3): FAILED with status 2: error: it broke' in told.err
    assert (tmp_path / 'root' / 'bad.log').read_text().startswith('some lines')


def test_what_is_finished_is_not_run_again(tmp_path, config, main, capsys):
    run_all([Run('base')], config, tmp_path, main)
    before = (tmp_path / 'base' / 'scores.json').stat().st_mtime_ns
    assert run_all([Run('base')], config, tmp_path, main)['base']['coarse'] == {'mae': 1.0}
    assert (tmp_path / 'base' / 'scores.json').stat().st_mtime_ns == before
    assert 'already finished' in capsys.readouterr().out


def test_scores_of_another_config_are_not_taken(tmp_path, config, main):
    run_all([Run('base')], config, tmp_path, main)
    with pytest.raises(UserError, match="kind is 'a' there, 'b' here"):
        run_all([Run('new'), Run('base', {'model.kind': 'b'})], config, tmp_path, main)
    assert not (tmp_path / 'new').exists()
    with pytest.raises(UserError, match='size is 8 there, 1 here'):
        run_all([Run('base')], f'{config}:small', tmp_path, main)


def test_mistakes_are_told_before_anything_runs(tmp_path, config, main):
    for runs, path, message in (
        ([Run('a', {'model.kinds': 1})], config, "no key 'model.kinds': did you mean 'model.kind'"),
        ([Run('a')], f'{config}:tiny', "no variant 'tiny'"),
        ([Run('a')], 'configs/none.py', 'there is no file configs/none.py'),
    ):
        with pytest.raises(UserError, match=message):
            run_all(runs, path, tmp_path / 'root', main)
    assert not (tmp_path / 'root').exists()


def test_overrides_are_as_the_work_directory_keeps_them(config):
    assert resolve(config, {'model.widths': (3,)}) == {
        'system': 'toy',
        'size': 8,
        'model.widths': [3],
        'model.kind': 'a',
    }


def test_overrides_reach_the_real_command_line(tmp_path):
    """Tuples, strings and booleans pass main.py's own parser: it complains of the last, wrong one alone."""
    overrides = {
        'data.inputs': ('sit', 'sic'),
        'data.kernel_km': (120.0, 24.0),
        'data.spacing_km': (25.0, 12.0),
        'data.anomaly': False,
        'diffusion.signal_rates': (0.95, 0.02),
        'model.dtype': 'float16',
    }
    run = Run('a', overrides)
    assert "'--config.diffusion.signal_rates=(0.95, 0.02)'" in show([run], 'configs/diffusion_sit.py', tmp_path)
    root = Path(__file__).parents[2]
    line = command(run, 'configs/diffusion_sit.py:smoke', tmp_path)
    done = subprocess.run(line, cwd=root, capture_output=True, text=True)
    assert line[0] == sys.executable
    assert done.returncode == 2
    assert done.stderr.startswith("error: model.dtype='float16'")


def test_tables(tmp_path):
    scores = {'a': {'coarse': {'mae': 2.0}, 'diffusion': {'mae': 1.23456, 'crps': 0.5}}, 'b': {'coarse': {'mae': None}}}
    table = rows(scores)
    assert [(row['run'], row['method']) for row in table] == [('a', 'coarse'), ('a', 'diffusion'), ('b', 'coarse')]
    assert rows(scores, ['diffusion']) == [table[1]]
    write_csv(tmp_path / 'a.csv', table)
    with open(tmp_path / 'a.csv', newline='') as file:
        read = list(csv.DictReader(file))
    assert read[0] == {'run': 'a', 'method': 'coarse', 'mae': '2.0', 'crps': ''}
    assert markdown(table, ['run', 'crps', 'mae', 'unknown']).splitlines() == [
        '| run | crps | mae |',
        '|---|---|---|',
        '| a |  | 2 |',
        '| a | 0.5 | 1.235 |',
        '| b |  |  |',
    ]
    assert json.loads(json.dumps(table)) == table


def test_values_are_given_as_to_main():
    given = [
        '--config.training.main.steps=60',
        '--config.diffusion.prediction=eps',
        '--config.data.spacing_km=(0., 1.)',
    ]
    assert parse_overrides(given) == {
        'training.main.steps': 60,
        'diffusion.prediction': 'eps',
        'data.spacing_km': (0.0, 1.0),
    }
    for wrong in ('--steps=60', '--config.training.main.steps', 'config.seed=1'):
        with pytest.raises(UserError, match=f'^{wrong} is not an argument'):
            parse_overrides([wrong])
