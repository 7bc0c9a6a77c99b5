"""Lag pairs: which are drawn, how they are cut while the series streams by, and what a user may have got wrong."""

import gc
import tracemalloc

import dask.array
import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from data_prep.records import lag_pairs
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

HOUR = np.timedelta64(1, 'h')
START = np.datetime64('2001-01-01', 'ns')
ROWS, COLUMNS = 18, 36  # cells of 10 degrees


def series(hours=None, north_first=False, columns=COLUMNS):
    """Fields whose values tell where and when: vorticity = 10000 t + 100 row + column, divergence its negative."""
    hours = 3 * np.arange(40) if hours is None else np.asarray(hours)
    lat = np.linspace(-85, 85, ROWS)[:: -1 if north_first else 1]
    t, row, column = np.meshgrid(np.arange(len(hours)), np.arange(ROWS), np.arange(columns), indexing='ij')
    code = (10_000 * t + 100 * row + column).astype(np.float32)
    dims = ('time', 'lat', 'lon')
    return xr.Dataset(
        {'vorticity': (dims, code, {'units': 's-1'}), 'divergence': (dims, -code, {'units': 's-1'})},
        {
            'time': START + hours * HOUR,
            'lat': ('lat', lat, {'units': 'degrees_north'}),
            'lon': ('lon', 10.0 * np.arange(columns), {'units': 'degrees_east'}),
        },
    )


def section(path='', **changes) -> dict:
    return {
        'kind': 'lag_pairs',
        'path': str(path),
        'simulate': {},
        'variables': ('vorticity', 'divergence'),
        'level': 0.0,
        'train': (('2001-01-01', '2001-01-05'),),
        'validation': (('2001-01-07', '2001-01-08'),),
        'test': (('2001-01-10', '2001-01-12'),),
        'step_hours': 3,
        'lags': 4,
        'patch': 6,
        'pairs_per_time': 20,
        'latitudes': (-60.0, 60.0),
        **changes,
    }


def drawn(fields, **changes):
    return lag_pairs.draw(fields, section(**changes), np.random.default_rng(0), 'train')


def test_lags_are_uniform():
    found = drawn(series(), pairs_per_time=250)
    counts = np.bincount(found.lag)
    assert counts[0] == 0
    assert counts.sum() == 10_000
    # five standard deviations of a binomial
    assert np.abs(counts[1:] - 2500).max() < 5 * np.sqrt(2500 * 0.75)
    assert (np.diff(found.second) >= 0).all()
    np.testing.assert_array_equal(found.second - found.first, found.lag)  # without a gap


def test_a_short_split_does_not_favour_short_lags():
    counts = np.bincount(drawn(series(3 * np.arange(6)), pairs_per_time=1000).lag)[1:]
    assert np.abs(counts - 1500).max() < 5 * np.sqrt(1500 * 0.75)


def test_a_gap_costs_only_the_pairs_that_it_breaks():
    hours = np.concatenate([3 * np.arange(12), 3 * np.arange(12) + 42])  # 33 h, then 42 h
    fields = series(hours)
    seconds = encode_times(fields['time'].values)
    found = drawn(fields, pairs_per_time=400, lags=5)
    np.testing.assert_array_equal(seconds[found.second] - seconds[found.first], 3 * 3600 * found.lag)
    for lag in range(1, 6):
        pairs = set(zip(found.first[found.lag == lag], found.second[found.lag == lag], strict=True))
        expected = {
            (i, j) for i in range(24) for j in range(24) if hours[j] - hours[i] == 3 * lag
        }  # some of them across the gap: 33 h and 42 h are three steps apart
        assert pairs == expected
    assert any(i < 12 <= j for i, j in zip(found.first, found.second, strict=True))


def test_other_steps_than_the_datas():
    found = drawn(series(np.arange(40)), step_hours=6, lags=3)
    np.testing.assert_array_equal(found.second - found.first, 6 * found.lag)


@pytest.mark.parametrize('north_first', [False, True])
def test_centres_lie_in_the_band_and_places_are_uniform(north_first):
    fields = series(north_first=north_first)
    found = drawn(fields, latitudes=(-30.0, 50.0), pairs_per_time=200)
    lat = fields['lat'].values
    centre = (lat[found.row] + lat[found.row + 5]) / 2
    # centres lie at multiples of 10 degrees
    np.testing.assert_array_equal(np.unique(centre.round()), np.arange(-30, 51, 10))
    assert set(found.column) == set(range(COLUMNS))  # across the date line
    assert np.abs(np.bincount(found.column) - 8000 / COLUMNS).max() < 5 * np.sqrt(8000 / COLUMNS)


def test_a_region_does_not_wrap():
    found = drawn(series(columns=20), pairs_per_time=100)
    assert set(found.column) == set(range(15))


def test_patches_are_slices_of_the_fields_in_order_of_their_second_time():
    fields, data = series(), section()
    found = lag_pairs.draw(fields, data, np.random.default_rng(0), 'train')
    records = list(lag_pairs.cut(fields, found, data))
    assert len(records) == len(found.first)
    assert any(record['column'] + 6 > COLUMNS for record in records)
    seconds = encode_times(fields['time'].values)
    for record in records:
        row, column = record['row'] + np.arange(6)[:, None], (record['column'] + np.arange(6)) % COLUMNS
        begin = int(np.flatnonzero(seconds == record['time'])[0])
        for name, time in (('first', begin), ('second', begin + record['lag'])):
            code = 10_000 * time + 100 * row + column
            np.testing.assert_array_equal(record[name], np.stack([code, -code], -1))
            assert record[name].dtype == np.float32
    ends = [record['time'] + 3 * 3600 * record['lag'] for record in records]
    assert (np.diff(ends) >= 0).all()
    places = sorted((int(np.searchsorted(seconds, r['time'])), r['lag'], r['row'], r['column']) for r in records)
    assert places == sorted(zip(found.first, found.lag, found.row, found.column, strict=True))


def test_pairs_with_missing_values_are_left_out():
    fields, data = series(), section()
    fields['divergence'][7, 9, 11] = np.nan
    found = lag_pairs.draw(fields, data, np.random.default_rng(0), 'train')

    def holds(time):
        inside = (found.row <= 9) & (found.row + 6 > 9) & ((11 - found.column) % COLUMNS < 6)
        return inside & (time == 7)

    broken = holds(found.first) | holds(found.second)
    assert broken.any()
    records = list(lag_pairs.cut(fields, found, data))
    assert len(records) == (~broken).sum()
    assert all(np.isfinite(record[name]).all() for record in records for name in ('first', 'second'))


@pytest.fixture
def usual_collection():
    """Searches for garbage as often as in a program; in tests they are rarer (`conftest`), and garbage would count."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures('usual_collection')
def test_memory_does_not_grow_with_the_series():
    def peak(times):
        blank = dask.array.zeros((times, 64, 128), chunks=(8, 64, 128), dtype=np.float32)
        fields = xr.Dataset(
            {name: (('time', 'lat', 'lon'), blank) for name in ('vorticity', 'divergence')},
            {
                'time': START + 3 * np.arange(times) * HOUR,
                'lat': np.linspace(-88, 88, 64),
                'lon': 2.8125 * np.arange(128),
            },
        )
        data = section(patch=32)
        found = lag_pairs.draw(fields, data, np.random.default_rng(0), 'train')
        tracemalloc.start()
        count = sum(1 for _ in lag_pairs.cut(fields, found, data))
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 20 * times
        return largest

    peak(256)  # what is imported and kept on the way
    short, long = peak(64), peak(256)
    patches = 20 * 4 * 32 * 32 * 2 * 4  # of the pairs that begin within the longest lag
    assert short < 3 * patches + 6 * 8 * 64 * 128 * 2 * 4
    assert long < 1.15 * short


def write(folder, fields):
    fields.to_netcdf(folder / 'fields.nc')
    return folder / 'fields.nc'


def test_prepared_records_keep_to_their_split(tmp_path):
    fields = series(3 * np.arange(8 * 12))
    data = section(write(tmp_path, fields))
    found = prepare(data, 0, tmp_path / 'prepared')
    assert found.meta['records'] == {'train': 800, 'validation': 320, 'test': 480}
    assert found.meta['grid'] == [ROWS, COLUMNS]
    np.testing.assert_array_equal(found.statics['lat'], fields['lat'])
    np.testing.assert_array_equal(found.statics['lon'], fields['lon'])
    days = {'train': (1, 5), 'validation': (7, 8), 'test': (10, 12)}
    for name, (first, last) in days.items():
        split = found.split(name)
        assert len(split) == found.meta['records'][name]
        for index in range(0, len(split), 7):
            record = split[index]
            begin = np.datetime64(int(record['time']), 's')
            end = begin + 3 * int(record['lag']) * HOUR
            assert np.datetime64(f'2001-01-{first:02}') <= begin
            assert end < np.datetime64(f'2001-01-{last:02}') + np.timedelta64(1, 'D')
            time = int((begin - START) / (3 * HOUR))
            assert record['first'][0, 0, 0] == 10_000 * time + 100 * record['row'] + record['column']
    # fitted to the training split alone: at most 200 of its times, here all 40
    x = fields['vorticity'].values[:40].astype(np.float64)
    np.testing.assert_allclose(found.transform_as(Standardisation).mean, [x.mean(), -x.mean()], rtol=1e-6)
    np.testing.assert_allclose(found.transform_as(Standardisation).std[0], x.std(), rtol=1e-6)
    assert found.transform_as(Standardisation).units == ('s-1', 's-1')


def test_equal_seeds_draw_equal_pairs(tmp_path):
    data = section(write(tmp_path, series(3 * np.arange(8 * 12))), pairs_per_time=1)
    splits = [prepare(data, seed, tmp_path / f'{n}').split('test') for n, seed in enumerate((0, 0, 1))]
    rows = [[int(split[i]['row']) for i in range(len(split))] for split in splits]
    assert rows[0] == rows[1] != rows[2]


def winds(**changes):
    fields = series(3 * np.arange(8 * 12)).rename(vorticity='u10', divergence='v10')
    for name in ('u10', 'v10'):
        fields[name] = (1e-4 * fields[name]).assign_attrs(units='m s-1')
    return fields.assign(changes)


def uneven(fields):
    lat = fields['lat'].values.copy()
    lat[4] += 3
    return fields.assign_coords(lat=('lat', lat, fields['lat'].attrs)).isel(lon=slice(0, 20))


def without_units(fields):
    del fields['u10'].attrs['units']
    return fields


@pytest.mark.parametrize(
    ('make', 'changes', 'told'),
    [
        (lambda: winds().isel(time=[0]), {}, r'two times'),
        (winds, {'lags': 30}, r"split 'validation': no two of its 16 times are 48 h apart: lower data.lags=30"),
        (winds, {'step_hours': 2}, r'no two of its 40 times are 2 h apart'),
        (winds, {'patch': 19}, r'data.patch=19 does not fit the grid of 18 x 36 cells: choose a smaller one'),
        (winds, {'latitudes': (61.0, 62.0)}, r'no patch of 6 rows has its centre within data.latitudes'),
        (lambda: without_units(winds()), {}, r"'u10' has no units"),
        (lambda: winds().drop_vars('v10'), {}, r'both winds.*were expected, found u10'),
        (lambda: uneven(winds()), {}, r"'lat' has uneven steps"),
        (winds, {'test': (('2002-01-01', '2002-01-02'),)}, r"split 'test' 2002-01-01 to 2002-01-02 is empty"),
    ],
)
def test_mistakes(tmp_path, make, changes, told):
    with pytest.raises(UserError, match=told) as error:
        prepare(section(write(tmp_path, make()), **changes), 0, tmp_path / 'prepared')
    assert '\n' not in str(error.value)
    assert not list((tmp_path / 'prepared').glob('*'))  # nothing half-written
