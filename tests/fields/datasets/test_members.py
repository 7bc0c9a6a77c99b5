import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.members import one_member
from downscale_jax.runtime.errors import UserError


@pytest.mark.parametrize('dim', ['realization', 'number', 'ens'])
def test_one_member_of_an_ensemble(dim):
    data = xr.Dataset({'t2m': ((dim, 'time'), np.arange(6.0).reshape(3, 2))})
    np.testing.assert_array_equal(one_member(data, 2, 'file')['t2m'], [4, 5])
    with pytest.raises(UserError, match=r'data\.member=3'):
        one_member(data, 3, 'file')


def test_a_file_without_members():
    data = xr.Dataset({'t2m': ('time', np.arange(2.0))})
    assert one_member(data, 0, 'file') is data
    with pytest.raises(UserError, match=r'data\.member=1.*no dimension of members'):
        one_member(data, 1, 'file')
