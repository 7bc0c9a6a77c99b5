"""The command line for autoencoders of clouds and of particles, and what their work directories provide."""

import json

import numpy as np
import pytest
import xarray as xr

from downscale_jax import load
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.cloud_vae import CloudLatents
from downscale_jax.systems.crystal_vae import CrystalLatents

CRYSTALS = '--config=configs/crystal_vae.py:smoke'


@pytest.fixture(scope='module')
def clouds(run, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('clouds') / 'run'
    done = run('--config=configs/cloud_vae.py:smoke', f'--workdir={workdir}')
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture(scope='module')
def fields(clouds):
    """Two test images of one member as a data set."""
    (folder,) = (clouds.parent / 'data').iterdir()
    test = Prepared(folder).split('test')
    images = np.stack([test[k]['image'] for k in range(2)])
    names, units = ('ice_mass', 'ice_number', 'ice_density'), ('mg kg-1', 'g-1', 'kg m-3')
    return xr.Dataset(
        {
            n: (('time', 'z', 'x'), images[..., k], {'units': u})
            for k, (n, u) in enumerate(zip(names, units, strict=True))
        }
    )


def test_scores_of_a_latent_metric(clouds):
    table = json.loads((clouds / 'scores.json').read_text())
    assert list(table) == ['vae_2', 'pca_2', 'pixels', 'profiles', 'lags', 'untrained']
    assert set(table['vae_2']) == {
        'explained',
        'active',
        'parameter_rank',
        'mean_rank',
        'roughness',
        'separation',
        'p_value',
    }
    assert set(table['pixels']) == {'parameter_rank', 'mean_rank', 'roughness', 'separation', 'p_value'}
    assert 0 < table['pca_2']['explained'] < 1
    figures = {path.stem for path in (clouds / 'figures').glob('*.png')}
    assert figures == {'reconstructions', 'trajectories', 'distances', 'training'}


def test_the_distance_is_that_of_codes(clouds, fields):
    model = load(clouds, CloudLatents)
    codes = model.embed(fields)
    assert codes.dims == ('time', 'latent')
    assert codes.shape == (2, 2)
    np.testing.assert_array_equal(model.distance(fields, fields), 0)
    other = fields.isel(time=[1, 0])
    expected = np.square(codes.values - codes.values[::-1]).mean(1)
    np.testing.assert_allclose(model.distance(fields, other), expected, rtol=1e-4)
    grams = fields.assign(ice_mass=(fields['ice_mass'] / 1000).assign_attrs(units='g kg-1'))
    np.testing.assert_allclose(model.embed(grams), codes, rtol=1e-3, atol=1e-5)
    for given, message in (
        (fields.drop_vars('ice_mass'), "the fields lack 'ice_mass'"),
        (fields.isel(x=slice(60)), r'have \(64, 60\) cells, but \(64, 64\)'),
        (fields.assign(ice_mass=fields['ice_mass'].where(fields['ice_mass'] > 1)), 'have no value in'),
    ):
        with pytest.raises(UserError, match=message):
            model.embed(given)
    with pytest.raises(UserError, match='as many times in both data sets, found 2 and 1'):
        model.distance(fields, fields.isel(time=[0]))


def test_a_latent_space_of_photographs(run, error_line, tmp_path, shared_data):
    crops = shared_data / 'ice_crystals' / 'cpi_crops128.npz'
    workdir = tmp_path / 'run'
    settings = [f'--config.data.path={crops}', "--config.evaluation.splits=('train', 'validation', 'test')"]
    done = run(CRYSTALS, f'--workdir={workdir}', *settings)
    assert done.returncode == 0, done.stderr
    table = json.loads((workdir / 'scores.json').read_text())
    assert list(table) == ['vae_2', 'pca_2', 'pixels']
    assert 8 / 70 < table['pixels']['purity'] < 1
    assert (workdir / 'figures' / 'manifold.png').exists()
    assert load(workdir, CrystalLatents).embed(crops).shape == (70, 2)
    with np.load(crops) as archive:
        of_one = archive['labels'] == 'sphere'
        np.savez(tmp_path / 'spheres.npz', images=archive['images'][of_one], labels=archive['labels'][of_one])
    line = error_line(CRYSTALS, f'--workdir={tmp_path / "b"}', f'--config.data.path={tmp_path / "spheres.npz"}')
    assert "all images are labelled 'sphere': two classes and more are needed" in line
