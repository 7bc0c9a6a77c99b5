"""Wrong arguments of experiments and benchmarks: UserError, of which the program makes one line and exit status 2."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from downscale_jax.runtime.errors import UserError

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path for path in (ROOT / 'experiments').rglob('*.py') if '__main__' in path.read_text())


@pytest.mark.parametrize(
    ('module', 'arguments', 'part'),
    [
        ('comparing_fields', ['--figure=nowhere/a.png'], "make the folder 'nowhere' first"),
        ('comparing_fields', ['--figure=a.docx'], "'a.docx' is invalid"),
        ('comparing_fields', ['--size=17'], '--size=17'),
        ('comparing_fields', ['--path=a.nc'], '--path needs --variable'),
        ('zero_shot', ['--seed=-1'], "--seed: '-1' is invalid"),
        ('zero_shot', [f'--seed={2**40}'], 'less than 2^32'),
        ('zero_shot', ['--months=0'], 'at least 1'),
        ('zero_shot', ['--members=few'], "--members: 'few' is invalid"),
        ('zero_shot', ['--workdir=nowhere'], 'nowhere'),
        ('seams', ['--workdir=nowhere'], 'nowhere is not a work directory'),
        ('seams', ['--tile=0'], 'at least 1'),
        ('rain', [], '--input'),
        ('rain', ['--input=nowhere.nc'], 'nowhere.nc'),
        ('observations', ['--drift=a.nc'], '--thickness is missing'),
        ('ablations', ['gama'], "'gama' is not a group"),
        ('sweep', ['--config=configs/no.py', '--grid=seed=0,1'], 'configs/no.py'),
        ('curriculum', ['--config=configs/no.py'], 'configs/no.py'),
        ('content_loss', ['--seeds=-1'], 'at least 0'),
        ('reconstruction', ['--years=1'], '--years=1'),
        ('benchmarks.pipeline', ['--config=configs/no.py'], 'configs/no.py'),
        ('benchmarks.kills', ['--workdir=a', '--kills=0'], 'at least 1'),
    ],
)
def test_wrong_arguments(monkeypatch, tmp_path, module, arguments, part):
    main = importlib.import_module(f'experiments.{module}').main
    monkeypatch.setattr(sys, 'argv', [module, *arguments])
    with pytest.raises(UserError) as error:
        main()
    assert part in str(error.value)


def test_radar_without_time(monkeypatch, tmp_path):
    from experiments import rain

    axes = {'lat': np.arange(3.0), 'lon': np.arange(4.0)}
    xr.Dataset({'pr': (('lat', 'lon'), np.ones((3, 4)), {'units': 'mm/h'})}, axes).to_netcdf(tmp_path / 'rain.nc')
    monkeypatch.setattr(sys, 'argv', ['rain', f'--input={tmp_path / "rain.nc"}'])
    with pytest.raises(UserError, match='time'):
        rain.main()


@pytest.mark.parametrize('path', PROGRAMS, ids=[str(path.relative_to(ROOT / 'experiments')) for path in PROGRAMS])
def test_every_program_has_the_shared_entry(path):
    last = ast.parse(path.read_text()).body[-1]
    assert ast.unparse(last.body) == 'run_program(main)'


def test_a_mistake_is_one_line_and_exit_status_2():
    command = [sys.executable, '-m', 'experiments.benchmarks.kills', '--workdir=a', '--kills=0']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, '')
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith('error: ')
