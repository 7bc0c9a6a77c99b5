"""Patches where the coarse field is a block mean: they begin where a block does, and show its mean."""

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.geometry.blocks import block_mean, interpolate, repeat
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.patches import Patches, admissible, part_of_each
from downscale_jax.runtime.errors import UserError

DAYS, ROWS, COLUMNS, PATCH, FACTOR = 8, 12, 24, 8, 4


def series(degrees):
    """u tells where and when: 10000 day + 100 row + column, in m s-1; v is noise."""
    t, row, column = np.meshgrid(np.arange(DAYS), np.arange(ROWS), np.arange(COLUMNS), indexing='ij')
    code = (10_000 * t + 100 * row + column).astype('f4')
    noise = np.random.default_rng(0).normal(size=code.shape).astype('f4')
    dims = ('time', 'lat', 'lon')
    return xr.Dataset(
        {'code': (dims, code, {'units': 'm s-1'}), 'noise': (dims, noise, {'units': 'm s-1'})},
        {
            'time': np.datetime64('2001-01-01', 'ns') + np.arange(DAYS) * np.timedelta64(1, 'D'),
            'lat': ('lat', -55.0 + 10 * np.arange(ROWS), {'units': 'degrees_north'}),
            'lon': ('lon', degrees * np.arange(COLUMNS), {'units': 'degrees_east'}),
        },
    )


@pytest.fixture(scope='module')
def make(tmp_path_factory):
    """(degrees a column, **changes of the data section) -> prepared data; 15 degrees go round the Earth."""

    def prepared(degrees, **changes):
        folder = tmp_path_factory.mktemp('data')
        series(degrees).to_netcdf(folder / 'fields.nc')
        data = {
            'kind': 'block_means', 'path': str(folder / 'fields.nc'), 'simulate': {}, 'variables': ('code', 'noise'),
            'level': 0.0, 'train': (('2001-01-01', '2001-01-06'),), 'validation': (('2001-01-07', '2001-01-07'),),
            'test': (('2001-01-08', '2001-01-08'),), 'factor': FACTOR, 'mean': 'network', 'transform': 'log',
            'patch': FACTOR, 'anomaly': False, 'bounds': ((-float('inf'), float('inf')),) * 2, **changes,
        }  # fmt: skip
        return prepare(data, 0, folder / 'prepared')

    return prepared


@pytest.fixture(scope='module')
def globe(make):
    return make(15.0)


def cut(prepared, **changes):
    return Patches(prepared, 'train', **{'size': PATCH, 'per_record': 4, 'flips': False, 'seed': 0, **changes})


def take(patches, count=6):
    """Batches of 4, each of another epoch."""
    examples = np.arange(4 * count) % patches.count
    return [patches.batch(np.full(4, n), chosen) for n, chosen in enumerate(examples.reshape(count, 4))]


def corners(prepared, batch):
    """(row, column) of the first cell of each patch."""
    fine = prepared.transform_as(BlockMeans).values.decode(batch['target'])
    code = np.round(fine[:, 0, 0, 0]).astype(int)
    return code // 100 % 100, code % 100


def test_shapes_and_types(globe):
    found = {name: (array.shape, array.dtype) for name, array in take(cut(globe), 1)[0].items()}
    assert found == {
        'target': ((4, PATCH, PATCH, 2), np.float32),
        'condition': ((4, PATCH, PATCH, 5), np.float32),
        'mask': ((4, PATCH, PATCH, 1), bool),
    }


@pytest.mark.parametrize('degrees', [15.0, 2.0], ids=['globe', 'region'])
def test_patches_begin_where_a_block_does(make, degrees):
    prepared = make(degrees)
    places = [corners(prepared, batch) for batch in take(cut(prepared), 40)]
    rows, columns = (set(np.concatenate(each).tolist()) for each in zip(*places, strict=True))
    assert rows == {0, 4}
    # around the Earth a patch may cross the date line
    assert columns == ({0, 4, 8, 12, 16, 20} if prepared.periodic else {0, 4, 8, 12, 16})


@pytest.mark.parametrize('flips', [False, True])
@pytest.mark.parametrize('transform', ['log', 'standard'])
def test_the_condition_is_the_block_mean_of_the_target(make, transform, flips):
    prepared = make(15.0, transform=transform)
    for batch in take(cut(prepared, flips=flips)):
        shown = batch['condition'][..., :2]
        means = block_mean(batch['target'], FACTOR)
        np.testing.assert_allclose(shown[:, ::FACTOR, ::FACTOR], means, atol=2e-5)
        np.testing.assert_array_equal(shown, repeat(shown[:, ::FACTOR, ::FACTOR], FACTOR))
        assert (batch['condition'][..., 4] == 1).all()
        assert batch['mask'].all()
        assert np.std(means) > 0.2


def test_the_condition_is_the_mean_of_physical_values_where_that_is_asked_for(make):
    prepared = make(15.0, mean='physical')
    values = prepared.transform_as(BlockMeans).values
    for batch in take(cut(prepared)):
        fine = values.decode(batch['target'])
        for one, row, shown in zip(fine, corners(prepared, batch)[0], batch['condition'], strict=True):
            area = np.repeat(np.cos(np.deg2rad(-55.0 + 10 * (row + np.arange(PATCH))))[:, None, None], PATCH, 1)
            means = values.encode(block_mean(one, FACTOR, area))
            np.testing.assert_allclose(shown[::FACTOR, ::FACTOR, :2], means, atol=2e-5)
        assert np.abs(values.encode(block_mean(fine, FACTOR)) - batch['condition'][:, ::FACTOR, ::FACTOR, :2]).max() > 0


def test_the_condition_goes_on_with_the_interpolated_field_and_what_is_known_of_place_and_time(make):
    prepared = make(15.0, mean='physical', interpolation=('linear', 'cubic'), context=('latitude', 'season', 'hour'))
    transform, statics = prepared.transform_as(BlockMeans), prepared.statics
    for batch in take(cut(prepared), 2):
        assert batch['condition'].shape == (4, PATCH, PATCH, 2 * 2 + 1 + 2 + 2 + 1)
        fine = transform.values.decode(batch['target'])
        days = np.round(fine[:, 0, 0, 0]).astype(int) // 10_000
        for day, row, column, shown in zip(days, *corners(prepared, batch), batch['condition'], strict=True):
            rows, columns = row + np.arange(PATCH)[:, None], (column + np.arange(PATCH)) % COLUMNS
            around = context_planes(transform.context, statics, np.datetime64('2001-01-01') + day)
            np.testing.assert_array_equal(shown[..., 4:9], around[rows, columns])
            whole = np.stack([series(15.0)[name].values[day] for name in ('code', 'noise')], -1)
            coarse = block_mean(whole, FACTOR, prepared.area)
            smooth = [interpolate(coarse, FACTOR, True, kernel)[..., v] for v, kernel in enumerate(('linear', 'cubic'))]
            expected = transform.values.encode(np.stack(smooth, -1))[rows, columns]
            np.testing.assert_allclose(shown[..., 2:4], expected, atol=2e-5)
        assert (batch['condition'][..., 9] == 1).all()


def test_crops_are_aligned(globe):
    fields = series(15.0)
    whole = np.stack([fields['code'].values, fields['noise'].values], -1)
    patches = cut(globe)
    for index in range(24):
        fine, coarse, mask = patches.crop(0, index)
        code = int(fine[0, 0, 0])
        columns = (code % 100 + np.arange(PATCH)) % COLUMNS
        rows = code // 100 % 100 + np.arange(PATCH)
        np.testing.assert_array_equal(fine, whole[code // 10_000][rows[:, None], columns])
        expected = globe.transform_as(BlockMeans).coarsen(whole[code // 10_000], globe.area)
        np.testing.assert_allclose(coarse[..., :2], repeat(expected, FACTOR)[rows[:, None], columns], rtol=1e-6)
        # interpolated over the whole field, and then cut: a patch knows no edge
        smooth = interpolate(expected, FACTOR, periodic=True)[rows[:, None], columns]
        np.testing.assert_allclose(coarse[..., 2:], smooth, rtol=1e-5, atol=1e-5)
        assert mask.all()


def test_the_target_may_be_what_the_interpolated_field_lacks(make):
    prepared = make(15.0, anomaly=True)
    transform, patches = prepared.transform_as(BlockMeans), cut(prepared)
    batch = patches.batch(np.zeros(3, int), np.arange(3))
    assert min(transform.target_std) > 0
    for index, target in enumerate(batch['target']):
        fine, coarse, _ = patches.crop(0, index)
        missing = transform.values.encode(fine) - transform.values.encode(coarse[..., 2:])
        np.testing.assert_allclose(target * np.array(transform.target_std), missing, atol=1e-5)
        np.testing.assert_allclose(transform.decode(target, coarse), fine, rtol=1e-4, atol=1e-4)


def test_admissible_origins_by_hand():
    # 5 x 7 origins of windows of 2 x 2, of which blocks of 3 leave rows 0, 3 and columns 0, 3, 6
    assert admissible(np.ones((6, 8), bool), 2, 3).tolist() == [0, 3, 6, 21, 24, 27]
    valid = np.zeros((6, 8), bool)
    valid[4, 4] = valid[1, 2] = True  # the second in no window that begins with a block
    assert admissible(valid, 2, 3).tolist() == [24]
    # without enough anywhere the best that begins with a block is taken
    valid = np.zeros((6, 9), bool)
    valid[5, 4:6] = True
    assert admissible(valid, 3, 3).tolist() == [3 * 7 + 3]


def monthly(count, start='2000-01'):
    return np.datetime64(start, 'M') + np.arange(count).astype('timedelta64[M]')


@pytest.mark.parametrize('months', [24, 48, 60])
@pytest.mark.parametrize('parts', [2, 3])
def test_whole_years_take_turns(months, parts):
    times = monthly(months)
    found = part_of_each(times, parts)
    years = months // 12
    if years >= parts:
        assert found.tolist() == [year % parts for year in range(years) for _ in range(12)]
    else:
        assert set(found) == set(range(parts))


def test_blocks_take_turns_in_a_short_period():
    assert part_of_each(monthly(16)[:8], 2).tolist() == [0, 1] * 4
    hours = np.datetime64('2019-03-01', 'h') + np.arange(32)
    assert part_of_each(hours, 2).tolist() == ([0] * 4 + [1] * 4) * 4
    assert part_of_each(monthly(18), 2)[:6].tolist() != [0] * 6  # half of the second year is missing
    for count in range(2, 30):
        sizes = np.bincount(part_of_each(hours[:count], 2), minlength=2)
        assert sizes.min() > 0
    with pytest.raises(UserError, match='cross_fitting=3'):
        part_of_each(monthly(2), 3)


def test_examples_have_the_part_of_their_record(globe):
    batch = cut(globe, per_record=2, parts=2).batch(np.zeros(12, int), np.arange(12))
    assert batch['part'].tolist() == [0, 1, 0, 1, 0, 1] * 2  # six records, each drawn twice
    held_out = Patches(globe, 'validation', PATCH, 2, False, 0, parts=2)
    assert held_out.batch(np.zeros(2, int), np.arange(2))['part'].tolist() == [-1, -1]
    assert 'part' not in cut(globe).batch(np.zeros(1, int), np.zeros(1, int))
