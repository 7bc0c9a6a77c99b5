"""A prepared directory whose target tells where it is: time * 10000 + row * 100 + column, with and without a coast."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.pipeline.records import Prepared

DAYS, SIZE = 14, 32


def data_section(path, **changes) -> dict:
    return {
        'kind': 'refinement',
        'path': str(path),
        'simulate': {},
        'target': 'code',
        'inputs': ('code', 'other'),
        'mask': '',
        'kernel_km': (20.0, 12.0),
        'spacing_km': (0.0, 0.0),
        'patch': 8,
        'noise': (),
        'anomaly': False,
        'bounds': ((0.0, float('inf')),),
        'train': (('2001-01-01', '2001-01-10'),),
        'validation': (('2001-01-11', '2001-01-12'),),
        'test': (('2001-01-13', '2001-01-14'),),
        **changes,
    }


def coded(days: int, rows: int, columns: int) -> xr.Dataset:
    t, y, x = np.meshgrid(np.arange(days), np.arange(rows), np.arange(columns), indexing='ij')
    code = (10000 * t + 100 * y + x).astype(np.float32)
    return xr.Dataset(
        {'code': (('time', 'y', 'x'), code, {'units': 'm', 'long_name': 'place'}),
         'other': (('time', 'y', 'x'), np.sin(code), {'units': '1'})},
        {'time': np.datetime64('2001-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(days)},
    )  # fmt: skip


def projected(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords({n: (n, 4e3 * np.arange(dataset.sizes[n]), {'units': 'm'}) for n in 'yx'})


@pytest.fixture(scope='session')
def make(tmp_path_factory) -> Callable[..., tuple[Prepared, xr.Dataset]]:
    """(dataset, **changes of the data section) -> (prepared, dataset)."""

    def prepared_from(dataset, **changes):
        folder = tmp_path_factory.mktemp('data')
        dataset.to_netcdf(folder / 'fields.nc')
        return prepare(data_section(folder / 'fields.nc', **changes), 0, folder / 'prepared'), dataset

    return prepared_from


@pytest.fixture(scope='session')
def open_sea(make):
    """No land: every cell of the target says its place."""
    return make(projected(coded(DAYS, SIZE, SIZE)))


@pytest.fixture(scope='session')
def coast(make):
    """Anomalies; ocean only in a bay of 12 x 16 cells; a day without one quarter of it, a day without any value."""
    dataset = projected(coded(DAYS, SIZE, SIZE))
    bay = (dataset.y < 48e3) & (dataset.x < 64e3)
    dataset = dataset.where(bay)
    dataset['code'][3, :6, :8] = np.nan
    dataset['code'][5] = np.nan
    return make(dataset, anomaly=True, spacing_km=())


@pytest.fixture(scope='session')
def globe(make):
    """Cells of 10 degrees around the whole Earth."""
    dataset = coded(DAYS, 14, 36).rename(y='lat', x='lon')
    return make(
        dataset.assign_coords(
            lat=('lat', -65.0 + 10 * np.arange(14), {'units': 'degrees_north'}),
            lon=('lon', 10.0 * np.arange(36), {'units': 'degrees_east'}),
        ),
        kernel_km=(3500.0, 3500.0),
    )
