"""Zarr stores behind URLs: in memory, and on a local server with the reading half of S3."""

import http.server
import threading
import urllib.parse
import warnings
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.runtime.errors import UserError

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


class Bucket(http.server.BaseHTTPRequestHandler):
    """Objects by key, in one bucket; whole or in ranges."""

    objects: ClassVar[dict[str, bytes]] = {}
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        key = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).split('/', 2)[-1]
        data = self.objects.get(key)
        status, headers = (200, {}) if data is not None else (404, {})
        if data is not None and (asked := self.headers.get('Range')):
            first, _, last = asked.removeprefix('bytes=').partition('-')
            begin = int(first) if first else len(data) - int(last)
            end = int(last) + 1 if first and last else len(data)
            status, headers = 206, {'Content-Range': f'bytes {begin}-{end - 1}/{len(data)}'}
            data = data[begin:end]
        self.send_response(status)
        times = {'ETag': '"0"', 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT'}
        for name, value in {'Content-Length': str(len(data or b'')), **times, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == 'GET' and data:
            self.wfile.write(data)

    do_HEAD = do_GET


@pytest.fixture
def server(fields, tmp_path, monkeypatch):
    """The store `era5.zarr` in a bucket."""
    fields.to_zarr(tmp_path / 'era5.zarr', zarr_format=2, consolidated=True)
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    monkeypatch.setattr(Bucket, 'objects', {str(path.relative_to(tmp_path)): path.read_bytes() for path in files})
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Bucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.server_port}', 'AWS_ALLOW_HTTP': 'true',
            'AWS_SKIP_SIGNATURE': 'true', 'AWS_REGION': 'us-east-1',
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


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
