import json
import os

import numpy as np
import pytest
import xarray as xr

from data_prep import prepare as preparation
from data_prep.records import refinement
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError


def section(dataset, folder, **changes):
    """The data section for `dataset`, which is written to `folder`."""
    dataset.to_netcdf(folder / 'fields.nc')
    days = [(str(day)[:10],) * 2 for day in dataset['time'].values]
    splits = {'train': ((days[0][0], days[-5][0]),), 'validation': (days[-3],), 'test': (days[-1],)}
    return {
        'kind': 'refinement', 'path': str(folder / 'fields.nc'), 'simulate': {}, 'target': 'code',
        'inputs': ('code',), 'mask': '', 'kernel_km': (20.0,), 'spacing_km': (), 'noise': (),
        'anomaly': True, 'bounds': ((0.0, 1e9),), 'patch': 8, **splits, **changes,
    }  # fmt: skip


def test_records_are_the_times_of_the_split_and_hold_the_file(coast):
    prepared, dataset = coast
    for name, days in (('train', [0, 1, 2, 3, 4, 6, 7, 8, 9]), ('validation', [10, 11]), ('test', [12, 13])):
        split = prepared.split(name)
        # the sixth day has no value and is no record
        np.testing.assert_array_equal(split.times, dataset['time'].values[days])
        assert prepared.meta['records'][name] == len(split) == len(days)
        for i, day in enumerate(days):
            np.testing.assert_array_equal(split[i]['fine'], dataset['code'].values[day])
            assert split[i]['fine'].dtype == np.float32


def test_coarse_is_known_in_the_ocean_and_nowhere_else(coast):
    prepared, _ = coast
    for name in ('train', 'test'):
        coarse = prepared.split(name)[0]['coarse']
        assert coarse.shape == (32, 32, 2)
        np.testing.assert_array_equal(np.isfinite(coarse), np.repeat(prepared.mask[..., None], 2, -1))


def test_coarse_of_a_linear_field_is_the_field_away_from_the_edge(open_sea):
    prepared, dataset = open_sea
    coarse = prepared.split('train')[4]['coarse'][..., 0]
    np.testing.assert_allclose(coarse[2:-2, 2:-2], dataset['code'].values[4, 2:-2, 2:-2], rtol=1e-6)


def test_transform_is_fitted_to_the_training_split_alone(coast):
    prepared, _ = coast
    split, transform = prepared.split('train'), prepared.transform
    fine = np.stack([split[i]['fine'] for i in range(len(split))]).astype(np.float64)
    coarse = np.stack([split[i]['coarse'] for i in range(len(split))]).astype(np.float64)
    np.testing.assert_allclose(transform.input_mean, np.nanmean(coarse, (0, 1, 2)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(transform.input_std, np.nanstd(coarse, (0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(transform.target_std, np.nanstd(fine - coarse[..., 0]), rtol=1e-5)
    assert transform.target_mean == 0
    assert (transform.target, transform.units, transform.channel) == ('code', 'm', 0)
    assert (transform.inputs, transform.input_units) == (('code', 'other'), ('m', '1'))
    assert transform.bounds == ((0.0, float('inf')),)


def test_transform_comes_back_from_json(coast):
    prepared, _ = coast
    assert RefinementTransform.from_json(json.loads(json.dumps(prepared.transform.to_json()))) == prepared.transform


def test_encode_and_decode_are_inverse(coast):
    prepared, _ = coast
    record = prepared.split('train')[0]
    fine, coarse = record['fine'][..., None], record['coarse']
    decoded = prepared.transform.decode(prepared.transform.encode(fine, coarse), coarse)
    np.testing.assert_allclose(decoded, fine, rtol=1e-5)


def test_statics(coast):
    prepared, dataset = coast
    statics = prepared.statics
    # where it ever has a value: the third day alone lacks a quarter of the bay
    np.testing.assert_array_equal(prepared.mask, np.isfinite(dataset['code'].values).any(0))
    assert prepared.mask.sum() == 12 * 16
    np.testing.assert_allclose(statics['cell_area'], 16.0)
    assert statics['cell_area'].attrs['units'] == 'km2'
    np.testing.assert_array_equal(statics['x'], dataset['x'])
    np.testing.assert_array_equal(statics['y'], dataset['y'])
    assert not prepared.periodic


def test_global_grid_is_periodic_and_its_cells_narrow_towards_the_poles(globe):
    prepared, _ = globe
    assert prepared.periodic
    area = prepared.statics['cell_area'].values
    np.testing.assert_allclose(area[0] / area[7], np.cos(np.deg2rad(65)) / np.cos(np.deg2rad(5)), rtol=1e-6)


def test_second_call_reuses_what_is_there(coast, tmp_path, monkeypatch):
    data = section(coast[1], tmp_path)
    first = preparation.prepare(data, 0, tmp_path / 'prepared')
    before = {path: path.stat().st_mtime_ns for path in first.directory.rglob('*')}
    monkeypatch.setattr(refinement.sources, 'open_refinement', None)
    second = preparation.prepare(data, 0, tmp_path / 'prepared')
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in first.directory.rglob('*')} == before


def test_what_changes_the_data_makes_a_directory_of_its_own(coast, tmp_path):
    data = section(coast[1], tmp_path)
    root = tmp_path / 'prepared'
    made = [
        preparation.prepare(data, 0, root).directory,
        preparation.prepare({**data, 'kernel_km': (24.0,)}, 0, root).directory,
        preparation.prepare({**data, 'anomaly': False}, 0, root).directory,
        preparation.prepare(data, 1, root).directory,
    ]
    os.utime(data['path'], ns=(1, 1))
    made.append(preparation.prepare(data, 0, root).directory)
    assert len(set(made)) == 5
    # patches are cut later: their size is no matter of preparation
    assert preparation.prepare({**data, 'patch': 7}, 0, root).directory == made[-1]


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError('disk full')])
def test_interrupted_preparation_can_be_repeated(coast, tmp_path, monkeypatch, error):
    data = section(coast[1], tmp_path)

    def stop(*args):
        yield from list(observed_chunks(*args))[:1]
        raise error

    observed_chunks = refinement.observed_chunks
    monkeypatch.setattr(refinement, 'observed_chunks', stop)
    with pytest.raises((KeyboardInterrupt, UserError)):
        preparation.prepare(data, 0, tmp_path / 'prepared')
    left = [path.name for path in (tmp_path / 'prepared').rglob('*.array_record*')]
    assert not left  # no part of a shard
    monkeypatch.undo()
    assert len(preparation.prepare(data, 0, tmp_path / 'prepared').split('test')) == 1


def test_leftovers_of_a_killed_preparation_do_no_harm(coast, tmp_path):
    data = section(coast[1], tmp_path)
    directory = preparation.prepare(data, 0, tmp_path / 'prepared').directory
    killed = directory.with_name(f'.{directory.name}.partial')
    directory.rename(killed)
    (killed / 'prepared.json').unlink()
    assert len(preparation.prepare(data, 0, tmp_path / 'prepared').split('test')) == 1
    assert [path.name for path in (tmp_path / 'prepared').iterdir()] == [directory.name]


def test_other_calendars(tmp_path):
    # a year of 360 days has a 30 February
    days = xr.date_range('2001-02-26', periods=9, calendar='360_day', use_cftime=True)
    code = np.random.default_rng(0).gamma(2.0, size=(9, 8, 8)).astype(np.float32)
    axes = {name: (name, 4e3 * np.arange(8), {'units': 'm'}) for name in 'yx'}
    dataset = xr.Dataset({'code': (('time', 'y', 'x'), code, {'units': 'm'})}, {'time': days, **axes})
    times = preparation.prepare(section(dataset, tmp_path), 0, tmp_path / 'prepared').split('train').times
    assert [str(time)[:10] for time in times] == [f'2001-{d}' for d in ('02-26', '02-27', '02-28', '02-29', '02-30')]


def test_no_prepared_data(tmp_path):
    with pytest.raises(UserError, match=r'no prepared data at .*run --mode=train first'):
        _ = Prepared(tmp_path).meta
