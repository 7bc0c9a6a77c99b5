import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'experiments' / 'benchmarks'


@pytest.mark.parametrize('system', ['diffusion_sit', 'diffusion_dpdm'])
def test_one_run(system, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    measure = runpy.run_path(str(FOLDER / 'ensemble.py'))['measure']
    path = f'{ROOT}/configs/{system}.py:smoke'
    found = measure(path, 80, members=3, days=2)
    assert found['seconds'] > found['network'] > 0
    assert measure(path, 80, members=1, days=1, evaluations=1)['peak_mib'] > 100
