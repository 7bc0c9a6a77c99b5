from pathlib import Path

from experiments.benchmarks.ensemble import measure

CONFIGS = Path(__file__).parents[3] / 'configs'


def test_time_of_a_run_for_sea_ice():
    found = measure(f'{CONFIGS}/diffusion_sit.py:smoke', 80, members=3, days=2)
    assert found['seconds'] > found['network'] > 0


def test_memory_of_a_run_for_block_means():
    assert measure(f'{CONFIGS}/diffusion_dpdm.py:smoke', 80, members=1, days=1, evaluations=1)['peak_mib'] > 100
