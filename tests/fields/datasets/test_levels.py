import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.levels import levels_as_variables
from downscale_jax.runtime.errors import UserError


def winds(levels, units, dim='plev'):
    values = np.arange(2 * len(levels) * 3 * 4.0).reshape(2, len(levels), 3, 4)
    coords = {dim: (dim, np.array(levels, float), {'units': units, 'axis': 'Z'}), 'lat': range(3), 'lon': range(4)}
    return xr.Dataset({'u': (('time', dim, 'lat', 'lon'), values, {'units': 'm s-1'})}, coords)


def test_pressures_in_pascals_name_variables_in_hectopascals():
    data = winds([85000, 50000], 'Pa')
    fields = levels_as_variables(data, 'file')
    assert list(fields.data_vars) == ['u_850', 'u_500']
    np.testing.assert_array_equal(fields['u_500'], data['u'].isel(plev=1))
    assert fields['u_500'].dims == ('time', 'lat', 'lon')
    assert fields['u_850'].attrs == {'units': 'm s-1', 'level': 850}


def test_heights_keep_their_unit():
    fields = levels_as_variables(winds([2, 100], 'm', 'height'), 'file')
    assert list(fields.data_vars) == ['u_2', 'u_100']
    assert fields['u_100'].attrs == {'units': 'm s-1', 'height_above_ground': 100}


def test_a_single_level_is_dropped_and_other_variables_are_kept():
    data = winds([850], 'hPa').assign(tp=(('time', 'lat', 'lon'), np.zeros((2, 3, 4))))
    fields = levels_as_variables(data, 'file')
    assert list(fields.data_vars) == ['u', 'tp']
    assert fields['u'].dims == fields['tp'].dims == ('time', 'lat', 'lon')


def test_two_fields_of_one_name_are_refused():
    data = winds([850, 500], 'hPa').assign(u_850=(('time', 'lat', 'lon'), np.zeros((2, 3, 4))))
    with pytest.raises(UserError, match='u_850'):
        levels_as_variables(data, 'file')
