"""Which runs a group is, and the table of their scores."""

import csv
import shlex

import pytest

from downscale_jax.runtime.files import write_json
from experiments import dpdm_ablations
from experiments.many_runs import resolve

CONFIG = 'configs/diffusion_dpdm.py'


@pytest.mark.parametrize('config', [CONFIG, f'{CONFIG}:paper'])
@pytest.mark.parametrize('group', dpdm_ablations.GROUPS)
def test_every_variant_is_a_config_unlike_the_base(group, config):
    runs = dpdm_ablations.group_runs(group, config, {'seed': 7})
    resolved = [resolve(config, run.overrides) for run in runs]
    assert runs[0].name == 'base'
    assert (len(runs) == 1) == (group == 'members')
    for number, values in enumerate(resolved):
        assert values['seed'] == 7
        assert values['rivals'] == []
        assert values['training.main.steps'] == (100_000 if ':' in config else 1000)
        assert values['evaluation.members'] == 100
        assert values not in resolved[:number]


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['dpdm_ablations.py', *map(str, arguments)])
        assert dpdm_ablations.main() == 0
        return capsys.readouterr().out

    return run


def test_without_arguments_all_groups_run_and_values_given_are_those_of_all(run, tmp_path):
    told = run('--dry-run', f'--root={tmp_path}', '--config.evaluation.members=10')
    lines = [shlex.split(line) for line in told.splitlines()]
    names = [next(word for word in line if word.startswith('--workdir=')).rpartition('/')[2] for line in lines]
    assert names == [
        'base', 'relief-without', 'base', 'points-standard', 'points-range',
        'base', 'patch-32', 'patch-64', 'patch-128', 'base',
    ]  # fmt: skip
    for line in lines:
        assert {'--config.training.main.steps=1000', '--config.evaluation.members=10'} <= {*line}
    assert '--config.training.batch_size=96' in lines[6]  # 16 x 80^2 cells in patches of 32
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_row_for_each_number_of_members(run, tmp_path):
    methods = ('bicubic', 'linear', 'regression', *(f'dpdm_{n}' for n in (1, 5, 33, 100)))
    for name, worse in (('base', 0.0), ('relief-without', 1.0)):
        (tmp_path / name).mkdir()
        scores = {m: {'rmse_t2m': worse + i / 8, 'bias_t2m': 0.5} for i, m in enumerate(methods)}
        write_json(tmp_path / name / 'scores.json', scores)
    told = run('relief', f'--root={tmp_path}')
    table = [line.strip('| ').split(' | ') for line in told.splitlines() if line.startswith('|')]
    assert table[0] == ['run', 'method', 'rmse_t2m']
    assert [row[:2] for row in table[2:]] == [[run, m] for run in ('base', 'relief-without') for m in methods[1:]]
    assert [row[2] for row in table if row[:2] == ['relief-without', 'dpdm_1']] == ['1.375']
    with open(tmp_path / 'relief.csv', newline='') as file:
        read = list(csv.DictReader(file))
    assert len(read) == 2 * len(methods)
    assert {row['bias_t2m'] for row in read} == {'0.5'}
