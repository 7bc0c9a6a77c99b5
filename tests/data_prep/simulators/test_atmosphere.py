"""The idealised atmosphere: its fields against what they stand for."""

import numpy as np
import pytest
import xarray as xr

from data_prep.simulators import atmosphere
from downscale_jax.fields.datasets.canonical import canonical


@pytest.fixture(scope='module')
def air():
    return atmosphere.simulate(seed=3, days=8, rows=32)


def test_same_seed_same_bits(monkeypatch):
    monkeypatch.setattr(atmosphere, 'SPIN_UP', 2)  # days; eddies are not needed
    one, longer, other = (atmosphere.simulate(seed, days, rows=16) for seed, days in ((3, 1), (3, 2), (4, 1)))
    xr.testing.assert_identical(one, longer.isel(time=slice(8)))
    assert not np.array_equal(one['vorticity'], other['vorticity'])


def test_attributes(air):
    assert air['vorticity'].shape == air['divergence'].shape == (64, 32, 64)
    assert air['vorticity'].dtype == air['divergence'].dtype == np.float32
    assert air['vorticity'].attrs['units'] == air['divergence'].attrs['units'] == 's-1'
    assert air['divergence'].attrs['standard_name'] == 'divergence_of_wind'
    assert (np.diff(air['time']) == np.timedelta64(3, 'h')).all()
    assert (np.diff(air['lat']) > 0).all()
    assert 'IDEALISED' in air.attrs['title']
    assert air.attrs['seed'] == 3
    assert air.attrs['Conventions'] == 'CF-1.8'
    fields = canonical(air, ['vorticity', 'divergence'])
    assert fields['vorticity'].dims == ('time', 'lat', 'lon')


def test_weather_has_its_size_and_place(air):
    """Rossby numbers of a tenth and more in mid-latitudes, rotation over divergence, quiet tropics, cyclonic peaks."""
    vorticity, divergence = air['vorticity'], air['divergence']
    belt = {'lat': np.flatnonzero((abs(air['lat']) > 35) & (abs(air['lat']) < 65))}
    tropics = {'lat': np.flatnonzero(abs(air['lat']) < 15)}
    coriolis = 2 * 7.292e-5 * np.sin(np.deg2rad(45))
    rossby = float(vorticity.isel(belt).std()) / coriolis
    assert 0.05 < rossby < 0.5
    assert 0.05 < float(divergence.isel(belt).std() / vorticity.isel(belt).std()) < 0.5
    assert float(vorticity.isel(tropics).std()) < 0.6 * float(vorticity.isel(belt).std())
    north = vorticity.isel(lat=belt['lat'][air['lat'].values[belt['lat']] > 0])
    assert float((north**3).mean()) > 0


def test_integrals_over_the_sphere_are_zero(air):
    weight = np.cos(np.deg2rad(air['lat']))
    for array in (air['vorticity'], air['divergence']):
        mean = array.weighted(weight).mean(('lat', 'lon'))
        assert float(abs(mean).max()) < 0.02 * float(array.std())


def test_weather_moves_and_fades(air):
    """Seen from one place: alike after 3 hours, in part after 12, hardly after 48."""
    field = air['vorticity'].isel(lat=np.flatnonzero(abs(air['lat']) > 30)).values
    field = field - field.mean((0, 2), keepdims=True)
    likeness = {
        3 * lag: float((field[lag:] * field[:-lag]).mean() / (field[lag:].std() * field[:-lag].std()))
        for lag in (1, 4, 16)
    }
    assert likeness[3] > 0.85
    assert 0.2 < likeness[12] < 0.95 * likeness[3]
    assert likeness[48] < 0.5


def test_it_neither_grows_nor_dies(air):
    size = np.sqrt((air['vorticity'] ** 2).mean(('lat', 'lon')))
    assert 0.6 < float(size[-10:].mean() / size[:10].mean()) < 1.6
