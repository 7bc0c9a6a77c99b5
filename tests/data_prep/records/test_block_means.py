"""Records of fine fields: what is kept of a file, what is told of what is not, and what a user may have got wrong."""

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.geometry.blocks import block_mean, interpolate
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

START = np.datetime64('2001-01-01', 'ns')
SIX_HOURS = np.timedelta64(6, 'h')
TIMES, ROWS, COLUMNS = 32, 10, 18  # eight days; cells of 20 degrees
INFINITY = float('inf')
DAYS = {'train': ('2001-01-01', '2001-01-04'), 'validation': ('2001-01-05', '2001-01-06'), 'test': ('2001-01-07',) * 2}
PARTS = {'train': slice(16), 'validation': slice(16, 24), 'test': slice(24, 28)}


def series():
    """Vorticity tells where and when, in 1e-9 s-1: 10000 t + 100 row + column; divergence is noise."""
    t, row, column = np.meshgrid(np.arange(TIMES), np.arange(ROWS), np.arange(COLUMNS), indexing='ij')
    code = 1e-9 * (10_000 * t + 100 * row + column)
    noise = 1e-5 * np.random.default_rng(0).standard_t(3, code.shape)
    dims = ('time', 'lat', 'lon')
    return xr.Dataset(
        {
            'vorticity': (dims, code.astype('f4'), {'units': 's-1', 'long_name': 'of the wind'}),
            'divergence': (dims, noise.astype('f4'), {'units': 's-1'}),
        },
        {
            'time': START + np.arange(TIMES) * SIX_HOURS,
            'lat': ('lat', -80.0 + 160 / 9 * np.arange(ROWS), {'units': 'degrees_north'}),
            'lon': ('lon', 20.0 * np.arange(COLUMNS), {'units': 'degrees_east'}),
        },
    )


def section(path='', **changes) -> dict:
    return {
        'kind': 'block_means',
        'path': str(path),
        'simulate': {},
        'variables': ('vorticity', 'divergence'),
        'level': 0.0,
        **{split: (days,) for split, days in DAYS.items()},
        'factor': 2,
        'patch': 4,
        'mean': 'network',
        'transform': 'log',
        'anomaly': False,
        'bounds': ((-INFINITY, INFINITY),) * 2,
        **changes,
    }


def write(folder, fields):
    fields.to_netcdf(folder / 'fields.nc')
    return folder / 'fields.nc'


def stacked(fields, part='train'):
    return np.stack([fields[name].values[PARTS[part]] for name in ('vorticity', 'divergence')], -1)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    fields = series()
    return prepare(section(write(folder, fields)), 0, folder / 'prepared'), fields


def test_records_are_the_times_of_each_split_in_order(whole):
    prepared, fields = whole
    assert prepared.meta['records'] == {'train': 16, 'validation': 8, 'test': 4}
    for name, part in PARTS.items():
        split = prepared.split(name)
        np.testing.assert_array_equal(split.times, fields['time'].values[part])
        for record, expected in zip((split[i] for i in range(len(split))), stacked(fields, name), strict=True):
            assert record['fine'].dtype == np.float32
            np.testing.assert_array_equal(record['fine'], expected)


def test_statics(whole):
    prepared, fields = whole
    assert prepared.mask.shape == (ROWS, COLUMNS)
    assert prepared.mask.all()
    assert prepared.periodic
    np.testing.assert_array_equal(prepared.statics['lat'], fields['lat'])
    np.testing.assert_array_equal(prepared.statics['lon'], fields['lon'])
    area, lat = prepared.statics['cell_area'], fields['lat'].values
    assert area.attrs['units'] == 'km2'
    np.testing.assert_allclose(area[5, 3] / area[8, 3], np.cos(np.deg2rad(lat[5])) / np.cos(np.deg2rad(lat[8])), 1e-5)
    np.testing.assert_allclose(
        area[5, 3], 6371**2 * np.prod(np.deg2rad([160 / 9, 20])) * np.cos(np.deg2rad(lat[5])), 1e-4
    )


def test_what_is_told_beside_the_records(whole):
    prepared, fields = whole
    train = stacked(fields)
    np.testing.assert_array_equal(prepared.meta['range'], np.stack([train.min((0, 1, 2)), train.max((0, 1, 2))], -1))
    assert prepared.meta['attributes']['vorticity']['units'] == 's-1'
    assert (prepared.meta['kind'], prepared.meta['idealised']) == ('block_means', False)
    transform = prepared.field_transform
    assert transform == prepared.transform_as(BlockMeans)
    assert (transform.factor, transform.mean, transform.anomaly) == (2, 'network', False)
    assert transform.bounds == ((-INFINITY, INFINITY),) * 2
    assert transform.target_std == (1.0, 1.0)
    assert transform.target_units == ('s-1', 's-1')


def test_the_transform_is_that_of_lag_pairs(whole, tmp_path):
    # an AtmoDist trained on this series sees the same fields
    prepared, fields = whole
    data = section(write(tmp_path, fields), kind='lag_pairs', step_hours=6, lags=2, patch=4, pairs_per_time=1)
    pairs = prepare({**data, 'latitudes': (-60.0, 60.0)}, 0, tmp_path / 'prepared')
    assert prepared.transform_as(BlockMeans).values == pairs.transform_as(Standardisation)
    x = stacked(fields).astype('f8').reshape(-1, 2)
    y = np.sign(x - x.mean(0)) * np.log(1 + 0.2 * np.abs(x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(prepared.transform_as(BlockMeans).values.std, x.std(0), rtol=1e-6)
    np.testing.assert_allclose(prepared.transform_as(BlockMeans).values.log_std, y.std(0), rtol=1e-5)


def test_the_coarse_field_is_the_block_mean_of_transformed_values(whole):
    prepared, fields = whole
    fine, coarse = prepared.pair(prepared.split('test')[1])
    np.testing.assert_array_equal(fine, stacked(fields, 'test')[1])
    values = prepared.transform_as(BlockMeans).values
    small = values.decode(block_mean(values.encode(fine), 2))
    np.testing.assert_allclose(coarse[1::2, ::2, :2], small, rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(coarse[..., 2:], interpolate(small, 2, periodic=True), rtol=1e-4, atol=1e-9)


def test_cells_that_fill_no_block_are_reported_and_left_out(tmp_path, caplog):
    fields = series()
    caplog.set_level('INFO', 'downscale_jax')
    prepared = prepare(section(write(tmp_path, fields), factor=4), 0, tmp_path / 'prepared')
    assert 'a block of 4 are left out: 2 at the end of lat and 2 at the end of lon' in caplog.text
    assert prepared.mask.shape == (8, 16)
    np.testing.assert_array_equal(prepared.statics['lat'], fields['lat'][:8])
    assert not prepared.periodic  # the last column has lost its neighbour
    record = prepared.split('train')[3]
    np.testing.assert_array_equal(record['fine'], stacked(fields)[3, :8, :16])


def test_a_grid_of_whole_blocks_tells_nothing(tmp_path, capsys):
    prepare(section(write(tmp_path, series())), 0, tmp_path / 'prepared')
    assert 'leave out' not in capsys.readouterr().out


def test_z_scores_and_the_deviation_of_an_anomaly(tmp_path):
    fields = series()
    changes = {'transform': 'standard', 'mean': 'physical', 'anomaly': True}
    prepared = prepare(section(write(tmp_path, fields), **changes), 0, tmp_path / 'prepared')
    fine = stacked(fields)
    x = fine.astype('f8').reshape(-1, 2)
    values = prepared.transform_as(BlockMeans).values
    assert (values.compression, values.log_mean, values.log_std) == ((0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    np.testing.assert_allclose(values.mean, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(values.std, x.std(0), rtol=1e-6)
    small = block_mean(fine, 2, np.cos(np.deg2rad(fields['lat'].values))[:, None, None] * np.ones((1, COLUMNS, 1)))
    missing = fine - interpolate(small, 2, periodic=True)
    std = missing.astype('f8').std((0, 1, 2)) / x.std(0)
    np.testing.assert_allclose(prepared.transform_as(BlockMeans).target_std, std, rtol=1e-4)
    lifted = prepared.transform_as(BlockMeans).lift(small, np.zeros((*fine.shape[:-1], 0), 'f4'), periodic=True)
    np.testing.assert_allclose(prepared.transform_as(BlockMeans).encode(fine, lifted).std((0, 1, 2)), 1, rtol=1e-4)
    read = [prepared.pair(prepared.split('train')[i])[1] for i in range(16)]
    np.testing.assert_allclose(read, lifted, rtol=1e-4, atol=1e-9)  # by area, in records too


@pytest.mark.parametrize('name', ['log1p', ('standard', 'log1p')])
def test_transforms_by_name(tmp_path, name):
    """ln(1 + x) of rain, standardised, beside a z-score."""
    fields = series().rename(vorticity='rain', divergence='snow')
    for variable in ('rain', 'snow'):
        fields[variable] = (1e8 * abs(fields[variable])).assign_attrs(units='mm')
    data = section(write(tmp_path, fields), variables=('rain', 'snow'), transform=name)
    prepared = prepare(data, 0, tmp_path / 'prepared')
    values = prepared.transform_as(BlockMeans).values
    x = np.stack([fields[v].values[PARTS['train']] for v in ('rain', 'snow')], -1).astype('f8').reshape(-1, 2)
    for v, one in enumerate((name, name) if isinstance(name, str) else name):
        y = np.log1p(x[:, v]) if one == 'log1p' else x[:, v]
        found = values.encode(x.astype('f4'))[:, v]
        np.testing.assert_allclose(found, (y - y.mean()) / y.std(), atol=2e-4)


def test_what_is_shown_of_place_and_time(tmp_path):
    """Static variables are standardised over the mask; angles and latitudes are left as they are."""
    fields = series()
    path = write(tmp_path, fields)
    slope = 100 * np.arange(ROWS)[:, None] - 300 + np.zeros(COLUMNS)
    relief = xr.Dataset({'z': (('lat', 'lon'), slope, {'units': 'm'})}, {n: fields[n] for n in ('lat', 'lon')})
    relief.to_netcdf(tmp_path / 'relief.nc')
    asked = ('topography', 'season', 'land', 'latitude')
    data = section(path, mean='physical', context=asked, relief=str(tmp_path / 'relief.nc'))
    prepared = prepare(data, 0, tmp_path / 'prepared')
    transform = prepared.transform_as(BlockMeans)
    assert transform.context == asked
    topography = prepared.statics['topography'].values
    np.testing.assert_allclose(topography, slope.clip(0), atol=1)  # a sea's floor is not shown
    np.testing.assert_array_equal(prepared.statics['land'], topography > 0)
    land = (topography > 0).astype(float)
    np.testing.assert_allclose(transform.context_mean, [topography.mean(), 0, 0, land.mean(), 0], rtol=1e-5)
    np.testing.assert_allclose(transform.context_std, [topography.std(), 1, 1, land.std(), 1], rtol=1e-5)
    _, lifted = prepared.pair(prepared.split('train')[9])
    expected = context_planes(asked, prepared.statics, fields['time'].values[9])
    np.testing.assert_array_equal(lifted[..., 4:], expected)
    shown = transform.condition(lifted, np.ones((ROWS, COLUMNS, 1), bool))
    np.testing.assert_allclose(shown[..., 4].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(shown[..., 4].std(), 1, atol=1e-5)
    np.testing.assert_allclose(shown[0, 0, 5:7], expected[0, 0, 1:3], atol=1e-6)


def test_a_static_variable_of_the_file_itself(tmp_path):
    fields = series()
    height = np.arange(fields['vorticity'][0].size, dtype='f4').reshape(fields['vorticity'].shape[1:])
    fields['height'] = fields['vorticity'].dims[1:], height, {'units': 'm'}
    prepared = prepare(section(write(tmp_path, fields), mean='physical', context=('height',)), 0, tmp_path / 'prepared')
    np.testing.assert_array_equal(prepared.statics['height'], height)
    _, lifted = prepared.pair(prepared.split('train')[0])
    np.testing.assert_array_equal(lifted[..., -1], height)


@pytest.mark.parametrize('kind', ['standard', 'range'])
def test_each_grid_point_by_its_own_climate(tmp_path, kind):
    fields = series()
    data = section(
        write(tmp_path, fields), mean='physical', transform='standard', context=('latitude',), grid_point=kind
    )
    prepared = prepare(data, 0, tmp_path / 'prepared')
    one, split = prepared.transform_as(BlockMeans), prepared.split('train')
    assert (len(one.context), len(one.points)) == (1, 4)
    found = np.stack([one.encode(*prepared.pair(split[i])) for i in range(len(split))])
    assert found.shape == (16, ROWS, COLUMNS, 2)
    if kind == 'standard':
        np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(found.std(0), 1, atol=1e-3)
    else:
        np.testing.assert_allclose(found.min(0), 0, atol=1e-5)
        np.testing.assert_allclose(found.max(0), 1, atol=1e-5)


def test_a_relief_that_is_asked_for_and_not_there(tmp_path):
    data = section(write(tmp_path, series()), mean='physical', context=('topography', 'land'))
    told = r'data\.context names topography and land, which the data do not have: .*relief'
    with pytest.raises(UserError, match=told):
        prepare(data, 0, tmp_path / 'prepared')
    assert not list((tmp_path / 'prepared').glob('*'))


def test_times_without_a_value_are_no_records(tmp_path):
    fields = series()
    fields['divergence'][2] = np.nan
    fields['vorticity'][5, 0, 0] = np.nan  # a cell is no reason
    prepared = prepare(section(write(tmp_path, fields)), 0, tmp_path / 'prepared')
    np.testing.assert_array_equal(prepared.split('train').times, np.delete(fields['time'].values[:16], 2))
    assert np.isnan(prepared.split('train')[4]['fine']).sum() == 1
    train = np.delete(stacked(fields), 2, 0)
    extremes = np.stack([np.nanmin(train, (0, 1, 2)), np.nanmax(train, (0, 1, 2))], -1)
    np.testing.assert_array_equal(prepared.meta['range'], extremes)


def constant(name):
    fields = series()
    fields[name][:] = 3.0
    return fields


def without(name):
    fields = series()
    fields[name][PARTS['validation']] = np.nan
    return fields


@pytest.mark.parametrize(
    ('make', 'changes', 'told'),
    [
        (series, {'context': ('seasn',)}, r"data\.context names 'seasn', which the data does not have on its 10 x 18"),
        (series, {'patch': 12}, r'data\.patch=12 does not fit the grid of 10 x 18 cells: choose a smaller one'),
        (lambda: constant('divergence'), {}, r"'divergence' is constant in the training split, 3 s-1 in all cells"),
        (series, {'factor': 12}, r'data\.factor=12 exceeds the grid of 10 x 18 cells: choose a smaller one'),
        (lambda: without('divergence'), {}, r"split 'validation' .*: every value is missing"),
        (series, {'test': (('2001-01-04', '2001-01-08'),)}, r"splits 'train' .* and 'test' .* share"),
        (series, {'test': (('2002-01-01', '2002-01-02'),)}, r"split 'test' 2002-01-01 to 2002-01-02 is empty"),
    ],
)
def test_mistakes(tmp_path, make, changes, told):
    with pytest.raises(UserError, match=told) as error:
        prepare(section(write(tmp_path, make()), **changes), 0, tmp_path / 'prepared')
    assert '\n' not in str(error.value)
    assert not list((tmp_path / 'prepared').glob('*'))  # nothing half-written
