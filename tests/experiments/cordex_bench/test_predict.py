"""The config of CORDEX ML-Bench on a made-up tree, and predictions in the official form by an untrained model."""

import json
import shutil
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from data_prep.choices import choose
from data_prep.prepare import prepare
from downscale_jax.downscale import pair_inputs
from downscale_jax.downscale.output import filling
from downscale_jax.fields.datasets import store
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import load
from downscale_jax.systems.calibrated import Calibrated
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.storage.claim import claim
from downscale_jax.systems.workdir import zeros
from experiments.configs import read_config
from experiments.cordex_bench.__main__ import main
from experiments.cordex_bench.check import Expected, faults
from experiments.cordex_bench.layout import DOMAINS, Case
from experiments.cordex_bench.predict import check_units, open_entry, predict_case

CASES = {c: Case(DOMAINS['ALPS'], 'historical', c, 'CNRM-CM5') for c in ('perfect', 'imperfect')}
SPLITS = {
    'train': (('1961-01-01', '1961-01-28'),),
    'validation': (('1961-01-29', '1961-02-02'),),
    'test': (('1961-02-03', '1961-02-09'),),
}


def config_of(domain, root, **changes):
    """A config as main.py would make it on the tree, with the few days that it has."""
    config = read_config(f'configs/cordex_bench.py:{domain}-smoke')
    assert config['data']['train'] == (('1961', '1976'), ('2080', '2095'))
    data = {
        key: value.replace('Bench-data', str(root), 1) if isinstance(value, str) else value
        for key, value in config['data'].items()
    }
    config['data'] = {**data, **SPLITS, **changes}
    config['sampling'] |= {'temperature': 1.0, 'steps': 1, 'members': 10}
    return choose(config)


@pytest.fixture(scope='module')
def root(tmp_path_factory, made_up_tree):
    root = tmp_path_factory.mktemp('bench')
    made_up_tree(root, 'ALPS')
    return root


@pytest.fixture(scope='module')
def workdir(root):
    """A work directory without checkpoints."""
    config = config_of('ALPS', root)
    prepared = prepare(config['data'], 0, root / 'prepared')
    claim(config, root / 'run', prepared)
    return root / 'run'


def drawn(rng, leaf):
    """Small random parameters; of the scalars, counts are 0 and the scale of the first guess is 1."""
    if leaf.shape:
        return (0.02 * rng.normal(size=leaf.shape)).astype(leaf.dtype)
    return np.array(np.issubdtype(leaf.dtype, np.floating), leaf.dtype)


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    def restored(self, name):
        init, rng = self.system.initialise(name, self.tasks), np.random.default_rng(0)
        shapes = jax.eval_shape(init, jax.random.key(0), zeros(self.system.shapes(self.config), 1))
        return jax.tree.map(partial(drawn, rng), shapes)

    monkeypatch.setattr(Calibrated, 'restored', restored)
    monkeypatch.setattr('downscale_jax.systems.workdir.best_step', lambda directory: 0)


def test_variants_of_the_config():
    data = read_config('configs/cordex_bench.py:NZ')['data']
    assert data['coarse'] == 'Bench-data/NZ/NZ_domain/train/ESD*/predictors/ACCESS-CM2_*.nc'
    assert data['patch'] == 128
    with pytest.raises(ValueError, match=':ALPS, :NZ, :SA'):
        read_config('configs/cordex_bench.py:EUR')


def test_predictors_read_in_blocks_are_the_same(workdir, root, monkeypatch):
    model = load(workdir, kind=Downscaler)
    dataset = store.open_dataset(str(CASES['imperfect'].predictors(root)))
    arguments = dataset, model.prepared.field_transform, model.prepared.statics
    whole = pair_inputs.PairInputs(*arguments)
    monkeypatch.setattr(pair_inputs, 'BLOCK_BYTES', 7 * 15 * 16 * 16 * 4)
    parts = pair_inputs.PairInputs(*arguments)
    for index in (0, 6, 7, 4, 39):
        np.testing.assert_array_equal(parts[index], whole[index])
        assert np.isfinite(parts[index]).all() == (index != 4)


def test_predictors_in_other_units_than_in_training_are_refused(workdir, root, tmp_path):
    entry = open_entry(workdir, root / 'Pairs-v1-orog', members=10, seed=0, root=None, given=None)
    path = CASES['perfect'].predictors(root)
    dataset = store.open_dataset(str(path))
    dataset['t_850'].attrs['units'] = 'degC'
    check_units(entry, dataset, path)  # the training file names none
    entry = entry._replace(root=tmp_path)
    training = dataset.copy()
    training['t_850'] = training['t_850'].copy()
    training['t_850'].attrs['units'] = 'K'
    copy = Path(entry.training_file('coarse').replace('ESD*', 'ESD').replace('_*.nc', '_1961-1980.nc'))
    copy.parent.mkdir(parents=True)
    training.to_netcdf(copy)
    with pytest.raises(UserError, match="'t_850' is in 'degC'"):
        check_units(entry, dataset, path)


def test_another_experiment_is_another_folder(root):
    from ml_collections import ConfigDict

    from configs.cordex_bench import get_config

    config: ConfigDict = get_config('SA')
    config.data.update({'root': 'D', 'experiment': 'Emulator'})
    assert config.data.fine == 'D/SA/SA_domain/train/Emulator*/target/pr_tasmax_ACCESS-CM2_*.nc'


def test_projected_orography_and_units_by_definition(workdir, root):
    with xr.open_dataset(workdir / 'statics.nc') as statics:
        assert statics['topography'].dims == ('y', 'x')
        with xr.open_dataset(root / 'ALPS/ALPS_domain/train/ESD_pseudo_reality/predictors/Static_fields.nc') as given:
            np.testing.assert_allclose(statics['topography'], given['orog'], rtol=1e-6)
        np.testing.assert_allclose(statics['x'][:2], [2_000_000, 2_000_000 + 750 * 111.2 * 12 / 32])


@pytest.mark.parametrize('domain', ['NZ', 'SA'])
def test_across_180_degrees_and_with_bounds_of_time(tmp_path, made_up_tree, domain):
    made_up_tree(tmp_path, domain)
    prepared = prepare(config_of(domain, tmp_path)['data'], 0, tmp_path / 'prepared')
    assert prepared.meta['transform']['values']['units'] == ['mm day-1', 'K']
    assert prepared.meta['records'] == {'train': 28, 'validation': 5, 'test': 7}
    assert np.isfinite(prepared.statics['regression_pr']).all()


def predict(workdir, name='Pairs-v1-orog', *options):
    main(['predict', f'--workdir={workdir}', f'--submission={workdir.parent / name}', *options])


def test_a_killed_prediction_goes_on_and_has_no_faults(workdir, root, monkeypatch):
    generate, numbers = filling.generate, []

    def killed(ensemble, units, total):
        numbers.append(total)
        for number, unit in enumerate(generate(ensemble, units, total)):
            if number == 10:
                raise KeyboardInterrupt
            yield unit

    entry = open_entry(workdir, root / 'Pairs-v1-orog', members=10, seed=0, root=None, given=None)
    monkeypatch.setattr(filling, 'generate', killed)
    with pytest.raises(KeyboardInterrupt):
        predict_case(entry, CASES['perfect'])

    def counted(ensemble, units, total):
        numbers.append(total)
        return generate(ensemble, units, total)

    monkeypatch.setattr(filling, 'generate', counted)
    for case in CASES.values():
        predict_case(entry, case)
    assert numbers == [40, 30, 40]  # days, ten members each
    predict(workdir)
    assert len(numbers) == 3  # what exists is kept
    submission = root / 'Pairs-v1-orog'
    assert faults(submission, Expected(root, tuple((case, 'ESD') for case in CASES.values()))) == []
    assert not any((workdir / 'predictions').iterdir())
    with pytest.raises(UserError, match='other settings'):
        predict(workdir, 'Pairs-v1-orog', '--seed=1')


def test_predictions_are_kept_where_the_data_have_moved(workdir, root, tmp_path, monkeypatch):
    predict(workdir)
    shutil.copytree(root / 'ALPS', tmp_path / 'ALPS')
    monkeypatch.setattr(filling, 'generate', None)
    predict(workdir, 'Pairs-v1-orog', f'--root={tmp_path}')


def test_the_official_form(workdir, root):
    predict(workdir)
    with xr.open_dataset(CASES['imperfect'].prediction(root / 'Pairs-v1-orog', 'ESD')) as found:
        assert found['pr'].dims == ('member', 'time', 'y', 'x')
        assert found.sizes['member'] == 10
        assert found['time'].dt.calendar == 'noleap'
        assert np.flatnonzero(found['tasmax'].isnull().all(('member', 'y', 'x'))).tolist() == [4]
        assert (found['pr'].encoding['zlib'], found['pr'].dtype) == (True, np.float32)
        assert found['tasmax'].attrs == {'units': 'K', 'standard_name': 'air_temperature'}
        assert found['x'].attrs['units'] == 'km'
        assert not any(str(root) in str(value) for value in found.attrs.values())
        with xr.open_dataset(CASES['imperfect'].truth(root)) as targets:
            for name in ('x', 'y', 'lat', 'lon'):
                np.testing.assert_array_equal(found[name], targets[name])


def test_real_templates(shared_data, workdir, root):
    """Predictions have the coordinates, and the attributes but for references, of the benchmark's templates."""
    predict(workdir)
    with (
        xr.open_dataset(shared_data / 'forms' / 'cordex_ml_bench_pr_ALPS.nc') as template,
        xr.open_dataset(CASES['perfect'].prediction(root / 'Pairs-v1-orog', 'ESD')) as found,
    ):
        assert found['pr'].dims[1:] == template['pr'].dims
        assert found['pr'].encoding['coordinates'] == template['pr'].encoding['coordinates']
        assert {name: found[name].dims for name in template.coords} == {
            name: c.dims for name, c in template.coords.items()
        }


@pytest.mark.parametrize('name', ['Pairs', 'Pairs-v1', 'Pairs-v1-orography'])
def test_a_name_must_say_whether_the_orography_is_used(workdir, name):
    with pytest.raises(UserError, match='-orog'):
        predict(workdir, name)


def test_a_work_directory_of_another_config_is_refused(workdir, tmp_path):
    with pytest.raises(UserError, match='is not a work directory'):
        predict(tmp_path / 'nowhere')
    shutil.copytree(workdir, tmp_path / 'run')
    config = json.loads((workdir / 'config.json').read_text())
    del config['data']['experiment']
    (tmp_path / 'run/config.json').write_text(json.dumps(config))
    with pytest.raises(UserError, match=r'configs/cordex_bench\.py'):
        predict(tmp_path / 'run')
