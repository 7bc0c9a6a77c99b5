"""Mistakes in the config of a run: one line each, before data are prepared or a network is trained."""

import pytest

from downscale_jax.runtime.errors import UserError
from tests.small_sea_ice import SETTINGS, command_of, config_of, nothing_left, write_files


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mistakes')
    write_files(folder)
    return folder


@pytest.fixture(scope='module')
def settings(folder):
    return {**SETTINGS, 'data.path': str(folder / 'fields.nc')}


@pytest.mark.parametrize(
    ('key', 'value', 'parts'),
    [
        ('training.validate_every', 7, ['training.validate_every=7', 'training.log_every=5']),
        ('data.path', 'nowhere.nc', ['nowhere.nc', 'no such file']),
        ('data.target', 'thickness', ['data.inputs', "lack data.target='thickness'"]),
        ('data.patch', 64, ['data.patch', '64', '48 x 48']),
        ('data.patch', 30, ['data.patch=30', 'multiple of 8', '24 or 32']),
        ('data.test', (('1999-01-01', '1999-02-01'),), ["split 'test'", 'is empty', '2020-01-01']),
        ('training.main.optimizer', 'adam', ['optimizer', "'adam'", "'adamw'"]),
        ('diffusion.prediction', 'noise', ["'noise'", 'eps, v, x0']),
        ('sampling.overlap', 300, ['overlap', '300']),
    ],
)
def test_mistakes_in_the_config(settings, tmp_path, key, value, parts):
    from data_prep.prepare import prepare
    from downscale_jax.run import train

    with pytest.raises(UserError) as error:
        train(config_of({**settings, key: value}), tmp_path / 'run', prepare)
    assert all(part in str(error.value) for part in parts), error.value
    assert '\n' not in str(error.value)
    nothing_left(tmp_path)


@pytest.mark.parametrize(
    ('key', 'value', 'devices', 'parts'),
    [
        ('training.batch_size', 12, 8, ['batch size 12', '8 devices', 'for example 16']),
        ('data.patch', 64, 1, ['data.patch', '64', '48 x 48']),  # found when TensorFlow has been imported
    ],
)
def test_a_mistake_in_the_config_is_one_line(error_line, settings, tmp_path, key, value, devices, parts):
    line = error_line(*command_of({**settings, key: value}), f'--workdir={tmp_path / "run"}', devices=devices)
    assert all(part in line for part in parts), line
    nothing_left(tmp_path)


def test_a_truncated_file(error_line, settings, folder, tmp_path):
    line = error_line(*command_of({**settings, 'data.path': folder / 'cut.nc'}), f'--workdir={tmp_path / "run"}')
    assert 'cut.nc' in line
    assert not list((tmp_path / 'data').glob('*'))
