"""The command line, as a user meets it, on a file of 48 x 48 cells.

main.py in processes of its own where streams, exit status, devices or signals matter; elsewhere what it calls, since a
process spends five seconds on imports alone.
"""

import json
import re
import shutil
import signal
import time

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler
from tests.small_sea_ice import SETTINGS, SIZE, command_of, config_of, write_files


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Files of sea ice; the work directory is beside them."""
    folder = tmp_path_factory.mktemp('main')
    write_files(folder)
    return folder


@pytest.fixture(scope='module')
def settings(folder):
    return {**SETTINGS, 'data.path': str(folder / 'fields.nc')}


@pytest.fixture(scope='module')
def common(settings):
    return command_of(settings)


@pytest.fixture(scope='module')
def trained(run_anew, folder, common):
    """Work directory of a finished `--mode=train`, by a process as a user starts it: the others are forked."""
    done = run_anew(*common, f'--workdir={folder / "run"}')
    assert done.returncode == 0, done.stderr
    return folder / 'run'


def test_training_writes_what_the_contract_says(trained):
    from downscale_jax.systems.storage.migration import VERSION

    config = json.loads((trained / 'config.json').read_text())
    assert config['version'] == VERSION
    assert config['data']['target'] == 'sit'
    assert config['training']['main']['steps'] == 10
    rows = [json.loads(line) for line in (trained / 'metrics.jsonl').read_text().splitlines()]
    assert [(row['task'], row['step']) for row in rows if 'train/loss' in row] == [
        (task, step) for task in ('regression', 'diffusion') for step in (5, 10)
    ]
    scores = json.loads((trained / 'scores.json').read_text())
    assert list(scores) == ['coarse', 'regression', 'diffusion']
    numbers = [value for method in scores.values() for value in method.values()]
    assert np.isfinite(numbers).all()
    assert list((trained / 'figures').glob('*.png'))
    fit = json.loads((trained / 'calibration.json').read_text())
    report = (trained / 'report.html').read_text()
    assert f'Noise temperature of diffusion: {fit["temperature"]:.3g}.' in report
    assert '| diffusion |' in (trained / 'card.md').read_text()
    described = json.loads((trained / 'describe.json').read_text())
    assert described['parameters']['unet'] > 0
    assert list((trained / 'tensorboard').iterdir())
    for task in ('regression', 'diffusion'):
        assert (trained / 'checkpoints' / task / '10').is_dir()


def test_one_pass_by_one_setting(settings, trained, folder, blank_figures):
    from data_prep.prepare import prepare
    from downscale_jax.run import train

    workdir = folder / 'one_pass'
    train(config_of({**settings, 'generator': 'one_pass'}), workdir, prepare)
    scores = json.loads((workdir / 'scores.json').read_text())
    assert list(scores) == ['coarse', 'regression', 'one_pass']
    assert np.isfinite([value for method in scores.values() for value in method.values()]).all()
    # the first guess does not depend on the generator
    before = json.loads((trained / 'scores.json').read_text())
    assert scores['regression'] == before['regression']
    assert scores['one_pass']['crps'] != before['diffusion']['crps']
    model = load(workdir, kind=Downscaler)
    whole = model.downscale(folder / 'coarse.nc', members=3)['sit']
    assert whole.std('member').mean() > 0


def test_a_trained_diffusion_is_distilled(settings, trained, folder, blank_figures):
    from data_prep.prepare import prepare
    from downscale_jax.run import train

    workdir = folder / 'distilled'
    shutil.copytree(trained, workdir)
    few = {'generator': 'distilled', 'distillation.evaluations': 2, 'distillation.teacher_evaluations': 4}
    train(config_of({**settings, **few}), workdir, prepare)
    scores, before = (json.loads((path / 'scores.json').read_text()) for path in (workdir, trained))
    assert list(scores) == ['coarse', 'regression', 'diffusion', 'distilled']
    assert scores['regression'] == before['regression']
    assert scores['distilled']['crps'] not in (scores['diffusion']['crps'], before['diffusion']['crps'])
    model = load(workdir, kind=Downscaler)
    assert model.last == 'distilled'
    assert model.tasks['distilled'].phases[0].steps == 5  # half of those of the diffusion
    teacher, started = model.restored('diffusion').ema_params, model.restored('distilled').frozen.unet
    jax.tree.map(np.testing.assert_array_equal, teacher, started)
    ensemble = model.downscale(folder / 'coarse.nc', members=3)['sit']
    assert ensemble.std('member').mean() > 0


def test_a_packed_model_is_the_same(trained, tmp_path, monkeypatch):
    from downscale_jax.systems import load
    from downscale_jax.systems.storage import packing

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    packing.pack(trained, tmp_path / 'model.zip')
    packed, opened = load(tmp_path / 'model.zip'), load(trained)
    assert packed.config == opened.config
    assert packed.best_step('diffusion') == opened.best_step('diffusion')
    ours, theirs = (model.restored('diffusion').params for model in (packed, opened))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def contents(workdir):
    """All that two equal runs write equally."""
    files = [workdir / f'{name}.json' for name in ('scores', 'config', 'calibration', 'describe')]
    files += [workdir / 'metrics.jsonl', *(path for path in (workdir / 'ensembles').rglob('*') if path.is_file())]
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


def test_killed_in_training_and_in_evaluation_it_ends_with_the_same_files(start, run, common, trained, folder):
    command, workdir = (*common, f'--workdir={folder / "killed"}'), folder / 'killed'
    for moment in (
        'checkpoints/diffusion/*tmp*/*',  # the regression is done, the diffusion writes its first checkpoint
        'ensembles/diffusion.zarr/clipped_share/c/*/0',  # the first members of the first day are in their store
    ):
        process = start(*command, stderr=folder / 'killed.err')
        while not list(workdir.glob(moment)):
            assert process.poll() is None, (folder / 'killed.err').read_text()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (workdir / 'scores.json').exists()
    done = run(*command)
    assert (done.returncode, done.stderr) == (0, '')
    # the ensembles hold a digest of the parameters that they were drawn with
    assert contents(workdir) == contents(trained)


def test_the_same_command_again_changes_nothing(run, common, trained, blank_figures):
    from data_prep.prepare import prepare
    from downscale_jax.run import evaluate

    kept = contents(trained)
    (trained / 'scores.json').unlink()
    done = run(*common, f'--workdir={trained}')
    assert done.returncode == 0, done.stderr
    assert contents(trained) == kept
    # other settings replace the ensembles, and the old ones bring the old scores back
    for records in (None, 2):
        (trained / 'scores.json').unlink()
        evaluate(trained, {'evaluation.records': records}, prepare)
        assert ((trained / 'scores.json').read_bytes() == kept['scores.json']) == (records == 2)
    assert contents(trained) == kept


def test_a_work_directory_of_another_config(settings, trained):
    from data_prep.prepare import prepare
    from downscale_jax.run import train

    before = (trained / 'config.json').read_bytes()
    with pytest.raises(UserError) as error:
        train(config_of({**settings, 'training.main.learning_rate': 0.5}), trained, prepare)
    assert 'training.main.learning_rate was 0.003, is now 0.5' in str(error.value)
    assert 'choose another --workdir' in str(error.value)
    assert (trained / 'config.json').read_bytes() == before


def test_a_work_directory_of_version_0_1_0(settings, trained, folder, as_first_version, blank_figures):
    """Evaluated, described and used as it was, and trained on."""
    from data_prep.prepare import prepare
    from downscale_jax import load
    from downscale_jax.run import describe, evaluate
    from downscale_jax.systems.storage.claim import check_config

    first = shutil.copytree(trained, folder / 'first')
    as_first_version(first)
    for name in ('scores', 'describe'):
        (first / f'{name}.json').unlink()
    evaluate(first, {'evaluation.measures': SETTINGS['evaluation.measures']}, prepare)  # it had no choice of them
    describe(config_of(settings), first)
    for name in ('scores', 'describe', 'calibration'):
        assert (first / f'{name}.json').read_bytes() == (trained / f'{name}.json').read_bytes()
    with xr.open_dataset(folder / 'coarse.nc') as coarse:
        found, expected = (load(workdir).downscale(coarse, members=2) for workdir in (first, trained))
    np.testing.assert_array_equal(found['sit'].values, expected['sit'].values)
    check_config(config_of(settings), first)
    with pytest.raises(UserError, match=r'data\.bounds was'):
        check_config(config_of({**settings, 'data.bounds': ((0.0, 9.0),)}), first)


def test_downscale_to_zarr_and_netcdf(run, common, trained, folder, tmp_path):
    import downscale_jax
    from downscale_jax.run import Downscaling, downscale
    from downscale_jax.systems import load

    # a batch of 8 trained it; three devices share what is asked of it, with noise drawn on the way and lasting in time
    lasting = {'sampler': 'dpm_solver_sde', 'correlation_hours': 36.0, 'temperature': 0.8}
    options = [f'--config.sampling.{key}={value}' for key, value in lasting.items()]
    asked = ('--mode=downscale', f'--workdir={trained}', f'--input={folder / "coarse.nc"}', '--members=3', '--seed=4')
    done = run(*common, *asked, f'--output={tmp_path / "split.zarr"}', *options, devices=3)
    assert done.returncode == 0, done.stderr
    coarse_file = str(folder / 'coarse.nc')
    downscale(trained, {}, Downscaling(coarse_file, str(tmp_path / 'out.nc'), members=3, seed=4))
    with (
        xr.open_zarr(tmp_path / 'out.zarr', consolidated=False) as stored,
        xr.open_dataset(tmp_path / 'out.nc') as written,
    ):
        assert dict(written['sit'].sizes) == {'member': 3, 'time': 2, 'y': SIZE, 'x': SIZE}
        np.testing.assert_array_equal(stored['sit'].values, written['sit'].values)
        assert np.nanmin(written['sit'].values) >= 0
        assert np.isfinite(written['sit'].values[..., 14:40, 18:40]).all()
        # land of the training grid
        assert np.isnan(written['sit'].values[..., :12, :16]).all()
        assert written['sit'].attrs['units'] == 'm'

    coarse = xr.open_dataset(folder / 'coarse.nc')
    found = downscale_jax.load(trained).downscale(coarse, members=3, seed=4)
    with xr.open_dataset(tmp_path / 'out.nc') as written:
        np.testing.assert_array_equal(found['sit'].values, written['sit'].values)
    given = {f'sampling.{key}': value for key, value in lasting.items()}
    found = load(trained, given).downscale(coarse, members=3, seed=4)
    with xr.open_zarr(tmp_path / 'split.zarr', consolidated=False) as stored:
        np.testing.assert_array_equal(found['sit'].values, stored['sit'].values)

    with pytest.raises(UserError, match='seed: 4 in the store, 5 requested'):
        downscale(trained, {}, Downscaling(coarse_file, str(tmp_path / 'out.zarr'), members=3, seed=5))


def test_the_fitted_temperature(trained, folder):
    from downscale_jax.systems import load

    fit = json.loads((trained / 'calibration.json').read_text())
    assert (fit['records'], fit['members'], fit['request']['steps']) == (1, 2, 4)
    assert abs(fit['after']['spread_skill'] - 1) <= abs(fit['before']['spread_skill'] - 1)
    opened = load(trained)
    assert opened.fitted().sampling.temperature == opened.best().sampling.temperature == fit['temperature']
    assert opened.generator('diffusion').temperature == 1
    # neither how the work is cut up nor how long noise lasts matters, a temperature that is given goes first
    for given in ({'sampling.members': 4, 'sampling.tile': 256}, {'sampling.correlation_hours': 36.0}):
        assert load(trained, given).fitted().sampling.temperature == fit['temperature']
    given = load(trained, {'sampling.temperature': 0.7, 'sampling.steps': 3})
    assert given.fitted() is None
    assert given.best().sampling.temperature == 0.7
    with pytest.raises(UserError, match='fitted to another network or with other values of sampling') as error:
        load(trained, {'sampling.steps': 3}).best()
    assert '\n' not in str(error.value)
    assert '--mode=calibrate' in str(error.value)

    other = shutil.copytree(trained, folder / 'other')
    opened = load(other)
    (other / 'calibration.json').write_text(json.dumps({**fit, 'request': {**fit['request'], 'model': 'another'}}))
    with pytest.raises(UserError, match='fitted to another network'):
        opened.fitted()
    (other / 'calibration.json').unlink()
    assert opened.fitted() is None
    assert opened.best() is opened.generator('diffusion')


def test_calibrate(run, common, trained, folder):
    from data_prep.prepare import prepare
    from downscale_jax.run import calibrate
    from downscale_jax.systems import load

    other = shutil.copytree(trained, folder / 'calibrated')
    asked = (*common, '--mode=calibrate', f'--workdir={other}')
    done = run(*asked, '--config.sampling.steps=3')
    assert done.returncode == 0, done.stderr
    fit = json.loads((other / 'calibration.json').read_text())
    match = re.search(r'noise temperature (\S+): spread/skill (\S+) on 1 records of validation, (\S+) at', done.stdout)
    expected = fit['temperature'], fit['after']['spread_skill'], fit['before']['spread_skill']
    np.testing.assert_allclose([float(value) for value in match.groups()], expected, atol=0.006)
    assert fit['request']['steps'] == 3
    assert load(other, {'sampling.steps': 3}).best().sampling.temperature == fit['temperature']
    with pytest.raises(UserError, match='fit it again'):
        load(other).best()
    for given in ({'sampling.temperature': 0.7}, {'evaluation.calibration_records': 0}):
        with pytest.raises(UserError, match='calibration needs'):
            calibrate(other, given, prepare)


@pytest.mark.parametrize(
    ('key', 'value', 'part'),
    [
        ('sampling.spacing', 'karas', "did you mean 'karras'"),
        ('sampling.eta', 0.5, 'sampling.eta=0.5 with sampling.sampler=dpm_solver'),
        ('evaluation.window', 25, 'evaluation.window=25: must be an even integer'),
        ('evaluation.members', 1, 'evaluation.members=1: .*at least 2'),
        ('evaluation.calibration_records', -1, 'evaluation.calibration_records=-1: .*at least 0'),
        ('evaluation.records', 0, 'evaluation.records=0: .*at least 1.*None'),
        ('evaluation.measures', ('pointwize',), "evaluation.measures='pointwize' is unknown: did you mean 'pointwise'"),
        ('evaluation.measures', (), r'evaluation.measures=\(\): .*not empty'),
        ('evaluation.subsets', (0,), r'evaluation.subsets=\(0,\): .*at least 1'),
        ('evaluation.regimes', (0.2, 0.3), r'evaluation.regimes=\(0.2, 0.3\): .*increasing edges'),
        ('evaluation.regimes', ((0.3, 0.2),), r'evaluation.regimes=\(\(0.3, 0.2\),\): .*increasing edges'),
        ('evaluation.zones', ('ice', 0.3), r"evaluation.zones=\('ice', 0.3\): .*\(name, threshold\)"),
        ('evaluation.zones', (('ice', 'a'),), r"evaluation.zones=\(\('ice', 'a'\),\): .*\(name, threshold\)"),
        ('evaluation.places', 'nowhere.csv', 'evaluation.places: nowhere.csv'),
        ('training.validate_every', 0, 'training.validate_every=0: .*at least 1'),
        ('training.keep', 0, 'training.keep=0: .*at least 1'),
        ('training.batch_size', 0, 'training.batch_size=0: .*at least 1'),
        ('training.ema_decay', 1.0, 'training.ema_decay=1.0: .*at least 0 and less than 1'),
    ],
)
def test_mistakes_that_would_show_late(trained, key, value, part):
    from downscale_jax.systems import diffusion
    from downscale_jax.systems.checks import before_training
    from downscale_jax.systems.workdir import read_config

    config, (section, name) = read_config(trained), key.split('.')
    before_training(diffusion.SYSTEM, config)
    config[section][name] = value
    with pytest.raises(UserError, match=part):
        before_training(diffusion.SYSTEM, config)


@pytest.mark.parametrize(
    ('source', 'output', 'parts'),
    [
        ('sit_only.nc', 'out.zarr', ['sit_only.nc', "no variable 'sic'", 'it has sit']),
        ('nothing.nc', 'out.zarr', ['nothing.nc', 'no such file']),
        ('coarse.nc', 'out.tif', ['out.tif', 'must end in .zarr or .nc']),
        ('coarse.nc', 'nowhere/out.nc', ['nowhere', 'there is no folder']),
    ],
)
def test_mistakes_of_downscaling(trained, folder, tmp_path, source, output, parts):
    from downscale_jax.run import Downscaling, downscale

    with pytest.raises(UserError) as error:
        downscale(trained, {}, Downscaling(str(folder / source), str(tmp_path / output)))
    assert all(part in str(error.value) for part in parts), error.value
    assert not list(tmp_path.iterdir())


def test_an_earlier_netcdf_is_not_taken_for_the_answer(trained, folder, tmp_path):
    from downscale_jax.run import Downscaling, downscale

    (tmp_path / 'out.nc').write_bytes(b'something else')
    with pytest.raises(UserError, match=r'out\.nc exists, but .*out\.zarr'):
        downscale(trained, {}, Downscaling(str(folder / 'coarse.nc'), str(tmp_path / 'out.nc')))
    assert (tmp_path / 'out.nc').read_bytes() == b'something else'
