"""Shards of prepared records: the same bytes on any number of workers, resumed where a preparation was killed."""

import hashlib
import json
from types import SimpleNamespace

import dask
import numpy as np
import pytest
import xarray as xr

from data_prep import engine
from data_prep.prepare import prepare
from data_prep.records import shards
from data_prep.records.shards import Shard, Summary, shards_of
from data_prep.records.statistics import Statistics
from downscale_jax.runtime.errors import UserError

DAYS, SIZE = 40, 16


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Three records of the fields below in a shard."""
    monkeypatch.setattr(shards, 'SHARD_BYTES', 3 * 4 * (3 * SIZE**2 + 1))


@pytest.fixture
def data(tmp_path):
    """Two fields on 40 days; the fifth day has no values."""
    rng = np.random.default_rng(0)
    fields = rng.normal(2, 0.3, (2, DAYS, SIZE, SIZE)).astype(np.float32)
    fields[:, 4] = np.nan
    axes = {name: (name, 4e3 * np.arange(SIZE), {'units': 'm', 'axis': name.upper()}) for name in 'yx'}
    dataset = xr.Dataset(
        {name: (('time', 'y', 'x'), plane, {'units': 'm'}) for name, plane in zip(('a', 'b'), fields, strict=True)},
        {'time': np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(DAYS), **axes},
    )
    dataset.to_netcdf(tmp_path / 'fields.nc')
    return {
        'kind': 'refinement',
        'path': str(tmp_path / 'fields.nc'),
        'simulate': {},
        'target': 'a',
        'inputs': ('a', 'b'),
        'mask': '',
        'kernel_km': (12.0, 12.0),
        'spacing_km': (),
        'patch': 8,
        'noise': (),
        'anomaly': True,
        'bounds': ((-9.0, 9.0),),
        'train': (('2020-01-01', '2020-01-28'),),
        'validation': (('2020-01-30', '2020-02-01'),),
        'test': (('2020-02-03', '2020-02-09'),),
    }


def digests(folder):
    """{name: SHA-256} of every file but the NetCDF ones, which hold times of writing."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and path.suffix != '.nc'
    }


def test_bounds_of_shards(monkeypatch):
    monkeypatch.setattr(shards, 'SHARD_BYTES', 100)
    assert shards_of({'train': 5, 'validation': 2, 'test': 0}, 40) == [
        Shard('train', 0, 0, 2),
        Shard('train', 1, 2, 4),
        Shard('train', 2, 4, 5),
        Shard('validation', 0, 0, 2),
    ]
    assert [shard.stop for shard in shards_of({'train': 2}, 1000)] == [1, 2]  # at least one record each


def test_statistics_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [
        Statistics(np.sort(rng.normal(size=(2, 3)), 0), {'n': rng.normal(size=2)}, {'t': rng.normal(size=(n, 2))})
        for n in (2, 0, 3)
    ]
    first, second, third = parts
    whole = first.merged(second).merged(third)
    np.testing.assert_array_equal(whole.extremes[0], np.min([p.extremes[0] for p in parts], 0))
    np.testing.assert_array_equal(whole.extremes[1], np.max([p.extremes[1] for p in parts], 0))
    np.testing.assert_allclose(whole.sums['n'], np.sum([p.sums['n'] for p in parts], 0))
    np.testing.assert_array_equal(whole.series['t'], np.concatenate([p.series['t'] for p in parts]))
    again = Statistics.from_arrays(whole.to_arrays())
    assert again.to_arrays().keys() == whole.to_arrays().keys()
    alone = (
        Summary({}, None).merged(Summary({('train', 0): (2, 9)}, whole)).merged(Summary({('test', 0): (1, 4)}, None))
    )
    assert alone.statistics is whole
    assert (alone.records('train'), alone.records('test'), alone.records('validation')) == (2, 1, 0)


@pytest.mark.parametrize('workers', [2, 4])
def test_any_number_of_workers_writes_the_same_bytes(data, tmp_path, workers):
    with dask.config.set(num_workers=1):
        alone = digests(prepare(data, 0, tmp_path / 'one').directory)
    with dask.config.set(num_workers=workers):
        shared = digests(prepare(data, 0, tmp_path / 'some').directory)
    assert alone == shared
    assert len([name for name in alone if 'train.array_record' in name]) == 10
    assert not [name for name in alone if '.marks' in name or 'partial' in name]


def test_shards_hold_the_records_of_the_whole(data, tmp_path, monkeypatch):
    several = prepare(data, 0, tmp_path / 'several')
    monkeypatch.setattr(shards, 'SHARD_BYTES', 2**27)
    single = prepare(data, 0, tmp_path / 'single')
    for split, count in {'train': 27, 'validation': 3, 'test': 7}.items():
        assert len(several.split(split)) == len(single.split(split)) == count
        for index in range(count):
            for name, values in single.split(split)[index].items():
                np.testing.assert_array_equal(several.split(split)[index][name], values)
    assert several.meta['range'] == single.meta['range']
    for name in ('target_std', 'input_mean', 'input_std'):
        np.testing.assert_allclose(several.meta['transform'][name], single.meta['transform'][name], rtol=1e-12)


def test_bytes_do_not_depend_on_the_process(data, tmp_path):
    """The order of the entries of a protobuf map does, unless it is serialised deterministically."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from tensorflow_datasets.proto import tf_example_pb2

    folder = prepare(data, 0, tmp_path / 'prepared').directory / 'records' / 'fields' / '1.0.0'
    for record in ArrayRecordDataSource([str(folder / 'fields-train.array_record-00000')]):
        example = tf_example_pb2.Example.FromString(record)
        assert record == example.SerializeToString(deterministic=True)


def test_tfds_reads_them(data, tmp_path):
    import tensorflow_datasets as tfds

    prepared = prepare(data, 0, tmp_path / 'prepared')
    builder = tfds.builder_from_directory(prepared.directory / 'records' / 'fields' / '1.0.0')
    for split in ('train', 'test'):
        source = builder.as_data_source(split)
        assert len(source) == len(prepared.split(split))
        np.testing.assert_array_equal(source[5]['fine'], prepared.split(split)[5]['fine'])


def test_a_killed_preparation_writes_the_missing_shards_only(data, tmp_path, monkeypatch):
    whole = prepare(data, 0, tmp_path / 'whole').directory
    written = []
    write = shards.ShardWriter._write

    def killed(self, shard, mark):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(shard)
        write(self, shard, mark)

    monkeypatch.setattr(shards.ShardWriter, '_write', killed)
    with dask.config.set(num_workers=1), pytest.raises(KeyboardInterrupt):
        prepare(data, 0, tmp_path / 'killed')
    (folder,) = (tmp_path / 'killed').iterdir()
    assert folder.name == f'.{whole.name}.partial'

    again = []
    monkeypatch.setattr(
        shards.ShardWriter, '_write', lambda self, shard, mark: (again.append(shard), write(self, shard, mark))
    )
    resumed = prepare(data, 0, tmp_path / 'killed').directory
    assert not set(again) & set(written)
    assert len(again) + len(written) == 10 + 1 + 3
    assert digests(resumed) == digests(whole)
    assert list((tmp_path / 'killed').iterdir()) == [resumed]


def test_a_mistake_in_a_worker_is_raised_and_nothing_is_left(data, tmp_path, monkeypatch):
    def refuse(self, shard, mark):
        raise UserError(f'shard {shard.number} is refused')

    monkeypatch.setattr(shards.ShardWriter, '_write', refuse)
    with pytest.raises(UserError, match='is refused'):
        prepare(data, 0, tmp_path / 'prepared')
    assert not list((tmp_path / 'prepared').iterdir())


def test_a_cluster_writes_the_same_bytes(data, tmp_path):
    distributed = pytest.importorskip('distributed')
    alone = digests(prepare(data, 0, tmp_path / 'alone').directory)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert engine._active_client() is client
        on_cluster = prepare(data, 0, tmp_path / 'cluster').directory
    assert digests(on_cluster) == alone
    assert engine._active_client() is None


def test_records_that_the_disk_does_not_hold(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shards.shutil, 'disk_usage', lambda folder: SimpleNamespace(free=1000))
    prepare(data, 0, tmp_path / 'prepared')
    (message,) = [record.message for record in caplog.records if record.levelname == 'WARNING']
    # 38 times of two inputs and a target on 16 x 16 cells, and the time
    assert f'records take up to {38 * 4 * (3 * SIZE**2 + 1) / 2**10:.3g} KiB' in message
    assert 'data.train' in message


@pytest.mark.parametrize('count', [0, -1, 'abc', 2.5])
def test_a_number_of_threads_that_is_none(count):
    with dask.config.set(num_workers=count), pytest.raises(UserError, match=f'DASK_NUM_WORKERS={count}: .*at least 1'):
        engine.map_reduce(abs, [-1, 2], max, [1, 1])


def test_no_scheduler_answers(monkeypatch):
    pytest.importorskip('distributed')
    monkeypatch.setattr(engine, 'SECONDS', 0.2)
    with pytest.raises(UserError, match=r'--scheduler=tcp://127.0.0.1:9: no Dask scheduler answers'):
        engine.connect('tcp://127.0.0.1:9')


def test_metadata_names_no_path_of_the_preparation(data, tmp_path):
    directory = prepare(data, 0, tmp_path / 'prepared').directory
    text = (directory / 'records' / 'fields' / '1.0.0' / 'dataset_info.json').read_text()
    assert '.partial' not in text
    assert json.loads(text)['splits'][0]['name'] == 'train'
