"""Work directories of older versions: read, or refused in one line."""

import json
import runpy
from pathlib import Path

import pytest

from data_prep.prepare import name_of
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.settings import flatten
from downscale_jax.systems import system_of
from downscale_jax.systems.storage.migration import MEASURES, VERSION, migrate, versioned
from downscale_jax.systems.workdir import read_config

ROOT = Path(__file__).parents[3]

# as config.json of the first version held it: no version, zero for "not set"
FIRST = {
    'system': 'diffusion',
    'seed': 0,
    'sampling': {'steps': 10, 'temperature': 0.0, 'tile': 512},
    'evaluation': {'members': 16, 'days': 0, 'window': 40, 'fit_days': 6},
}


def test_the_first_version(tmp_path):
    found = migrate({**FIRST, 'system': 'any'}, tmp_path)
    assert found == {
        'system': 'any',
        'seed': 0,
        'sampling': {'steps': 10, 'temperature': None, 'tile': 512},
        'evaluation': {'members': 16, 'records': None, 'window': 40, 'calibration_records': 6},
    }
    assert list(found['evaluation']) == ['members', 'records', 'window', 'calibration_records']


@pytest.mark.parametrize('name', ['atmodist', 'diffusion_dpdm', 'diffusion_sit', 'srgan'])
@pytest.mark.parametrize('variant', ['', 'smoke'])
def test_the_first_version_of_every_config(first_version, tmp_path, name, variant):
    """All settings of today, those of 0.1.0 with their values; what 0.1.0 could not be set to is as it worked then."""
    get_config = runpy.run_path(str(ROOT / 'configs' / f'{name}.py'))['get_config']
    config = json.loads(json.dumps(get_config(variant).to_dict()))
    stored = first_version(config)
    assert 'version' not in stored
    assert 'measures' not in stored['evaluation']
    found = json.loads(json.dumps(migrate(stored, tmp_path)))
    if name == 'diffusion_dpdm':
        config['model']['unet']['turns'] = 1000.0
    if name == 'srgan':
        config['evaluation']['window'] = 40
    if 'measures' in config['evaluation']:
        config['evaluation']['measures'] = list(MEASURES)  # those of then
    assert flatten(found) == flatten(config)
    system_of(found).check(found)
    assert name_of(found['data'], 0) == name_of(get_config(variant).to_dict()['data'], 0) == name_of(stored['data'], 0)


@pytest.mark.parametrize(
    ('data', 'new'),
    [
        ({'bounds': [0.0, 1.0]}, [[0.0, 1.0]]),
        ({'bounds': [0.0, 1.0], 'variables': ['u', 'v']}, [[0.0, 1.0], [0.0, 1.0]]),
        ({'bounds': [[0.0, 1.0]], 'variables': ['u', 'v']}, [[0.0, 1.0], [0.0, 1.0]]),
        ({'bounds': [[0.0, 1.0], [0.0, 2.0]], 'variables': ['u', 'v']}, [[0.0, 1.0], [0.0, 2.0]]),
    ],
)
def test_bounds_of_the_first_version(tmp_path, data, new):
    assert migrate({'system': 'any', 'data': data}, tmp_path)['data'] == {**data, 'bounds': new}


@pytest.mark.parametrize(
    ('section', 'old', 'new'),
    [
        ('sampling', {'temperature': 0.8}, {'temperature': 0.8}),
        ('sampling', {'tile': 512}, {'tile': 512}),  # an SRGAN has no temperature
        ('evaluation', {'days': 6, 'fit_days': 0}, {'records': 6, 'calibration_records': 0}),
        ('evaluation', {'times': 0}, {'records': None}),
        ('evaluation', {'times': 96}, {'records': 96}),
        ('evaluation', {'pairs': 4000}, {'pairs': 4000}),
    ],
)
def test_settings_of_the_first_version(tmp_path, section, old, new):
    assert migrate({'system': 'any', section: old}, tmp_path) == {'system': 'any', section: new}


def test_todays_version_stays_as_it_is(tmp_path):
    config = {'system': 'diffusion', 'sampling': {'temperature': 0.0}, 'evaluation': {'records': 2}}
    stored = versioned(config)
    assert stored['version'] == VERSION
    assert migrate(stored, tmp_path) == config
    (tmp_path / 'config.json').write_text(json.dumps(stored))
    assert read_config(tmp_path) == config


def test_glaciers_of_version_4_count_inside_the_outlines(tmp_path):
    stored = {'version': 4, 'system': 'glaciers', 'training': {}, 'evaluation': {'zone': 300.0}}
    assert migrate(stored, tmp_path)['evaluation'] == {'zone': 300.0, 'buffer': 0.0}


@pytest.mark.parametrize('system', ['diffusion', 'dpdm', 'pairs'])
def test_generators_of_version_5_have_one_regression(tmp_path, system):
    stored = {'version': 5, 'system': system, 'diffusion': {'prediction': 'v'}}
    found = migrate(stored, tmp_path)['diffusion']
    assert found == {'prediction': 'v', 'cross_fitting': 1, 'regression_steps_share': 1.0}


@pytest.mark.parametrize('system', ['diffusion', 'dpdm', 'pairs'])
def test_one_pass_generators_of_version_6_take_a_noise_field(tmp_path, system):
    stored = {'version': 6, 'system': system, 'one_pass': {'members': 4}}
    assert migrate(stored, tmp_path)['one_pass'] == {'members': 4, 'noise': 'field'}


def test_an_older_published_network_is_refused(tmp_path):
    stored = {'version': 2, 'system': 'dpdm', 'model': {'network': 'dpdm', 'unet': {}}, 'training': {}}
    with pytest.raises(UserError, match='dpdm: train again'):
        migrate(stored, tmp_path)


@pytest.mark.parametrize(
    ('stored', 'parts'),
    [
        ({'seed': 0, 'data': {}}, ['older version', 'train again']),
        ({'system': 'diffusion', 'version': VERSION + 1}, [f'version {VERSION + 1}', f'up to {VERSION}']),
    ],
)
def test_versions_that_cannot_be_read(tmp_path, stored, parts):
    (tmp_path / 'config.json').write_text(json.dumps(stored))
    with pytest.raises(UserError) as error:
        read_config(tmp_path)
    assert all(part in str(error.value) for part in (str(tmp_path), *parts)), error.value
    assert '\n' not in str(error.value)
