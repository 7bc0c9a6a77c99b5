"""Stored chunks are decoded once, and what a file claims is checked before work."""

from collections import Counter

import netCDF4
import numpy as np
import pytest
import xarray as xr

from data_prep.records.stream import stream
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.files import chunks
from downscale_jax.runtime.errors import UserError

TIMES = 50


def data():
    values = np.arange(TIMES * 4 * 6, dtype='f4').reshape(TIMES, 4, 6)
    axes = {'time': np.datetime64('2000-01-01', 'ns') + np.arange(TIMES) * np.timedelta64(1, 'D')}
    return xr.Dataset({'t2m': (('time', 'y', 'x'), values)}, axes)


@pytest.fixture
def decoded(monkeypatch):
    """Counts the times that are decoded, by their index."""
    counts = Counter()
    read = chunks._Stored._read

    def counted(self, key):
        if len(self.shape) == 3:
            counts.update(range(*key[0].indices(self.shape[0])) if isinstance(key[0], slice) else [key[0]])
        return read(self, key)

    monkeypatch.setattr(chunks._Stored, '_read', counted)
    return counts


@pytest.mark.parametrize('form', ['zarr', 'nc'])
@pytest.mark.parametrize('length', [1, 20, 50])
@pytest.mark.parametrize('at_once', [8, 1])
def test_every_chunk_is_decoded_once(tmp_path, monkeypatch, decoded, form, length, at_once):
    monkeypatch.setattr(chunks, 'PART', 4 * 4 * 6 * 7)  # so that parts of a stored chunk are read
    monkeypatch.setattr(chunks, 'READ', 4 * 4 * 6 * 10)
    path = str(tmp_path / f'a.{form}')
    if form == 'zarr':
        data().to_zarr(path, encoding={'t2m': {'chunks': (length, 2, 6)}}, zarr_format=2, consolidated=False)
    else:
        data().to_netcdf(path, encoding={'t2m': {'chunksizes': (length, 2, 6), 'zlib': True}})
    fields = canonical(store.open_dataset(path), ['t2m'])
    decoded.clear()  # canonical reads the first and the last time
    if at_once == 1:
        found = np.stack([store.load(fields['t2m'].isel(time=i)) for i in range(TIMES)])
    else:
        found = np.stack([field[..., 0] for _, field in stream(fields, {'path': path, 'variables': ['t2m']})])
    np.testing.assert_array_equal(found, data()['t2m'])
    parts = 2 if form == 'zarr' else 1
    assert max(decoded.values(), default=0) <= parts * (1 if length > 1 else 2)


@pytest.mark.parametrize(
    ('part', 'expected'), [(4 * 24 * 3, (3,) * 16 + (2,)), (1, (1,) * TIMES), (2**21, (8,) * 6 + (2,))]
)
def test_small_chunks_of_one_time_are_read_together(tmp_path, monkeypatch, part, expected):
    monkeypatch.setattr(chunks, 'PART', part)
    data().to_zarr(tmp_path / 'a.zarr', encoding={'t2m': {'chunks': (1, 2, 6)}}, zarr_format=2, consolidated=False)
    opened = store.open_dataset(tmp_path / 'a.zarr')['t2m']
    assert opened.chunks == (expected, (2, 2), (6,))
    np.testing.assert_array_equal(opened, data()['t2m'])


def test_a_block_that_does_not_fit_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks.memory, 'of_host', lambda: 1000.0)
    monkeypatch.setattr(chunks, 'READ', 1)
    data().to_zarr(tmp_path / 'a.zarr', encoding={'t2m': {'chunks': (50, 4, 6)}}, zarr_format=2, consolidated=False)
    recent = {}
    opened = chunks.lazy(xr.open_zarr(tmp_path / 'a.zarr', chunks=None, consolidated=False), 'a.zarr', False, recent)
    assert not recent
    np.testing.assert_array_equal(opened['t2m'][17], data()['t2m'][17])


@pytest.mark.parametrize(
    ('times', 'size', 'problem'), [(2, 200_000, '200000 x 200000 cells'), (10**9, 4, 'claims 1000000000')]
)
def test_claims(tmp_path, times, size, problem):
    with netCDF4.Dataset(tmp_path / 'a.nc', 'w') as file:
        for name, length in (('time', times), ('y', size), ('x', size)):
            file.createDimension(name, length)
        time = file.createVariable('time', 'i4', ('time',), chunksizes=(min(times, 2**20),))
        time.units = 'days since 2000-01-01'
        if times < 10:
            time[:] = np.arange(times)
        side = min(size, 1000)
        file.createVariable('t2m', 'f4', ('time', 'y', 'x'), chunksizes=(1, side, side), zlib=True)
    with pytest.raises(UserError, match=rf'a\.nc: .*{problem}') as caught:
        canonical(store.open_dataset(tmp_path / 'a.nc'), ['t2m'])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('stored', 'expected'), [(None, (20, 20, 10)), (6, (18, 18, 14)), (30, (30, 20))])
def test_a_chunk_has_few_times_unless_a_stored_one_has_more(tmp_path, monkeypatch, stored, expected):
    monkeypatch.setattr(chunks, 'MAX_TIMES', 20)
    encoding = {'t2m': {'chunksizes': (stored, 4, 6)}} if stored else {}
    data().to_netcdf(tmp_path / 'a.nc', encoding=encoding)
    opened = store.open_dataset(tmp_path / 'a.nc')['t2m']
    assert opened.chunks == (expected, (4,), (6,))
    np.testing.assert_array_equal(opened, data()['t2m'])
