"""What is chosen from two files, and 40 wrong pairs: each is refused in one line before anything is prepared."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data_prep.choices import choose, quantity_of, split
from data_prep.prepare import prepare
from data_prep.records.pairs import simulated_pair
from data_prep.simulators import coarse_model
from data_prep.simulators.coarse_model import simulate
from downscale_jax.runtime.errors import UserError

ROOT = Path(__file__).parents[2]
TIMES = pd.date_range('2001-01', periods=60, freq='MS').values


def fields(rows, columns, step, south, west, **units):
    """Monthly fields (time, lat, lon) on cells of `step` degrees."""
    rng = np.random.default_rng(rows)
    values = rng.gamma(2.0, 2.0, (len(TIMES), rows, columns)).astype(np.float32)
    return xr.Dataset(
        {
            name: (('time', 'lat', 'lon'), values + (280 if unit == 'K' else 0), {'units': unit})
            for name, unit in units.items()
        },
        {
            'time': TIMES,
            'lat': ('lat', south + step * (np.arange(rows) + 0.5), {'units': 'degrees_north'}),
            'lon': ('lon', west + step * (np.arange(columns) + 0.5), {'units': 'degrees_east'}),
        },
    )


@pytest.fixture
def pair():
    """A coarse grid of 2 degrees around a fine one of half a degree."""
    coarse = fields(6, 8, 2.0, 40.0, 0.0, tas='K', pr='kg m-2 s-1', ua='m s-1')
    coarse['pr'] = (coarse['pr'] / 86400).assign_attrs(units='kg m-2 s-1', standard_name='precipitation_flux')
    fine = fields(16, 20, 0.5, 42.0, 2.0, t2m='K', tp='mm day-1')
    fine['t2m'].attrs['standard_name'] = 'air_temperature'
    return {'coarse': coarse, 'fine': fine}


@pytest.fixture
def chosen(tmp_path):
    """chosen({'coarse': data set, 'fine': data set}, **settings of `data`) -> the config with its choices made."""

    def call(pair, **settings):
        config = runpy.run_path(ROOT / 'configs' / 'pairs.py')['get_config']('smoke').to_dict()
        for name, dataset in pair.items():
            config['data'][name] = str(tmp_path / f'{name}.nc')
            dataset.to_netcdf(config['data'][name])
        config['data'].update(settings)
        return choose(config)

    return call


def test_choices_follow_from_the_files(pair, chosen):
    data = chosen(pair)['data']
    assert data['predictors'] == ('tas', 'pr', 'ua')
    assert data['targets'] == ('t2m', 'tp')
    assert data['sources'] == ('tas', 'pr')
    assert data['target_units'] == ('K', 'mm day-1')
    assert data['predictor_units'] == ('K', 'mm day-1', 'm s-1')
    assert data['transform'] == ('standard', 'log1p')
    assert data['predictor_transform'] == ('standard', 'log1p', 'standard')
    assert data['bounds'] == ((-np.inf, np.inf), (0, np.inf))
    assert (data['train'], data['validation'], data['test']) == (
        (('2001', '2003'),),
        (('2004', '2004'),),
        (('2005', '2005'),),
    )
    assert data['context'] == ('season',)
    assert data['patch'] == 20  # of the 16 x 20 cells, in strides of 4


def test_given_settings_are_kept(pair, chosen):
    given = {'predictors': ('ua', 'tas'), 'targets': ('t2m',), 'target_units': ('degC',), 'context': ('latitude',)}
    config = chosen(pair, **given)
    assert {key: config['data'][key] for key in given} == given
    assert config['data']['predictor_units'] == ('m s-1', 'degC')
    assert config['evaluation']['baselines'] == ('interpolation', 'quantile_mapping', 'linear_regression')


def test_a_target_without_a_predictor_of_its_kind_has_no_interpolation(pair, chosen):
    config = chosen(pair, predictors=('ua', 'tas'))
    assert config['data']['sources'] == ('tas', '')
    assert config['evaluation']['baselines'] == ('linear_regression',)


def test_other_kinds_of_data_have_nothing_open():
    config = {'data': {'kind': 'block_means'}}
    assert choose(config) is config


def test_topography_of_either_file_is_context(pair, chosen):
    heights = {'units': 'm', 'standard_name': 'surface_altitude'}
    fine = pair['fine'].assign(orog=(('lat', 'lon'), np.ones((16, 20)), heights))
    assert chosen({**pair, 'fine': fine})['data']['context'] == ('season', 'topography', 'land')
    coarse = pair['coarse'].assign(orog=(('lat', 'lon'), np.ones((6, 8)), heights))
    data = chosen({**pair, 'coarse': coarse})['data']
    assert data['context'] == ('season', 'topography', 'land')
    assert data['relief'] == data['coarse']


def test_a_geopotential_on_levels_is_no_topography(pair, chosen):
    values = 5e4 + np.zeros((len(TIMES), 2, 6, 8), np.float32)
    attrs = {'units': 'm2 s-2', 'standard_name': 'geopotential'}
    levels = ('plev', [500.0, 850.0], {'units': 'hPa', 'axis': 'Z'})
    coarse = pair['coarse'].assign(z=(('time', 'plev', 'lat', 'lon'), values, attrs)).assign_coords(plev=levels)
    for some, names in ((coarse, ('z_500', 'z_850')), (coarse.isel(plev=[0]), ('z',))):
        data = chosen({**pair, 'coarse': some})['data']
        assert set(names) < set(data['predictors'])
        assert (data['context'], data['relief']) == (('season',), '')


def test_the_coarse_field_of_a_target_is_at_its_level_and_no_extreme(pair, chosen):
    temperature = {'units': 'K', 'standard_name': 'air_temperature'}
    levels = ('plev', [500.0, 850.0], {'units': 'hPa', 'axis': 'Z'})
    dims, values = ('time', 'lat', 'lon'), pair['coarse']['tas'].values
    coarse = xr.Dataset(
        {
            'ta': (('time', 'plev', *dims[1:]), np.stack([values, values], 1), temperature),
            'tasmax': (dims, values + 5, {**temperature, 'cell_methods': 'time: maximum'}),
            'tas': (dims, values, temperature),
        },
        pair['coarse'].coords,
    ).assign_coords(plev=levels)
    daily = {**temperature, 'cell_methods': 'time: maximum'}
    fine = pair['fine'].assign(tx=pair['fine']['t2m'].assign_attrs(daily))[['t2m', 'tx']]
    assert chosen({'coarse': coarse, 'fine': fine})['data']['sources'] == ('tas', 'tasmax')
    named = coarse.drop_vars('ta').assign(t_850=coarse['tas'].assign_attrs(temperature))
    assert chosen({'coarse': named, 'fine': fine})['data']['sources'] == ('tas', 'tasmax')
    assert chosen({'coarse': named[['t_850']], 'fine': fine})['data']['sources'] == ('', '')
    coarse['t_ground'] = coarse['tas']
    with pytest.raises(UserError, match=r"could all be the coarse field of 'tx2'.*data\.sources"):
        chosen({'coarse': coarse.drop_vars('tas').assign(other=coarse['tas']), 'fine': fine.rename(t2m='tx2')})


def test_a_source_is_read_in_the_units_of_its_target(pair, chosen):
    with pytest.raises(UserError, match=r"data\.predictor_units: 'pr' is read in 'kg m-2 s-1'.* 'mm day-1'"):
        chosen(pair, predictor_units=('K', '', 'm s-1'))
    units = ('K', 'kg m-2 day-1', 'm s-1')  # the same numbers as in mm day-1
    assert chosen(pair, predictor_units=units)['data']['predictor_units'] == units


def test_units_of_ecmwfs_monthly_means_are_per_day(pair, chosen):
    tp = (pair['fine']['tp'] / 1000).assign_attrs(units='m', GRIB_stepType='avgad')
    data = chosen({**pair, 'fine': pair['fine'].assign(tp=tp)})['data']
    assert data['target_units'] == ('K', 'mm day-1')
    sf = (pair['coarse']['pr'] * 86.4).assign_attrs(units='m', GRIB_stepType='avgad', standard_name='')
    data = chosen({**pair, 'coarse': pair['coarse'].assign(sf=sf)})['data']
    assert data['predictor_units'] == ('K', 'mm day-1', 'm s-1', 'm day-1')


@pytest.mark.parametrize(
    ('attrs', 'transform', 'bounds'),
    [
        ({'standard_name': 'sea_ice_area_fraction'}, 'standard', (0, 1)),
        ({'standard_name': 'mass_concentration_of_pm2p5_ambient_aerosol_in_air'}, 'standard', (0, np.inf)),
        ({'standard_name': 'tendency_of_sea_ice_thickness_due_to_thermodynamics'}, 'standard', (-np.inf, np.inf)),
        ({'standard_name': 'precipitation_flux', 'long_name': 'anomaly of rain'}, 'standard', (-np.inf, np.inf)),
        ({'standard_name': 'precipitation_flux'}, 'log1p', (0, np.inf)),
    ],
)
def test_bounds_of_a_quantity(attrs, transform, bounds):
    found = quantity_of(xr.DataArray(0.0, attrs=attrs), 'q')
    assert (found.transform, found.bounds) == (transform, bounds)


@pytest.mark.parametrize(
    ('first', 'last', 'expected'),
    [
        ('2018-01-01', '2022-03-31', (('2018', '2019'), ('2020', '2020'), ('2021', '2022'))),
        ('2000-01-01', '2003-01-01', (('2000', '2000'), ('2001', '2001'), ('2002', '2003'))),
        ('1999-11-01', '2009-12-31', (('1999', '2006'), ('2007', '2007'), ('2008', '2009'))),
    ],
)
def test_an_incomplete_year_is_no_split_of_its_own(first, last, expected):
    splits = split(pd.date_range(first, last).values)
    assert tuple(splits[name] for name in ('train', 'validation', 'test')) == tuple((years,) for years in expected)


def test_dimensions_of_any_name_with_2d_coordinates(pair, chosen):
    fine = pair['fine']
    lat, lon = (
        xr.DataArray(plane, dims=('eta', 'xi')) for plane in np.meshgrid(fine['lat'], fine['lon'], indexing='ij')
    )
    planes = {
        'lat_rho': lat.assign_attrs(units='degrees_north', standard_name='latitude'),
        'lon_rho': lon.assign_attrs(units='degrees_east', standard_name='longitude'),
    }
    fine = fine.drop_vars(['lat', 'lon']).rename(lat='eta', lon='xi').assign_coords(planes)
    config = chosen({**pair, 'fine': fine}, targets=('t2m', 'tp'))
    assert config['data']['patch'] == 20


def test_a_single_coarse_row(pair, chosen, tmp_path):
    data = chosen({**pair, 'coarse': pair['coarse'].isel(lat=[2])}, predictors=('tas', 'pr'))['data']
    prepared = prepare(data, 0, tmp_path / 'data')
    assert prepared.meta['kernel_km'] == pytest.approx(2 * 111.2 * np.cos(np.deg2rad(45)), rel=0.01)


def test_a_short_period_is_split_into_blocks_of_all_seasons():
    days = pd.date_range('2001-01-01', periods=200).values
    parts = split(days)
    assert [len(parts[name]) for name in ('train', 'validation', 'test')] == [14, 2, 4]
    assert parts['test'][0] == ('2001-02-10T00:00:00', '2001-02-19T00:00:00')


def with_attrs(**attrs):
    return lambda data: data.assign({name: data[name].assign_attrs(units=unit) for name, unit in attrs.items()})


def without_units(name):
    def change(data):
        del data[name].attrs['units']
        return data

    return change


def shifted(data):
    return data.assign_coords(time=data['time'] + np.timedelta64(36525, 'D'))


def twice(data):
    return xr.concat([data, data.isel(time=[3])], 'time').sortby('time')


def texts(data):
    return data.assign({name: (array.dims, np.full(array.shape, 'warm')) for name, array in data.items()})


def elsewhere(data):
    return data.assign_coords(lat=data['lat'] - 90)


def cells_only(data):
    return data.drop_vars(['lat', 'lon']).rename(lat='y', lon='x')


def zigzag(data):
    return data.isel(lat=[0, 2, 1, *range(3, data.sizes['lat'])])


def missing(data):
    return data.assign({name: array * np.nan for name, array in data.items()})


def missing_in_training(data):
    return data.where(data['time.year'] > 2003)


def constant(data):
    return data.assign(t2m=data['t2m'] * 0 + 280)


def without_time(data):
    return data.isel(time=0, drop=True)


def no_dates(data):
    return data.assign_coords(time=np.arange(data.sizes['time']))


def renamed_level(data):
    return data.assign(ua_850=data['ua']).assign(
        ua=data['ua'].expand_dims(plev=[850.0, 500.0]).assign_attrs(data['ua'].attrs)
    )


WRONG_FILES = {
    'fine without units': ('fine', without_units('t2m'), 'target_units'),
    'fine in unknown units': ('fine', with_attrs(t2m='furlongs'), 'furlongs'),
    'fine in no period of the coarse': ('fine', shifted, 'in common'),
    'coarse in no period of the fine': ('coarse', shifted, 'in common'),
    'fine time twice': ('fine', twice, '2001-04-01'),
    'coarse time twice': ('coarse', twice, '2001-04-01'),
    'fine time backwards': ('fine', lambda data: data.isel(time=slice(None, None, -1)), 'increase'),
    'words instead of numbers': ('fine', texts, 'no variable'),
    'fine elsewhere': ('fine', elsewhere, 'overlap'),
    'coarse elsewhere': ('coarse', elsewhere, 'overlap'),
    'fine without coordinates': ('fine', cells_only, 'coordinates'),
    'coarse without coordinates': ('coarse', cells_only, 'coordinates'),
    'fine rows out of order': ('fine', zigzag, 'monotonic'),
    'fine all missing': ('fine', missing, 'no values'),
    'coarse all missing': ('coarse', missing, 'no values'),
    'fine missing in training': ('fine', missing_in_training, 'missing'),
    'constant target': ('fine', constant, 'constant'),
    'fine without time': ('fine', without_time, 'time'),
    'coarse without time': ('coarse', without_time, 'time'),
    'times without dates': ('fine', no_dates, 'time'),
    'a single time': ('fine', lambda data: data.isel(time=[0]), 'times'),
    'few times': ('fine', lambda data: data.isel(time=slice(0, 24)), 'times'),
    'no variables': ('fine', lambda data: data[[]], 'variable'),
    'two fields of one name': ('coarse', renamed_level, 'ua_850'),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG_FILES)
def test_wrong_files(name, pair, chosen, tmp_path):
    which, change, word = WRONG_FILES[name]
    with pytest.raises(UserError) as error:
        prepare(chosen({**pair, which: change(pair[which])})['data'], 0, tmp_path / 'data')
    message = str(error.value)
    assert word in message
    assert '\n' not in message
    assert not list((tmp_path / 'data').glob('*')) if (tmp_path / 'data').exists() else True


def test_swapped_files(pair, chosen):
    with pytest.raises(UserError) as error:
        chosen({'coarse': pair['fine'], 'fine': pair['coarse']})
    message = str(error.value)
    assert all(word in message for word in ('data.coarse', 'data.fine', 'km')), message


def test_a_pair_on_one_grid(pair, chosen):
    assert chosen({'coarse': pair['fine'], 'fine': pair['fine']})['data']['targets'] == ('t2m', 'tp')


WRONG_SETTINGS = {
    'a predictor that is not there': ({'predictors': ('tas', 'hus')}, 'hus'),
    'a target that is not there': ({'targets': ('tmax',)}, 'tmax'),
    'a predictor twice': ({'predictors': ('tas', 'tas')}, 'duplicates'),
    'units of one target only': ({'target_units': ('K',)}, 'target_units'),
    'units as a word': ({'target_units': 'K'}, 'target_units'),
    'units that do not convert': ({'target_units': ('mm', 'mm day-1')}, 'target_units'),
    'predictor units that do not convert': ({'predictor_units': ('K', 'K', 'm s-1')}, 'predictor_units'),
    'an unknown transform': ({'transform': ('standard', 'sqrt')}, 'sqrt'),
    'an unknown predictor transform': ({'predictor_transform': ('standard',) * 2 + ('root',)}, 'root'),
    'one pair of bounds': ({'bounds': ((0.0, 1.0),)}, 'bounds'),
    'reversed bounds': ({'bounds': ((1.0, 0.0), (0.0, np.inf))}, 'bounds'),
    'a source that is no predictor': ({'predictors': ('tas', 'pr'), 'sources': ('tas', 'rain')}, 'rain'),
    'only one split': ({'train': (('2001', '2003'),)}, 'validation'),
    'splits that overlap': (
        {'train': (('2001', '2004'),), 'validation': (('2004', '2004'),), 'test': (('2005', '2005'),)}, '2004'
    ),
    'a split outside': (
        {'train': (('2001', '2003'),), 'validation': (('2004', '2004'),), 'test': (('2015', '2015'),)}, '2015'
    ),
    'a member of no ensemble': ({'member': 3}, 'member'),
    'context that is not there': ({'context': ('slope',)}, 'slope'),
    'topography that is not there': ({'context': ('topography',)}, 'topography'),
    'a relief that is not there': ({'context': ('topography',), 'relief': 'nowhere.nc'}, 'nowhere.nc'),
    'log of a tiny amount': ({'target_units': ('K', 'km day-1')}, 'log1p'),
    'no fine file': ({'fine': ''}, 'data.fine'),
    'no coarse file': ({'coarse': ''}, 'data.coarse'),
    'a file that does not exist': ({'fine': 'no_such_file.nc'}, 'no_such_file.nc'),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG_SETTINGS)
def test_wrong_settings(name, pair, chosen, tmp_path):
    settings, word = WRONG_SETTINGS[name]
    with pytest.raises(UserError) as error:
        prepare(chosen(pair, **settings)['data'], 0, tmp_path / 'data')
    assert word in str(error.value)
    assert '\n' not in str(error.value)


def test_the_same_file_twice(pair, chosen, tmp_path):
    with pytest.raises(UserError, match=r'coarse\.nc: a pair is two different sources'):
        chosen(pair, fine=str(tmp_path / 'coarse.nc'))


def test_a_pair_is_simulated_once_for_its_choices_and_its_records(monkeypatch, tmp_path):
    config = runpy.run_path(ROOT / 'configs' / 'pairs.py')['get_config']('smoke').to_dict()
    config['data']['simulate'] = {'rows': 16, 'columns': 20, 'months': 60}
    simulated_pair.cache_clear()
    runs = []

    def counted(*sizes):
        runs.append(sizes)
        return simulate(*sizes)

    monkeypatch.setattr(coarse_model, 'simulate', counted)
    prepare(choose(config)['data'], config['seed'], tmp_path)
    assert runs == [(0, 16, 20, 60)]
