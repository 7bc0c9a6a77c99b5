"""The command line for AtmoDist and the SRGAN: from the simulation to what they are for."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime.errors import UserError


def test_atmodist_from_the_simulation_to_the_report_and_a_distance(run, tmp_path):
    from downscale_jax import load
    from downscale_jax.run import Downscaling, downscale

    workdir = tmp_path / 'atmodist'
    command = ('--config=configs/atmodist.py:smoke', f'--workdir={workdir}', '--config.training.main.steps=10')
    done = run(*command)
    assert done.returncode == 0, done.stderr
    table = json.loads((workdir / 'scores.json').read_text())
    assert {'atmodist', 'untrained', 'mse_correlation', 'chance', 'middle_lag'} == set(table)
    assert (workdir / 'report.html').stat().st_size > 10_000
    assert {path.stem for path in (workdir / 'figures').glob('*.png')} >= {'confusion', 'distance', 'skill', 'training'}
    with pytest.raises(UserError, match="made by system 'atmodist', which provides no Downscaler"):
        downscale(workdir, {}, Downscaling('x.nc', 'y.nc'))
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


def test_srgan_from_the_simulation_to_fine_fields_that_conserve(run, as_first_version, blank_figures, tmp_path):
    """Trains, scores, refines block means of another grid, and gives their mean back."""
    from data_prep.prepare import prepare
    from downscale_jax import load
    from downscale_jax.fields.geometry.blocks import block_mean
    from downscale_jax.run import Downscaling, calibrate, downscale, evaluate

    workdir = tmp_path / 'srgan'
    steps = [f'--config.training.{phase}.steps=5' for phase in ('mse', 'gan')]
    steps.append("--config.training.phases=('mse', 'gan')")
    measures = ('examples', 'pointwise', 'spectra')
    command = ('--config=configs/srgan.py:smoke', f'--workdir={workdir}', *steps)
    few = f'--config.evaluation.measures={measures}'
    done = run(*command, few)
    assert done.returncode == 0, done.stderr
    table = json.loads((workdir / 'scores.json').read_text())
    assert list(table) == ['bicubic', 'pretrained', 'gan_mse']
    assert 'energy' in table['gan_mse']
    assert (workdir / 'report.html').stat().st_size > 10_000
    with pytest.raises(UserError, match='deterministic: there is nothing to calibrate'):
        calibrate(workdir, {}, prepare)

    first = shutil.copytree(workdir, tmp_path / 'first')
    as_first_version(first)
    (first / 'scores.json').unlink()
    # version 0.1.0 had no choice of measures, and its window is larger than this grid
    evaluate(first, {'evaluation.measures': measures, 'evaluation.window': 16}, prepare)
    assert (first / 'scores.json').read_bytes() == (workdir / 'scores.json').read_bytes()

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
    transform = load(workdir).prepared.transform_as(BlockMeans)
    with xr.open_dataset(output) as found:
        assert dict(found['vorticity'].sizes) == {'member': 1, 'time': 2, 'lat': 20, 'lon': 24}
        fields = np.stack([found[name].values[0] for name in transform.targets], -1)
    asked = np.stack([values[name] for name in transform.targets], -1).astype(np.float32)
    # in the space in which the mean was taken, to 1e-5 of the deviation
    back = block_mean(transform.values.encode(fields), factor)
    np.testing.assert_allclose(back, transform.values.encode(asked), atol=1e-5)
    with pytest.raises(UserError, match=r'5 x 6 cells.*--statics'):
        downscale(workdir, {}, Downscaling(str(tmp_path / 'coarse.nc'), str(tmp_path / 'b.nc')))
