"""Every system on a rotated, a Lambert and a curvilinear grid: trained, scored, and used."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.projections import geographic
from downscale_jax.runtime.settings import flatten

ROOT = Path(__file__).parents[1]
FACTOR, ROWS, COLUMNS, DAYS = 4, 32, 40, 12
ONE_STEP = {'steps': 1, 'warmup': 0, 'optimizer': 'sgd'}  # compiles in less time than Muon
NAMES = ('t2m', 'tp')
POLE = {
    'grid_mapping_name': 'rotated_latitude_longitude',
    'grid_north_pole_latitude': 39.25,
    'grid_north_pole_longitude': 198.0,
}
LAMBERT = {'grid_mapping_name': 'lambert_conformal_conic', 'standard_parallel': 45.0}


def grid(kind, cell=1, around=0):
    """Cells of 0.11 degrees in central Europe, described by a rotated pole, a Lambert projection or none; or of so
    many of them a side, and so many more cells around."""
    rlat, rlon = (
        first + 0.11 * (cell * np.arange(-around, count // cell + around) + (cell - 1) / 2)
        for first, count in ((-2, ROWS), (-3, COLUMNS))
    )
    rlat = rlat[::-1]
    lat, lon = geographic(rlat, rlon, POLE)
    planes = {'lat': (('y', 'x'), lat, {'units': 'degrees_north'}), 'lon': (('y', 'x'), lon, {'units': 'degrees_east'})}
    if kind == 'rotated':
        degrees = {'standard_name': 'grid_latitude', 'units': 'degrees'}
        axes = {'rlat': ('y', rlat, degrees), 'rlon': ('x', rlon, {**degrees, 'standard_name': 'grid_longitude'})}
        return {**planes, **axes, 'rotated_pole': ((), 0, POLE)}
    if kind == 'lambert':
        kilometres = {
            name: (name, 12.2 * values / 0.11, {'units': 'km', 'standard_name': f'projection_{name}_coordinate'})
            for name, values in (('y', rlat), ('x', rlon))
        }
        return {**planes, **kilometres, 'crs': ((), 0, LAMBERT)}
    return planes


def dataset(kind):
    rng = np.random.default_rng(0)
    time = np.datetime64('2000-01-01', 'ns') + np.arange(DAYS) * np.timedelta64(1, 'D')
    mapping = {'rotated': {'grid_mapping': 'rotated_pole'}, 'lambert': {'grid_mapping': 'crs'}}.get(kind, {})
    shape = DAYS, ROWS, COLUMNS
    values = {'t2m': (280 + 5 * rng.normal(size=shape), 'K'), 'tp': (rng.gamma(1.0, 3.0, size=shape), 'mm day-1')}
    data = xr.Dataset(
        {n: (('time', 'y', 'x'), v.astype('f4'), {'units': u, **mapping}) for n, (v, u) in values.items()},
        {'time': time, **grid(kind)},
    )
    return data.swap_dims(y='rlat', x='rlon') if kind == 'rotated' else data


DATES = {
    'data.train': (('2000-01-01', '2000-01-06'),),
    'data.validation': (('2000-01-07', '2000-01-09'),),
    'data.test': (('2000-01-10', '2000-01-12'),),
}
FEW = {
    'evaluation.records': 2, 'evaluation.members': 2, 'evaluation.calibration_records': 0, 'evaluation.window': 16,
    # measures that depend on positions or distances, and the maps
    'evaluation.measures': ('examples', 'pointwise', 'scales', 'spectra', 'semivariogram', 'places'),
}  # fmt: skip
SMALL = {'training.validate_every': 1, 'training.log_every': 1, 'training.batch_size': 8}
BLOCKS = {
    'data.variables': NAMES, 'data.factor': FACTOR, 'data.patch': 16, 'data.mean': 'physical',
    'data.transform': ('standard', 'log1p'), 'sampling.overlap': 8, 'sampling.conserve': True,
}  # fmt: skip
SETTINGS = {
    'atmodist': {
        'data.variables': NAMES, 'data.step_hours': 24, 'data.lags': 2, 'data.patch': 16,
        'evaluation.pairs': 16, 'training.main': ONE_STEP, 'evaluation.untrained_rival': False,
        'model.widths': (8,),
    },
    'srgan': {
        **BLOCKS, 'training.mse': ONE_STEP, 'training.gan': ONE_STEP, 'training.phases': ('mse', 'gan'),
    },
    'diffusion_dpdm': {
        **BLOCKS, 'rivals': (), 'data.context': ('season', 'latitude'), 'training.main': ONE_STEP,
        'sampling.steps': 1,
    },
    'diffusion_sit': {
        'data.target': 't2m', 'data.inputs': NAMES, 'data.kernel_km': (50.0, 50.0), 'data.spacing_km': (25.0, 25.0),
        'data.bounds': ((-np.inf, np.inf),), 'training.main': ONE_STEP, 'data.patch': 16, 'sampling.steps': 1,
        'evaluation.regimes': (), 'evaluation.zones': (), 'data.patches_per_record': 2,
    },
}  # fmt: skip


def config(system, path):
    settings = runpy.run_path(str(ROOT / 'configs' / f'{system}.py'))['get_config']('smoke')
    known = flatten(settings.to_dict())
    for key, value in {'data.path': str(path), **DATES, **FEW, **SMALL, **SETTINGS[system]}.items():
        inner = {f'{key}.{name}': each for name, each in value.items()} if isinstance(value, dict) else {key: value}
        with settings.unlocked(), settings.ignore_type():
            settings.update_from_flattened_dict({k: v for k, v in inner.items() if k in known})
    return settings.to_dict()


@pytest.mark.parametrize(
    ('system', 'kind'),
    [
        ('atmodist', 'curvilinear'),
        ('srgan', 'lambert'),
        ('diffusion_dpdm', 'rotated'),
        ('diffusion_sit', 'curvilinear'),
    ],
)
def test_a_system_on_a_grid(system, kind, blank_figures, tmp_path):
    from data_prep.prepare import prepare
    from downscale_jax import load
    from downscale_jax.fields.geometry.blocks import block_mean
    from downscale_jax.run import train

    data = dataset(kind)
    data.to_netcdf(tmp_path / 'fine.nc')
    train(config(system, tmp_path / 'fine.nc'), tmp_path / 'run', prepare)
    assert json.loads((tmp_path / 'run' / 'scores.json').read_text())
    model = load(tmp_path / 'run')
    last = data.isel(time=slice(-2, None))
    north_up = last.isel({last['t2m'].dims[1]: slice(None, None, -1)})
    if system == 'atmodist':
        np.testing.assert_array_equal(model.distance(last, north_up), 0)
        return
    if system == 'diffusion_sit':
        coarse = last
    else:
        coarse = north_up.coarsen(dict.fromkeys(north_up['t2m'].dims[1:], FACTOR)).mean()
        for name in (*NAMES, 'lat', 'lon', *north_up['t2m'].dims[1:]):
            if name in coarse:
                coarse[name].attrs = data[name].attrs
    found = model.downscale(coarse, members=1)
    for name, (_, values, _) in grid(kind).items():
        np.testing.assert_allclose(found[name], values * (1000 if name in ('y', 'x') else 1))
    expected = {'rotated': 'rotated_pole', 'lambert': 'crs'}.get(kind)
    assert found['t2m'].attrs.get('grid_mapping') == expected
    if system != 'diffusion_sit':  # whose fields conserve the means of their own cells
        means = block_mean(found['t2m'].values[0][..., None], FACTOR, model.prepared.area)[..., 0]
        np.testing.assert_allclose(means, coarse['t2m'].values[:, ::-1], rtol=1e-5)


def on_the_sphere(lat, lon):
    """A smooth field in K, the same function of place on every grid."""
    north, east = np.deg2rad(lat), np.deg2rad(lon)
    return 280 + 20 * np.sin(2 * north) + 15 * np.cos(north) * np.sin(3 * east)


def smooth(path, kind, cell=1, around=0):
    """Writes the field at two times; the regular grid lies within the others, or around them where it is coarse."""
    if kind == 'regular':
        north, east = ((49.5, 51.5), (15.2, 18.2)) if cell == 1 else ((45, 55), (10, 26))
        axes = {'lat': ('lat', np.arange(*north, 0.11 * cell)), 'lon': ('lon', np.arange(*east, 0.15 * cell))}
        dims, places = ('lat', 'lon'), np.meshgrid(axes['lat'][1], axes['lon'][1], indexing='ij')
    else:
        axes, dims = grid(kind, cell, around), ('y', 'x')
        places = axes['lat'][1], axes['lon'][1]
        axes['lon'] = (dims, axes['lon'][1] % 360, axes['lon'][2])
    mapping = {'rotated': {'grid_mapping': 'rotated_pole'}, 'lambert': {'grid_mapping': 'crs'}}.get(kind, {})
    values = np.stack([on_the_sphere(*places), on_the_sphere(*places) + 1])
    time = np.array(['2000-01-01', '2000-01-02'], 'M8[ns]')
    data = xr.Dataset({'t2m': (('time', *dims), values, {'units': 'K', **mapping})}, {'time': time, **axes})
    data.to_netcdf(path)


@pytest.mark.parametrize('kind', ['rotated', 'lambert', 'curvilinear'])
@pytest.mark.parametrize('side', ['coarse', 'fine', 'both'])
def test_a_pair_meets_where_it_lies_on_the_sphere(kind, side, tmp_path):
    from data_prep.readers.pairs import read_pair
    from data_prep.records.pairs import PairedFields, cut_around, grid_of

    coarse, fine = ('regular' if side == other else kind for other in ('fine', 'coarse'))
    smooth(tmp_path / 'coarse.nc', coarse, 4, 3)
    smooth(tmp_path / 'fine.nc', fine)
    data = {'member': 0, 'assume_units': False, 'predictors': ('t2m',), 'targets': ('t2m',)}
    data |= {'predictor_units': ('K',), 'target_units': ('K',)}
    data |= {name: str(tmp_path / f'{name}.nc') for name in ('coarse', 'fine')}
    pair = read_pair(data)
    fields = PairedFields(cut_around(pair.coarse, pair.fine), grid_of(pair.fine), data)
    (first, _), (truth, _) = fields.coarse(cut_around(pair.coarse, pair.fine)), fields.fine(pair.fine)
    np.testing.assert_allclose(fields.interpolated(first), truth, atol=0.02)  # cells differ by 0.1


@pytest.mark.parametrize('kind', ['rotated', 'lambert', 'curvilinear'])
@pytest.mark.parametrize('system', ['atmodist', 'diffusion_dpdm', 'diffusion_sit'])
def test_positions_and_areas_of_prepared_data(system, kind, tmp_path):
    from data_prep.prepare import prepare
    from downscale_jax.fields.geometry.grid import valid_area

    dataset(kind).to_netcdf(tmp_path / 'fine.nc')
    settings = config(system, tmp_path / 'fine.nc')
    statics = prepare(settings['data'], settings['seed'], tmp_path / 'data').statics
    for name, (_, values, _) in grid(kind).items():
        np.testing.assert_allclose(statics[name], values * (1000 if name in ('y', 'x') else 1))
    rlat = -2 + 0.11 * np.arange(ROWS)[::-1, None]
    expected = (0.11 * np.pi / 180 * 6371) ** 2 * np.cos(np.deg2rad(rlat))  # km2
    np.testing.assert_allclose(valid_area(statics), np.broadcast_to(expected, (ROWS, COLUMNS)), rtol=0.01)
