"""Zarr stores behind URLs: in memory, and in a bucket of a local server."""

import warnings

import fsspec
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.runtime.errors import UserError
from tests.bucket import bucket

VALUES = np.random.default_rng(0).normal(280, 9, (4, 6, 8)).astype(np.float32)


@pytest.fixture
def fields():
    """Laid out as ARCO-ERA5: a time axis that extends beyond the data, named by attributes."""
    return xr.Dataset(
        {'2m_temperature': (('time', 'latitude', 'longitude'), VALUES, {'units': 'K', 'short_name': 't2m'})},
        {
            'time': np.datetime64('2001-01-01', 'ns') + np.arange(4) * np.timedelta64(1, 'h'),
            'latitude': ('latitude', np.linspace(75, -75, 6), {'units': 'degrees_north'}),
            'longitude': ('longitude', np.arange(8) * 45.0, {'units': 'degrees_east'}),
        },
        {'valid_time_start': '2001-01-01T01:00', 'valid_time_stop': '2001-01-01T02:00'},
    )


@pytest.fixture
def server(fields, tmp_path, monkeypatch):
    """The store `era5.zarr` in a bucket."""
    fields.to_zarr(tmp_path / 'era5.zarr', zarr_format=2, consolidated=True)
    with bucket(monkeypatch) as objects:
        objects |= {
            str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()
        }
        yield


def test_s3(server):
    pytest.importorskip('obstore')
    dataset = store.load(store.open_dataset('s3://bucket/era5.zarr'))
    np.testing.assert_array_equal(dataset['2m_temperature'].values, VALUES)
    with pytest.raises(UserError, match=r's3://bucket/none\.zarr: cannot be read as Zarr'):
        store.open_dataset('s3://bucket/none.zarr')


def test_a_series_behind_a_url(fields):
    from data_prep.readers.series import read_series

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # zarr: consolidated metadata are not part of its version 3
        fields.to_zarr('memory://archive/era5.zarr', mode='w')
    try:
        series = store.load(read_series('memory://archive/era5.zarr', ('t2m',)))
        np.testing.assert_array_equal(series['t2m'].values, VALUES[1:3])  # the times that hold data
    finally:
        fsspec.filesystem('memory').rm('archive', recursive=True)
