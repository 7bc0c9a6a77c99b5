"""DPDM from the simulated mountains to another region, in processes of its own and as a user's script would call it."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.transforms.block_means import BlockMeans

FACTOR, MEMBERS = 10, 3
SETTINGS = (
    '--config=configs/diffusion_dpdm.py:smoke',
    '--config.data.simulate.rows=40',
    '--config.data.simulate.months=18',
    "--config.data.train=(('1981-01', '1981-12'),)",
    "--config.data.validation=(('1982-01', '1982-03'),)",
    "--config.data.test=(('1982-04', '1982-06'),)",
    '--config.training.validation_batches=1',
    # three tiles side by side
    '--config.sampling.tile=40',
    '--config.sampling.overlap=8',
    "--config.evaluation.measures=('examples', 'pointwise', 'extremes', 'hot_dry', 'seams', 'bounds', 'closure')",
)
NAMES = ('t2m', 'tp')


def simulated(rows, columns, seed):
    from data_prep.simulators.mountains import simulate

    return simulate(rows=rows, columns=columns, months=18, seed=seed)


def coarsened(fields, months):
    """Block means by area, as another model's output."""
    from downscale_jax.fields.geometry.blocks import block_mean
    from downscale_jax.fields.geometry.grid import cell_areas_km2

    area = cell_areas_km2(fields)[..., None]
    chosen = fields.isel(time=slice(*months))
    values = block_mean(np.stack([chosen[n].values for n in NAMES], -1), FACTOR, area)
    dims = ('time', 'lat', 'lon')
    means = {n: (n, fields[n].values.reshape(-1, FACTOR).mean(1), fields[n].attrs) for n in ('lat', 'lon')}
    return xr.Dataset(
        {n: (dims, values[..., v], {'units': fields[n].attrs['units']}) for v, n in enumerate(NAMES)},
        {'time': chosen['time'], **means},
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """own.nc: months of the region of training, coarse; other.nc, another region's, and its fine grids."""
    folder = tmp_path_factory.mktemp('dpdm')
    coarsened(simulated(40, 80, 0), (15, 17)).to_netcdf(folder / 'own.nc')
    other = simulated(50, 40, 5)
    coarsened(other, (0, 2)).to_netcdf(folder / 'other.nc')
    mask = np.ones((50, 40), 'i1')
    mask[:7, :12] = 0
    statics = other[['topography', 'land']].assign(mask=(('lat', 'lon'), mask))
    statics.to_netcdf(folder / 'grid.nc')
    statics.drop_vars('topography').to_netcdf(folder / 'no_topography.nc')
    return folder


@pytest.fixture(scope='module')
def trained(run, folder):
    """Work directory of a finished `--mode=train`."""
    done = run(*SETTINGS, f'--workdir={folder / "run"}')
    assert done.returncode == 0, done.stderr
    return folder / 'run'


def test_what_training_leaves(trained):
    table = json.loads((trained / 'scores.json').read_text())
    methods = ['linear', 'bicubic', 'quantile_mapping', 'edsr', 'edsr_gan', 'regression', 'dpdm_1', 'dpdm_4']
    assert list(table) == methods
    for name, row in table.items():
        assert np.isfinite(list(row.values())).all()
        for variable in NAMES:
            of_members = [f'{score}_{variable}' for score in ('spread_skill', 'reliability')]
            assert all((score in row) == (name == 'dpdm_4') for score in of_members), name
            if name != 'dpdm_4':
                assert row[f'crps_{variable}'] == pytest.approx(row[f'mae_{variable}'], rel=1e-6)
    for variable in NAMES:
        assert table['dpdm_4'][f'crps_{variable}'] < table['dpdm_1'][f'crps_{variable}']
        assert table['dpdm_4'][f'rmse_{variable}'] < table['dpdm_1'][f'rmse_{variable}']
    details = json.loads((trained / 'details.json').read_text())
    assert all(np.shape(details['pointwise']['dpdm_4'][variable]['ranks']) == (5, 3) for variable in NAMES)
    for score, low, high in (('seam', 0.8, 1.25), ('step', 1e-6, 1)):
        assert all(low < table['dpdm_4'][f'{score}_{variable}'] < high for variable in NAMES)
    assert list(details['hot_dry']) == ['truth', *methods]
    assert np.shape(details['extremes']['t2m']['methods']['edsr']['fss']) == (5, 2, 3)
    assert (trained / 'figures' / 'members_dpdm.png').exists()
    report = (trained / 'report.html').read_text()
    assert all(
        title in report for title in ('Calibration of dpdm_4', 'Hot and dry at once', 'Extremes: precipitation rate')
    )
    described = json.loads((trained / 'describe.json').read_text())
    assert set(described['parameters']) == {'edsr', 'regression', 'unet'}
    fit = json.loads((trained / 'calibration.json').read_text())
    assert abs(fit['after']['spread_skill'] - 1) <= abs(fit['before']['spread_skill'] - 1)
    for task in ('edsr', 'edsr_gan', 'regression', 'dpdm'):
        assert (trained / 'checkpoints' / task / '10').is_dir()
    statics = xr.open_dataset(trained / 'statics.nc')
    assert {'topography', 'land', 'mask', 'cell_area'} <= set(statics.data_vars)


def test_a_work_directory_of_version_0_1_0(trained, folder, as_first_version):
    from downscale_jax.systems import load
    from downscale_jax.systems.storage.migration import MEASURES

    first = shutil.copytree(trained, folder / 'first')
    as_first_version(first)
    found, expected = load(first), load(trained)
    assert found.prepared.field_transform == expected.prepared.field_transform
    config = json.loads(json.dumps(expected.config))
    config['evaluation']['measures'] = list(MEASURES)  # it had no choice of them
    config['model']['unet']['turns'] = 1000.0  # the noise embedding that 0.1.0 was trained with
    assert json.loads(json.dumps(found.config)) == config
    assert found.best().transform == expected.best().transform


@pytest.fixture(scope='module')
def model(trained):
    import downscale_jax

    return downscale_jax.load(trained)


def test_downscale_a_coarse_file(run, trained, model, folder):
    """By the command line and from Python, the same members; months of their own, rain that is never negative."""
    asked = ('--mode=downscale', f'--workdir={trained}', f'--input={folder / "own.nc"}', f'--members={MEMBERS}')
    done = run(*SETTINGS, *asked, f'--output={folder / "own_fine.nc"}', '--seed=4')
    assert done.returncode == 0, done.stderr
    coarse = xr.open_dataset(folder / 'own.nc')
    found = model.downscale(coarse, members=MEMBERS, seed=4)
    with xr.open_dataset(folder / 'own_fine.nc') as written:
        assert dict(written['t2m'].sizes) == {'member': MEMBERS, 'time': 2, 'lat': 40, 'lon': 80}
        for name in NAMES:
            assert np.isfinite(written[name].values).all()
            np.testing.assert_array_equal(found[name].values, written[name].values)
            assert written[name].attrs['units'] == coarse[name].attrs['units']
            spread = written[name].values.std(0)
            assert (spread[:, ::3, ::3] > 0).mean() > 0.5
        assert (written['tp'].values.min(), written['tp'].attrs['valid_min']) == (0, 0)
        assert 'valid_min' not in written['t2m'].attrs
        assert abs(written['t2m'].mean() - coarse['t2m'].mean()) < 3


def test_the_coarse_field_is_kept_where_that_is_asked_for(trained, folder):
    from downscale_jax.fields.geometry.blocks import block_mean
    from downscale_jax.systems import load

    coarse = xr.open_dataset(folder / 'own.nc').isel(time=[0])
    model = load(trained, {'sampling.conserve': True})
    found = model.downscale(coarse, members=1)
    for name, scale in zip(NAMES, model.prepared.transform_as(BlockMeans).values.std, strict=True):
        back = block_mean(found[name].values[0, 0][..., None], FACTOR, model.prepared.area)[..., 0]
        np.testing.assert_allclose(back, coarse[name].values[0], atol=1e-5 * max(scale, 1) + 1e-4)
    assert found['tp'].values.min() >= 0


def test_another_region_by_its_topography(trained, model, folder):
    """Zero shot: a grid of another size and place, a part of which does not exist."""
    from downscale_jax import run as runs

    source, output, grid = (folder / name for name in ('other.nc', 'other_fine.zarr', 'grid.nc'))
    runs.downscale(trained, {}, runs.Downscaling(str(source), str(output), str(grid), MEMBERS))
    with xr.open_dataset(grid) as statics, xr.open_zarr(output, consolidated=False) as found:
        assert found['tp'].shape == (MEMBERS, 2, 50, 40)
        outside = np.broadcast_to(statics['mask'].values == 0, found['tp'].shape)
        for name in NAMES:
            np.testing.assert_array_equal(np.isnan(found[name].values), outside)
        np.testing.assert_array_equal(found['lat'], statics['lat'])
        lowland = model.downscale(
            xr.open_dataset(source), members=MEMBERS, statics=statics.assign(topography=0 * statics['topography'])
        )
        away = np.abs(lowland['t2m'].values - found['t2m'].values)[~outside]
        assert away.mean() > 1e-3  # topography is seen


def test_another_region_by_era5s_own_file(trained, model, folder, caplog):
    """A geopotential and a share of land at one time, from the north, and no mask: as if they had the names of
    training."""
    from downscale_jax import run as runs

    with xr.open_dataset(folder / 'grid.nc') as grid:
        statics = grid.load().drop_vars('mask').isel(lat=slice(None, None, -1))
    z, lsm = 9.80665 * statics['topography'], statics['land'].astype('f4')
    z.attrs, lsm.attrs = {'units': 'm**2 s**-2', 'standard_name': 'geopotential'}, {'units': '(0 - 1)'}
    era5 = xr.Dataset({'z': z, 'lsm': lsm}).rename(lat='latitude', lon='longitude')
    era5.expand_dims(time=[np.datetime64('2000-01-01', 'ns')]).to_netcdf(folder / 'era5.nc')
    source, output, own = (str(folder / name) for name in ('other.nc', 'era5_fine.nc', 'era5.nc'))
    caplog.set_level('INFO')
    runs.downscale(trained, {}, runs.Downscaling(source, output, own, 2))
    assert f"{own}: mask everywhere, topography from 'z', land from 'lsm'" in caplog.text
    with xr.open_dataset(folder / 'other.nc') as coarse, xr.open_dataset(folder / 'era5_fine.nc') as found:
        expected = model.downscale(coarse, members=2, statics=statics)
        for name in NAMES:
            assert np.isfinite(found[name].values).all()
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ('source', 'grid', 'parts'),
    [
        (
            'other.nc',
            'no_topography.nc',
            [
                "data.context names 'topography', which the fine grid of",
                'no_topography.nc does not have on its 50 x 40 cells',
                "found mask, land; looked for 'topography', a standard_name of altitude",
            ],
        ),
        ('other.nc', '', ['other.nc is on another grid (5 x 4 cells; blocks of 10', '--statics']),
        ('own.nc', 'grid.nc', ['own.nc is on another grid (4 x 8 cells; blocks of 10', '5 x 4)']),
        ('grid.nc', 'grid.nc', ["no variable 't2m'"]),
    ],
)
def test_mistakes_of_downscaling(trained, folder, source, grid, parts):
    from downscale_jax import run as runs
    from downscale_jax.runtime.errors import UserError

    output = folder / 'never.zarr'
    wanted = runs.Downscaling(str(folder / source), str(output), str(folder / grid) if grid else '')
    with pytest.raises(UserError) as error:
        runs.downscale(trained, {}, wanted)
    assert all(part in str(error.value) for part in parts), error.value
    assert '\n' not in str(error.value)
    assert not output.exists()
    assert not list(folder.glob('.never*'))


def test_a_baseline_that_is_none(trained):
    from data_prep.prepare import prepare
    from downscale_jax import run as runs
    from downscale_jax.runtime.errors import UserError

    before = (trained / 'scores.json').read_bytes()
    with pytest.raises(UserError, match=r"evaluation\.baselines='linar' is unknown: did you mean 'linear'"):
        runs.evaluate(trained, {'evaluation.baselines': ('linar',)}, prepare)
    assert (trained / 'scores.json').read_bytes() == before
