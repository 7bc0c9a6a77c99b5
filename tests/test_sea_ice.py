"""The idealised sea ice: its scheme against closed forms, its fields against what they stand for."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep import sea_ice

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


@pytest.mark.parametrize(('across', 'along'), [(2, 0), (0, 3), (-3, 0), (0, -2), (2, -2)])
def test_whole_cells_are_shifted_exactly(across, along):
    rng = np.random.default_rng(0)
    field = np.zeros((2, 40, 40), np.float32)
    field[:, 12:28, 12:28] = rng.random((2, 16, 16))
    u, v = np.full((40, 40), along, np.float32), np.full((41, 40), across, np.float32)
    moved = sea_ice.advect(field, u, v)
    np.testing.assert_allclose(moved, np.roll(field, (across, along), (1, 2)), atol=1e-6)


def test_order_of_advection():
    """A sine carried by a third of its wavelength; halving the cells divides the error by more than 2^4."""
    errors = []
    for size in (16, 32):
        x = (np.arange(size) + 0.5) / size * 2 * np.pi
        cells = np.sin(x)[None].repeat(8, 0)[None]
        moved, speed = cells, np.full((8, size), 0.4)
        for _ in range(size // 2):
            moved = sea_ice.advect(moved, speed, np.zeros((9, size)))
        errors.append(np.abs(moved - np.sin(x - 0.2 * 2 * np.pi)).max())
    assert errors[0] / errors[1] > 16


def test_nothing_is_lost_or_enters_land():
    rng = np.random.default_rng(1)
    land = np.zeros((48, 48), bool)
    land[40:], land[18:25, 10:17] = True, True
    u, v = rng.uniform(-1.5, 1.5, (48, 48)), rng.uniform(-1.5, 1.5, (49, 48))
    u, v = (ndimage.gaussian_filter(a, 2, mode='wrap') * 4 for a in (u, v))
    v[0] = 0
    u, v = sea_ice.close_coast(u, v, land)
    before = np.where(land, 0, rng.random((2, 48, 48)))
    after = sea_ice.advect(before, u, v)
    np.testing.assert_allclose(after.sum((1, 2)), before.sum((1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(after[:, land], 0)
    assert np.abs(after - before).max() > 0.1


def test_deformation_of_known_flows():
    y, x = np.mgrid[:20, :20] * 4.0
    faces = np.arange(21)[:, None] * 4.0 * np.ones(20)
    inner = (slice(2, -2), slice(2, -2))
    for u, v, divergence, shear in (
        (0.03 * x, 0.01 * (faces - 2), 0.04, 0.02),  # stretching
        (0.05 * (y + 2), 0 * faces, 0.0, 0.05),  # simple shear
        (-0.05 * (y + 2), 0.05 * (np.arange(20) * 4.0 + 2) + 0 * faces, 0.0, 0.0),  # rotation
    ):
        found = sea_ice.deformation(u, v, 4.0)
        np.testing.assert_allclose(found[0][inner], divergence, atol=1e-12)
        np.testing.assert_allclose(found[1][inner], shear, atol=1e-12)


def test_divergence_is_what_thins_the_ice():
    """One small step of a uniform cover loses exactly its divergence."""
    rng = np.random.default_rng(2)
    u, v = rng.uniform(-0.1, 0.1, (24, 24)), rng.uniform(-0.1, 0.1, (25, 24))
    v[:4], v[-4:] = 0, 0
    after = sea_ice.advect(np.ones((1, 24, 24)), 1e-3 * u, 1e-3 * v)[0]
    divergence, _ = sea_ice.deformation(u, v, 4.0)
    np.testing.assert_allclose((1 - after)[4:-4], 4.0 * 1e-3 * divergence[4:-4], atol=2e-7)


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
