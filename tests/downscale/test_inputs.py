import numpy as np
import pytest
import scipy.spatial
import xarray as xr

from downscale_jax.downscale.inputs import CoarseInputs
from downscale_jax.fields.geometry import interpolation
from downscale_jax.runtime.errors import UserError

MASK = (('y', 'x'), np.ones((6, 7), bool))


def coarse(times=3):
    """sit = lat in cm, sic = 80 % on a grid of one degree."""
    lat, lon = np.arange(70.0, 76.0), np.arange(0.0, 8.0)
    sit = np.broadcast_to(100 * lat[:, None], (times, 6, 8))
    return xr.Dataset(
        {
            'sit': (('time', 'lat', 'lon'), sit, {'units': 'cm'}),
            'sic': (('time', 'lat', 'lon'), np.full((times, 6, 8), 80.0), {'units': '%'}),
        },
        {
            'time': np.datetime64('2010-01-01', 'ns') + np.arange(times) * np.timedelta64(1, 'D'),
            'lat': ('lat', lat, {'units': 'degrees_north'}),
            'lon': ('lon', lon, {'units': 'degrees_east'}),
        },
    )


def curvilinear(north=0.0):
    lat, lon = np.meshgrid(71.5 + north + 0.4 * np.arange(6), 2 + 0.3 * np.arange(7), indexing='ij')
    return xr.Dataset({'mask': MASK}, {'lat': (('y', 'x'), lat + lon / 50), 'lon': (('y', 'x'), lon)})


def test_one_time_on_the_fine_grid_in_the_units_of_training(transform):
    inputs = CoarseInputs(coarse(), transform, curvilinear())
    assert len(inputs) == 3
    found = inputs[1]
    assert found.shape == (6, 7, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0], curvilinear().lat, atol=2e-3)  # parallels bend in the plane
    np.testing.assert_allclose(found[..., 1], 0.8, rtol=1e-6)


@pytest.mark.parametrize(
    ('module', 'name', 'fine', 'times'),
    [
        (scipy.spatial, 'Delaunay', curvilinear(), 1),
        (interpolation, 'linear_matrix', xr.Dataset(coords={'lat': [71.5, 72.0], 'lon': [3.0, 3.5]}), 2),
    ],
)
def test_weights_are_made_once(transform, monkeypatch, module, name, fine, times):
    calls, make = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: calls.append(args) or make(*args))
    fine['mask'] = tuple(fine.sizes), np.ones(tuple(fine.sizes.values()), bool)
    inputs = CoarseInputs(coarse(), transform, fine)
    for index in range(3):
        inputs[index]
    assert len(calls) == times  # not by time, not by variable


def test_no_overlap(transform):
    inputs = CoarseInputs(coarse(), transform, curvilinear(north=10.0), source='a.nc')
    with pytest.raises(UserError, match=r'a\.nc: no value of sit, sic falls on the fine grid'):
        inputs[0]
