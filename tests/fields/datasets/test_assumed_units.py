import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.assumed_units import with_assumed_units
from downscale_jax.runtime.errors import UserError


def field(value, **attrs):
    return xr.Dataset({'pr': (('time', 'y', 'x'), np.full((3, 2, 2), float(value)), attrs)})


@pytest.mark.parametrize(('value', 'unit'), [(20, 'mm day-1'), (295, 'K'), (7, 'm s-1')])
def test_units_are_taken_from_the_definition(value, unit):
    assert with_assumed_units(field(value), ['pr'], [unit], 'file')['pr'].attrs['units'] == unit


def test_units_of_the_file_and_units_left_out_are_kept():
    assert with_assumed_units(field(1e-4, units='kg m-2 s-1'), ['pr'], ['mm day-1'], '')['pr'].units == 'kg m-2 s-1'
    assert 'units' not in with_assumed_units(field(7), ['pr'], [''], 'file')['pr'].attrs


@pytest.mark.parametrize(('value', 'unit'), [(1e-4, 'mm day-1'), (22, 'K'), (np.inf, 'mm/day')])
def test_implausible_values_are_refused(value, unit):
    with pytest.raises(UserError) as error:
        with_assumed_units(field(value), ['pr'], [unit], 'file.nc')
    assert all(word in str(error.value) for word in ('file.nc', "'pr'", unit))
