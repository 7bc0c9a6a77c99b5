"""The command line, as a user meets it: main.py in processes of its own, on a file of 48 x 48 cells."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

ROOT = Path(__file__).parents[1]
SIZE, DAYS = 48, 30
CONFIG = '--config=configs/diffusion_sit.py:smoke'
SETTINGS = (
    "--config.data.inputs=('sit', 'sic')",
    '--config.data.kernel_km=(40.0, 24.0)',
    '--config.data.spacing_km=(20.0, 12.0)',
    "--config.data.train=(('2020-01-01', '2020-01-20'),)",
    "--config.data.validation=(('2020-01-22', '2020-01-24'),)",
    "--config.data.test=(('2020-01-26', '2020-01-30'),)",
    '--config.training.main.steps=10',
    '--config.evaluation.window=24',
)


def red_noise(shape, seed):
    """Unit variance, power falling as the third power of the wavenumber."""
    wavenumber = np.hypot(np.fft.fftfreq(shape[-2])[:, None], np.fft.rfftfreq(shape[-1])) + 1 / 64
    field = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(seed).normal(size=shape)) * wavenumber**-1.5, shape[-2:])
    return (field - field.mean()) / field.std()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """fields.nc: thickness and concentration with a coast; coarse.nc: two days of them on cells of 20 km."""
    folder = tmp_path_factory.mktemp('main')
    fields = red_noise((2, DAYS, SIZE, SIZE), 0).astype(np.float32)
    fields[..., :12, :16] = np.nan
    dataset = xr.Dataset(
        {
            'sit': (('time', 'y', 'x'), np.maximum(1.5 + 0.5 * fields[0], 0), {'units': 'm'}),
            'sic': (('time', 'y', 'x'), np.clip(0.8 + 0.1 * fields[1], 0, 1), {'units': '1'}),
        },
        {
            'time': np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(DAYS),
            **{name: (name, 4e3 * np.arange(SIZE), {'units': 'm'}) for name in 'yx'},
        },
    )
    dataset.to_netcdf(folder / 'fields.nc')
    coarse = dataset.isel(time=[26, 27]).coarsen(x=5, y=5, boundary='trim').mean(keep_attrs=True)
    coarse.to_netcdf(folder / 'coarse.nc')
    coarse.drop_vars('sic').to_netcdf(folder / 'sit_only.nc')
    whole = (folder / 'fields.nc').read_bytes()
    (folder / 'cut.nc').write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope='module')
def run():
    """run(*arguments, devices=1) -> the finished process."""

    def call(*arguments, devices=1):
        flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
        return subprocess.run(
            [sys.executable, 'main.py', *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags},
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture(scope='module')
def common(folder):
    return (CONFIG, f'--config.data.path={folder / "fields.nc"}', *SETTINGS)


@pytest.fixture(scope='module')
def trained(run, folder, common):
    """Work directory of a finished `--mode=train`."""
    done = run(*common, f'--workdir={folder / "run"}')
    assert done.returncode == 0, done.stderr
    return folder / 'run'


def told(done) -> str:
    """The one line that a user's mistake prints."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith('error: ')
    return lines[0]


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        ([], ['--config is missing', 'configs/diffusion_sit.py']),
        (['--config=configs/difusion_sit.py'], ['no file configs/difusion_sit.py', "'configs/diffusion_sit.py'"]),
        (['--config=configs/diffusion_sit.py:smok'], ["unknown variant ':smok'", ':smoke', ':paper']),
        ([CONFIG, '--mode=evalute'], ["--mode='evalute' is unknown", "did you mean 'evaluate'"]),
        ([CONFIG, '--config.data.pth=x'], ["has no key 'data.pth'", "did you mean 'data.path'"]),
        ([CONFIG, '--config.training.batch_size=many'], ['batch_size', 'many']),
        ([CONFIG, '--wrkdir=x'], ['wrkdir']),
        ([CONFIG, '--members=few', '--mode=downscale'], ['members', 'few']),
        ([CONFIG, 'train'], ["'train' is no flag"]),
        ([CONFIG, '--mode=downscale', '--output=x.zarr'], ['--mode=downscale needs --input']),
        ([CONFIG, '--mode=downscale', '--input=x.nc'], ['--mode=downscale needs --output']),
    ],
)
def test_mistakes_on_the_command_line(run, arguments, parts):
    line = told(run(*arguments))
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ('change', 'devices', 'parts'),
    [
        (['--config.training.batch_size=12'], 8, ['batch size 12', '8 devices', 'for example 16']),
        (['--config.training.validate_every=7'], 1, ['training.validate_every=7', 'training.log_every=5']),
        (['--config.data.path=nowhere.nc'], 1, ['nowhere.nc', 'no such file']),
        (['--config.data.target=thickness'], 1, ['data.inputs', "lack the target 'thickness'"]),
        (['--config.data.patch=64'], 1, ['data.patch', '64', '48 x 48']),
        (['--config.data.patch=30'], 1, ['data.patch', '30', '16']),
        (["--config.data.test=(('1999-01-01', '1999-02-01'),)"], 1, ["split 'test'", 'is empty', '2020-01-01']),
        (['--config.training.main.optimizer=adam'], 1, ['optimizer', "'adam'", "'adamw'"]),
        (['--config.diffusion.prediction=noise'], 1, ["'noise'", 'eps, v, x0']),
        (['--config.sampling.overlap=300'], 1, ['overlap', '300']),
    ],
)
def test_mistakes_in_the_config(run, common, folder, tmp_path, change, devices, parts):
    keys = [argument.partition('=')[0] for argument in change]  # given twice, tuples are joined
    kept = [argument for argument in common if argument.partition('=')[0] not in keys]
    line = told(run(*kept, *change, f'--workdir={tmp_path / "run"}', devices=devices))
    assert all(part in line for part in parts), line
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()]
    assert not [name for name in left if not name.startswith('data/')], left  # prepared data are kept
    assert not [name for name in left if 'partial' in name], left


def test_a_truncated_file(run, common, folder, tmp_path):
    line = told(run(*common, f'--config.data.path={folder / "cut.nc"}', f'--workdir={tmp_path / "run"}'))
    assert 'cut.nc' in line
    assert not list((tmp_path / 'data').glob('*'))


def test_nothing_trained_yet(run, common, folder, tmp_path):
    downscale = ('--mode=downscale', f'--input={folder / "coarse.nc"}', f'--output={tmp_path / "out.zarr"}')
    for mode in (downscale, ('--mode=evaluate',)):
        line = told(run(*common, *mode, f'--workdir={tmp_path / "run"}'))
        assert 'is no work directory' in line
        assert 'train first' in line
    assert not list(tmp_path.iterdir())


def test_training_writes_what_the_contract_says(trained):
    config = json.loads((trained / 'config.json').read_text())
    assert config['data']['target'] == 'sit'
    assert config['training']['main']['steps'] == 10
    rows = [json.loads(line) for line in (trained / 'metrics.jsonl').read_text().splitlines()]
    assert [(row['task'], row['step']) for row in rows if 'train/loss' in row] == [
        (task, step) for task in ('regression', 'diffusion') for step in (5, 10)
    ]
    scores = json.loads((trained / 'scores.json').read_text())
    assert {'coarse', 'regression', 'diffusion', 'calibrated'} <= set(scores)
    numbers = [value for method in scores.values() for value in method.values()]
    assert np.isfinite(numbers).all()
    assert list((trained / 'figures').glob('*.png'))
    assert (trained / 'report.html').stat().st_size > 1000
    described = json.loads((trained / 'describe.json').read_text())
    assert described['parameters']['unet'] > 0
    assert list((trained / 'tensorboard').iterdir())
    for task in ('regression', 'diffusion'):
        assert (trained / 'checkpoints' / task / '10').is_dir()


def test_the_same_command_again_changes_nothing(run, common, trained):
    names = ('scores.json', 'metrics.jsonl', 'config.json', 'calibration.json')
    kept = {name: (trained / name).read_bytes() for name in names}
    for mode in ('train', 'evaluate'):
        (trained / 'scores.json').unlink()
        if mode == 'evaluate':  # other settings replace the ensembles, and the old ones bring the old scores back
            other = run(*common, f'--workdir={trained}', '--mode=evaluate', '--config.evaluation.days=0')
            assert other.returncode == 0, other.stderr
            assert (trained / 'scores.json').read_bytes() != kept['scores.json']
        done = run(*common, f'--workdir={trained}', f'--mode={mode}')
        assert done.returncode == 0, done.stderr
        for name, before in kept.items():
            assert (trained / name).read_bytes() == before, (mode, name)


def test_a_work_directory_of_another_config(run, common, trained):
    before = (trained / 'config.json').read_bytes()
    line = told(run(*common, '--config.training.main.learning_rate=0.5', f'--workdir={trained}'))
    assert 'training.main.learning_rate is 0.001 there, 0.5 here' in line
    assert 'choose another --workdir' in line
    assert (trained / 'config.json').read_bytes() == before


def test_downscale_to_zarr_and_netcdf(run, common, trained, folder, tmp_path):
    # a batch of 8 trained it; three devices share what is asked of it, with noise drawn on the way and lasting in time
    lasting = {'sampler': 'dpm_solver_sde', 'correlation_hours': 36.0, 'temperature': 0.8}
    options = [f'--config.sampling.{key}={value}' for key, value in lasting.items()]
    asked = ('--mode=downscale', f'--workdir={trained}', f'--input={folder / "coarse.nc"}', '--members=3')
    for name, given, devices in (('split.zarr', options, 3), ('out.nc', [], 1)):
        done = run(*common, *asked, f'--output={tmp_path / name}', '--seed=4', *given, devices=devices)
        assert done.returncode == 0, done.stderr
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

    import downscale_jax
    from downscale_jax.systems import load

    coarse = xr.open_dataset(folder / 'coarse.nc')
    found = downscale_jax.load(trained).downscale(coarse, members=3, seed=4)
    with xr.open_dataset(tmp_path / 'out.nc') as written:
        np.testing.assert_array_equal(found['sit'].values, written['sit'].values)
    given = {f'sampling.{key}': value for key, value in lasting.items()}
    found = load(trained, given).downscale(coarse, members=3, seed=4)
    with xr.open_zarr(tmp_path / 'split.zarr', consolidated=False) as stored:
        np.testing.assert_array_equal(found['sit'].values, stored['sit'].values)

    line = told(run(*common, *asked, f'--output={tmp_path / "out.zarr"}', '--seed=5'))
    assert 'seed 4 there, 5 asked for' in line


def test_the_fitted_temperature(trained, folder):
    from downscale_jax.runtime.errors import UserError
    from downscale_jax.systems import load

    fit = json.loads((trained / 'calibration.json').read_text())
    assert (fit['records'], fit['members'], fit['request']['steps']) == (1, 2, 4)
    assert abs(fit['after']['spread_skill'] - 1) <= abs(fit['before']['spread_skill'] - 1)
    opened = load(trained)
    assert opened.fitted().sampling.temperature == opened.best().sampling.temperature == fit['temperature']
    assert opened.generator('diffusion').sampling.temperature == 1
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
    from downscale_jax.runtime.errors import UserError
    from downscale_jax.systems import load

    other = shutil.copytree(trained, folder / 'calibrated')
    asked = (*common, '--mode=calibrate', f'--workdir={other}')
    done = run(*asked, '--config.sampling.steps=3')
    assert done.returncode == 0, done.stderr
    fit = json.loads((other / 'calibration.json').read_text())
    told = re.search(
        r'noise temperature (\S+): spread/skill (\S+) on 1 records of validation, (\S+) without', done.stdout
    )
    expected = fit['temperature'], fit['after']['spread_skill'], fit['before']['spread_skill']
    np.testing.assert_allclose([float(value) for value in told.groups()], expected, atol=0.006)
    assert fit['request']['steps'] == 3
    assert load(other, {'sampling.steps': 3}).best().sampling.temperature == fit['temperature']
    with pytest.raises(UserError, match='fit it anew'):
        load(other).best()
    for given in ({'sampling.temperature': 0.7}, {'evaluation.fit_days': 0}):
        with pytest.raises(UserError, match='there is nothing to fit'):
            calibrate(other, given, prepare)


@pytest.mark.parametrize(
    ('key', 'value', 'part'),
    [
        ('sampling.spacing', 'karas', "did you mean 'karras'"),
        ('sampling.eta', 0.5, 'sampling.eta=0.5 with dpm_solver'),
        ('evaluation.window', 25, 'evaluation.window=25: an even number'),
        ('evaluation.members', 1, 'evaluation.members=1: an ensemble has at least 2'),
        ('evaluation.fit_days', -1, 'fit_days=-1: 0 or more'),
        ('training.keep', 0, 'training.keep=0: at least 1'),
    ],
)
def test_mistakes_that_would_show_late(trained, key, value, part):
    from downscale_jax.run import check_training
    from downscale_jax.runtime.errors import UserError
    from downscale_jax.systems import diffusion

    config = json.loads((trained / 'config.json').read_text())
    tasks, (section, name) = diffusion.build(config), key.split('.')
    check_training(config, tasks)
    diffusion.check(config)
    config[section][name] = value
    with pytest.raises(UserError, match=re.escape(part)):
        check_training(config, tasks) if section == 'training' else diffusion.check(config)


def test_atmodist_from_the_simulation_to_the_report_and_a_distance(run, tmp_path):
    from downscale_jax import load

    workdir = tmp_path / 'atmodist'
    command = ('--config=configs/atmodist.py:smoke', f'--workdir={workdir}', '--config.training.main.steps=10')
    done = run(*command)
    assert done.returncode == 0, done.stderr
    table = json.loads((workdir / 'scores.json').read_text())
    assert {'atmodist', 'untrained', 'mse_correlation', 'chance', 'middle_lag'} == set(table)
    assert (workdir / 'report.html').stat().st_size > 10_000
    assert {path.stem for path in (workdir / 'figures').glob('*.png')} >= {'confusion', 'distance', 'skill', 'training'}
    error = told(run(f'--workdir={workdir}', command[0], '--mode=downscale', '--input=x.nc', '--output=y.nc'))
    assert 'holds no downscaler' in error
    rng, (rows, columns) = np.random.default_rng(0), (40, 72)
    fields = xr.Dataset(
        {
            name: (('time', 'lat', 'lon'), 1e-5 * rng.normal(size=(2, rows, columns)), {'units': 's-1'})
            for name in ('vorticity', 'divergence')
        },
        {'time': np.datetime64('2001-01-01', 'ns') + np.arange(2) * np.timedelta64(3, 'h'),
         'lat': ('lat', np.linspace(90, -90, rows), {'units': 'degrees_north'}),
         'lon': ('lon', 5.0 * np.arange(columns), {'units': 'degrees_east'})},
    )  # fmt: skip
    model = load(workdir)
    assert (model.distance(fields, fields.roll(lon=9)) > 0).all()
    np.testing.assert_array_equal(model.distance(fields, fields), 0)


def test_srgan_from_the_simulation_to_fine_fields_that_conserve(run, tmp_path):
    """Trains, scores, refines block means of another grid, and gives their mean back."""
    from downscale_jax import load
    from downscale_jax.fields.block_means import block_mean

    workdir = tmp_path / 'srgan'
    steps = [f'--config.training.{phase}.steps=5' for phase in ('mse', 'gan', 'late')]
    command = ('--config=configs/srgan.py:smoke', f'--workdir={workdir}', *steps)
    done = run(*command)
    assert done.returncode == 0, done.stderr
    table = json.loads((workdir / 'scores.json').read_text())
    assert list(table) == ['bicubic', 'pretrained', 'gan_mse']
    assert 'energy' in table['gan_mse']
    assert (workdir / 'report.html').stat().st_size > 10_000
    error = told(run(f'--workdir={workdir}', command[0], '--mode=calibrate'))
    assert 'draws no ensemble' in error

    rng, factor, (rows, columns) = np.random.default_rng(0), 4, (5, 6)

    def axis(name, start, step, count, units):
        return {name: (name, start + step * np.arange(count), {'units': units})}

    def grid(step, height, width):
        half = step / 2
        return {
            **axis('lat', 40 + half, step, height, 'degrees_north'),
            **axis('lon', half, step, width, 'degrees_east'),
        }

    values = {n: 1e-5 * rng.normal(size=(2, rows, columns)) for n in ('vorticity', 'divergence')}
    times = {'time': np.datetime64('2001-01-01', 'ns') + np.arange(2) * np.timedelta64(3, 'h')}
    coarse = xr.Dataset(
        {name: (('time', 'lat', 'lon'), field, {'units': 's-1'}) for name, field in values.items()},
        {**times, **grid(4.0, rows, columns)},
    )
    fine = xr.Dataset(
        {'mask': (('lat', 'lon'), np.ones((factor * rows, factor * columns)))},
        grid(1.0, factor * rows, factor * columns),
    )
    coarse.to_netcdf(tmp_path / 'coarse.nc')
    fine.to_netcdf(tmp_path / 'fine.nc')
    output = tmp_path / 'fine_fields.nc'
    files = [f'--input={tmp_path / "coarse.nc"}', f'--statics={tmp_path / "fine.nc"}', f'--output={output}']
    done = run(f'--workdir={workdir}', command[0], '--mode=downscale', *files, '--config.sampling.conserve=True')
    assert done.returncode == 0, done.stderr
    transform = load(workdir).prepared.block_means
    with xr.open_dataset(output) as found:
        assert dict(found['vorticity'].sizes) == {'member': 1, 'time': 2, 'lat': 20, 'lon': 24}
        fields = np.stack([found[name].values[0] for name in transform.targets], -1)
    asked = np.stack([values[name] for name in transform.targets], -1).astype(np.float32)
    # in the space in which the mean was taken, to 1e-5 of the deviation
    back = block_mean(transform.values.encode(fields), factor)
    np.testing.assert_allclose(back, transform.values.encode(asked), atol=1e-5)
    error = told(
        run(f'--workdir={workdir}', command[0], '--mode=downscale', *files[:1], f'--output={tmp_path / "b.nc"}')
    )
    assert '5 x 6 cells' in error
    assert '--statics' in error


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
    from downscale_jax.run import downscale
    from downscale_jax.runtime.errors import UserError

    with pytest.raises(UserError) as error:
        downscale(trained, {}, str(folder / source), str(tmp_path / output), '', 2, 0)
    assert all(part in str(error.value) for part in parts), error.value
    assert not list(tmp_path.iterdir())


def test_an_earlier_netcdf_is_not_taken_for_the_answer(run, common, trained, folder, tmp_path):
    (tmp_path / 'out.nc').write_bytes(b'something else')
    files = (f'--input={folder / "coarse.nc"}', f'--output={tmp_path / "out.nc"}', '--members=2')
    assert 'out.nc' in told(run(*common, '--mode=downscale', f'--workdir={trained}', *files))
    assert (tmp_path / 'out.nc').read_bytes() == b'something else'
