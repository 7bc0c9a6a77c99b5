from pathlib import Path

import pytest

from experiments.benchmarks.ensemble import measure

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize('system', ['diffusion_sit', 'diffusion_dpdm'])
def test_one_run(system):
    path = f'{ROOT}/configs/{system}.py:smoke'
    found = measure(path, 80, members=3, days=2)
    assert found['seconds'] > found['network'] > 0
    assert measure(path, 80, members=1, days=1, evaluations=1)['peak_mib'] > 100
