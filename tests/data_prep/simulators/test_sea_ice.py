"""The idealised sea ice: its fields against what they stand for."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.simulators import sea_ice

FIELDS = ('sit', 'sic', 'divergence', 'shear')


@pytest.fixture(scope='module')
def ice():
    return sea_ice.simulate(seed=3, size=96, states=24)


def test_same_seed_same_bits(ice):
    again = sea_ice.simulate(seed=3, size=96, states=24)
    other = sea_ice.simulate(seed=4, size=96, states=24)
    assert ice.identical(again)
    assert not np.array_equal(ice['mask'], other['mask'])
    assert not np.array_equal(ice['sit'][:, :40], other['sit'][:, :40])


def test_smoke_size():
    small = sea_ice.simulate(size=64, states=20, start='2020-07-01')
    assert small['sit'].shape == (20, 64, 64)
    assert 0.6 < float(small['mask'].mean()) < 0.98
    assert small['time'].values[-1] == np.datetime64('2020-07-10T12')


def test_missing_exactly_on_land(ice):
    land = np.broadcast_to(ice['mask'].values == 0, ice['sit'].shape)
    assert land[0, -1].all()
    assert not land[0, 0].any()
    for name in FIELDS:
        assert ice[name].dtype == np.float32
        np.testing.assert_array_equal(np.isnan(ice[name]), land)


def test_bounds(ice):
    sit, sic = ice['sit'].values, ice['sic'].values
    assert np.nanmin(sit) >= 0
    assert np.nanmax(sit) < 15
    assert np.nanmin(sic) >= 0
    assert np.nanmax(sic) <= 1
    assert np.nanmin(ice['shear']) >= 0
    assert 1 < np.median(sit[sic > 0.8]) < 2.5
    assert (sit[sic == 0] == 0).all()


def test_deformation_is_localised(ice):
    shear = ice['shear'].values[ice['sic'].values > 0.9]
    ranked = np.sort(shear)[::-1]
    assert ranked[: ranked.size // 10].sum() > 0.4 * ranked.sum()  # a tenth of the area holds half of it
    assert 0.005 < shear.mean() < 0.1


def test_attributes(ice):
    assert {name: ice[name].attrs['units'] for name in (*FIELDS, 'x', 'y')} == {
        'sit': 'm',
        'sic': '1',
        'divergence': 'day-1',
        'shear': 'day-1',
        'x': 'm',
        'y': 'm',
    }
    assert ice['mask'].attrs['standard_name'] == 'sea_binary_mask'
    assert ice['mask'].dtype == np.int8
    assert 'IDEALISED' in ice.attrs['title']
    assert ice.attrs['seed'] == 3
    assert ice.attrs['Conventions'] == 'CF-1.8'
    np.testing.assert_array_equal(np.diff(ice['x']), 4000)


def test_spectrum_is_red_with_a_fine_share(ice):
    """Power density per area of wavenumber: slopes of -2 to -5 down to four cells, and fine anomalies of 0.1 m."""
    field = ice['sit'].values[::4, 28:76, :]
    field = field[:, :, ~np.isnan(field).any((0, 1))][:, :, :48]
    window = np.hanning(48)
    power = (np.abs(np.fft.fft2((field - field.mean((1, 2), keepdims=True)) * np.outer(window, window))) ** 2).mean(0)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(48, 4.0), np.fft.fftfreq(48, 4.0)))
    bands = [power[(k >= 1 / high) & (k < 1 / low)].mean() for low, high in ((48, 96), (24, 48), (16, 24), (12, 16))]
    assert (np.diff(bands) < 0).all()
    assert -5 < np.log(bands[2] / bands[0]) / np.log(72 / 20) < -1
    assert (field - ndimage.uniform_filter(field, (0, 30, 30))).std() > 0.1
