"""Work directories of older versions: read, or refused in one line."""

import json

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.migration import ADDED, VERSION, migrate, versioned
from downscale_jax.systems.workdir import read_config

# as config.json of the first version held it: no version, zero for "not set"
FIRST = {
    'system': 'diffusion',
    'seed': 0,
    'data': {'bounds': [0.0, 5.0]},
    'sampling': {'steps': 10, 'temperature': 0.0, 'tile': 512},
    'evaluation': {'members': 16, 'days': 0, 'window': 32, 'ice': 0.15, 'regimes': [0.15, 1.0], 'fit_days': 6},
}


def test_the_first_version(tmp_path):
    renamed = {'members': 16, 'records': None, 'window': 32, 'calibration_records': 6}
    assert migrate(FIRST, tmp_path) == {
        'system': 'diffusion',
        'seed': 0,
        'data': {'bounds': [[0.0, 5.0]]},
        'sampling': {'steps': 10, 'temperature': None, 'tile': 512},
        'evaluation': {**ADDED[1]['diffusion'], **renamed, 'zones': [['ice', 0.15]], 'regimes': [[0.15, 1.0]]},
    }


@pytest.mark.parametrize(
    ('section', 'old', 'new'),
    [
        ('sampling', {'temperature': 0.8}, {'temperature': 0.8}),
        ('sampling', {'tile': 512}, {'tile': 512}),  # an SRGAN has no temperature
        ('evaluation', {'days': 6, 'fit_days': 0}, {'records': 6, 'calibration_records': 0}),
        ('evaluation', {'times': 0}, {'records': None}),
        ('evaluation', {'times': 96}, {'records': 96}),
        ('evaluation', {'pairs': 4000}, {'pairs': 4000}),
        ('data', {'variables': ['u', 'v'], 'bounds': [0.0, 9.0]}, {'variables': ['u', 'v'], 'bounds': [[0.0, 9.0]] * 2}),
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


@pytest.mark.parametrize(
    ('stored', 'parts'),
    [
        ({'seed': 0, 'data': {}}, ['older version', 'train anew']),
        ({'system': 'diffusion', 'version': VERSION + 1}, [f'version {VERSION + 1}', f'up to {VERSION}']),
    ],
)
def test_versions_that_cannot_be_read(tmp_path, stored, parts):
    (tmp_path / 'config.json').write_text(json.dumps(stored))
    with pytest.raises(UserError) as error:
        read_config(tmp_path)
    assert all(part in str(error.value) for part in (str(tmp_path), *parts)), error.value
    assert '\n' not in str(error.value)
