"""Pairs of coarse and fine files from the command line and from Python: train, evaluate, downscale."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data_prep.simulators.coarse_model import simulate
from downscale_jax.downscale.pair_inputs import as_in_training
from downscale_jax.run import Downscaling, downscale
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler

MONTHS = 48


@pytest.fixture(scope='module')
def pair():
    return simulate(0, 24, 32, MONTHS)


@pytest.fixture(scope='module')
def settings(tmp_path_factory, pair):
    """Flags of main.py for two files on disk."""
    folder = tmp_path_factory.mktemp('pairs')
    for name, fields in zip(('coarse', 'fine'), pair, strict=True):
        fields.to_netcdf(folder / f'{name}.nc')
    files = [f'--config.data.{name}={folder / name}.nc' for name in ('coarse', 'fine')]
    few = "--config.evaluation.measures=('examples', 'pointwise', 'change')"
    parts = '--config.diffusion.cross_fitting=2'
    return ['--config=configs/pairs.py:smoke', f'--workdir={folder / "run"}', *files, few, parts]


@pytest.fixture(scope='module')
def workdir(run, settings):
    """A trained and scored work directory, from two files."""
    done = run(*settings)
    assert done.returncode == 0, done.stderr
    assert 'data.predictors' in done.stdout
    return Path(settings[1].removeprefix('--workdir='))


def test_scores_and_choices(workdir):
    scores, config = (json.loads((workdir / name).read_text()) for name in ('scores.json', 'config.json'))
    assert list(scores) == ['interpolation', 'quantile_mapping', 'linear_regression', 'regression', 'diffusion']
    assert all(np.isfinite([row['crps_t2m'], row['crps_tp']]).all() for row in scores.values())
    assert scores['linear_regression']['mae_t2m'] < scores['interpolation']['mae_t2m']
    assert config['data']['predictors'] == ['t2m', 'tp', 'u10', 'v10', 'sp']
    assert config['data']['train'] == [['1981', '1982']]
    assert (workdir / 'report.html').exists()
    parameters = json.loads((workdir / 'describe.json').read_text())['parameters']
    assert parameters['regression'] == 2 * 35_232  # one network per part


@pytest.fixture(scope='module')
def model(workdir):
    return load(workdir, kind=Downscaler)


def test_another_period_with_gaps_in_the_predictors(pair, model):
    coarse = pair.coarse.isel(time=slice(40, 43)).copy(deep=True)
    coarse['sp'][1] = np.nan  # one month without a predictor
    fields = model.downscale(coarse, members=2)
    assert dict(fields.sizes) | {'unit': 0} == {'member': 2, 'time': 3, 'lat': 24, 'lon': 32, 'unit': 0}
    missing = fields['t2m'].isnull().mean(('member', 'lat', 'lon')).values
    np.testing.assert_array_equal(missing, [0, 1, 0])
    assert fields['tp'].min() >= 0
    assert fields['t2m'].units == 'K'


def test_levels_units_and_grid_of_the_input_may_differ(pair, model):
    coarse = pair.coarse.isel(time=[40])
    expected = model.downscale(coarse, members=1)
    turned = coarse.isel(lat=slice(None, None, -1)).assign_coords(lon=coarse['lon'] + 360)
    turned['t2m'] = (turned['t2m'] - 273.15).assign_attrs(units='degC')
    turned = turned.assign(sp=(turned['sp'] / 100).assign_attrs(units='hPa'))
    fields = model.downscale(turned, members=1)
    np.testing.assert_allclose(fields['t2m'], expected['t2m'], atol=2e-2)
    np.testing.assert_allclose(fields['tp'], expected['tp'], atol=2e-2)


def test_a_member_of_an_ensemble_and_units_that_are_assumed(pair, model):
    """As the coarse file of training was read."""
    coarse = pair.coarse.isel(time=[40])
    expected = model.downscale(coarse, members=1)
    two = xr.concat([coarse + 1, coarse], 'number')
    for name in coarse.data_vars:
        two[name].attrs = coarse[name].attrs
    del two['t2m'].attrs['units']
    data = {**model.config['data'], 'member': 1, 'assume_units': True}
    found = as_in_training(two, data, 'file')
    np.testing.assert_array_equal(found['t2m'], coarse['t2m'])
    assert found['t2m'].units == 'K'
    found = model.downscale(two.isel(number=[1]).assign(t2m=found['t2m']), members=1)
    np.testing.assert_array_equal(found['t2m'], expected['t2m'])


def test_another_model_is_corrected_on_the_grid_of_training(pair, model):
    other = pair.coarse.assign(t2m=(pair.coarse['t2m'] + 5).assign_attrs(units='K'))
    few = other.isel(time=slice(24, 36))
    as_it_is, corrected, expected = (
        model.downscale(fields, members=1, overlap=overlap)['t2m'].mean()
        for fields, overlap in ((few, ()), (other, ('1981', '1982')), (pair.coarse, ()))
    )
    assert abs(float(corrected - expected)) < 0.5
    assert float(as_it_is - expected) > 2


def test_a_file_from_elsewhere_is_refused(workdir, pair, tmp_path):
    elsewhere = pair.coarse.isel(time=[0]).assign_coords(lat=pair.coarse['lat'] - 80)
    elsewhere.to_netcdf(tmp_path / 'elsewhere.nc')
    with pytest.raises(UserError, match='overlap'):
        downscale(workdir, {}, Downscaling(str(tmp_path / 'elsewhere.nc'), str(tmp_path / 'fine.zarr')))
    assert not (tmp_path / 'fine.zarr').exists()


def test_a_file_without_a_predictor_is_refused(error_line, settings, workdir, pair, tmp_path):
    pair.coarse.isel(time=[0]).drop_vars('sp').to_netcdf(tmp_path / 'short.nc')
    arguments = ['--mode=downscale', f'--input={tmp_path / "short.nc"}', f'--output={tmp_path / "fine.zarr"}']
    assert "'sp'" in error_line(*settings, *arguments)


def test_the_same_bytes_from_python_and_on_two_devices(run, settings, model, pair, tmp_path):
    coarse = pair.coarse.isel(time=slice(40, 43))
    coarse.to_netcdf(tmp_path / 'input.nc')
    arguments = ['--mode=downscale', f'--input={tmp_path / "input.nc"}', '--members=3']
    done = run(*settings, *arguments, f'--output={tmp_path / "fine.zarr"}', devices=2)
    assert done.returncode == 0, done.stderr
    one, two = model.downscale(coarse, members=3), xr.open_zarr(tmp_path / 'fine.zarr', consolidated=False)
    for name in ('t2m', 'tp'):
        assert one[name].values.tobytes() == two[name].values.tobytes()
