import runpy

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.runtime.files import write_json
from experiments import ablations
from experiments.many_runs import resolve

CONFIG = 'configs/diffusion_sit.py'


@pytest.mark.parametrize('config', [CONFIG, f'{CONFIG}:paper'])
@pytest.mark.parametrize('group', ablations.GROUPS)
def test_every_variant_is_a_config_unlike_the_base(group, config):
    runs = ablations.group_runs(group, config, {'training.main.steps': 7})
    resolved = [resolve(config, run.overrides) for run in runs]
    assert runs[0].name == 'base'
    assert len(runs) > 1
    for number, values in enumerate(resolved):
        assert values['training.main.steps'] == 7
        assert values not in resolved[:number]
    assert len({run.name for run in runs}) == len(runs)


def test_each_input_but_the_target_is_left_out():
    runs = ablations.group_runs('inputs', CONFIG, {})
    assert [run.name for run in runs] == ['base', *(f'inputs-without_{n}' for n in ('sic', 'divergence', 'shear'))]
    assert runs[1].overrides == {
        'data.inputs': ('sit', 'divergence', 'shear'),
        'data.kernel_km': (120.0, 120.0, 120.0),
        'data.spacing_km': (25.0, 60.0, 60.0),
    }


def test_large_scales_of_the_truth_and_of_the_truth_and_a_constant(tmp_path):
    config = runpy.run_path(CONFIG)['get_config']('smoke').to_dict()
    config['data'] |= {'simulate': {'size': 48, 'states': 40}, 'spacing_km': (0.0,) * 4}
    prepared = prepare(config['data'], seed=0, root=tmp_path / 'data')
    split = prepared.split('test')
    truth = np.stack([split[i]['fine'] for i in (1, 3)])
    workdir = tmp_path / 'run'
    (workdir / 'ensembles').mkdir(parents=True)
    write_json(workdir / 'prepared.json', prepared.meta)
    for method, members in {'regression': truth[None] + 0.25, 'diffusion': np.stack([truth - 0.5, truth])}.items():
        dims, coords = ('member', 'time', 'y', 'x'), {'time': split.times[[1, 3]]}
        data = xr.Dataset({'sit': (dims, members)}, coords)
        data.to_zarr(workdir / 'ensembles' / f'{method}.zarr', consolidated=False)
    found = ablations.large_scales(workdir)
    # the filtered truth is the coarse input itself where no observation's grid is between
    expected = {'truth': (0, 0), 'regression': (0.25, 0.25), 'diffusion': (-0.25, np.sqrt(0.125))}
    for method, values in expected.items():
        np.testing.assert_allclose(list(found[method].values()), values, atol=1e-5)
