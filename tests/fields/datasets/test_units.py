import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError


def error_of(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ('own', 'wanted', 'value', 'expected'),
    [
        ('%', '1', 50.0, 0.5),
        ('percent', '1', 50.0, 0.5),
        ('1', '%', 0.5, 50.0),
        ('cm', 'm', 250.0, 2.5),
        ('s-1', 'day-1', 1e-5, 0.864),
        ('K', 'degC', 273.15, 0.0),
        ('degC', 'K', -1.8, 271.35),
        ('100 km', 'm', 2.0, 2e5),
        ('1e-3', '1', 35.0, 0.035),
        ('(0 - 1)', '%', 0.5, 50.0),
        ('Pascals', 'hPa', 1e5, 1e3),
    ],
)
def test_conversion_is_lazy(own, wanted, value, expected):
    array = xr.DataArray(np.full(3, value, 'float32'), dims='x', name='a', attrs={'units': own}).chunk()
    found = convert_units(array, wanted)
    assert found.chunks is not None
    assert found.dtype == np.float32
    assert found.attrs['units'] == wanted
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-5)


def test_nothing_to_do():
    array = xr.DataArray([1.0], attrs={'units': 'm'})
    assert convert_units(array, 'm') is array
    assert convert_units(array.drop_attrs(), '').attrs == {}


def test_mistakes():
    array = xr.DataArray([1.0], name='sit', attrs={'units': 'm'})
    message = error_of(convert_units, array, 's')
    assert "'sit' has units 'm', which cannot be converted to 's'" in message
    assert "'fathoms_of_ice'" in error_of(convert_units, array.assign_attrs(units='fathoms_of_ice'), 'm')
    assert 'has no units' in error_of(convert_units, array.drop_attrs(), 'm')


@pytest.mark.parametrize(
    ('own', 'units', 'factor'),
    [
        ('kg m-2 s-1', 'mm day-1', 86_400),
        ('mm day-1', 'kg m-2 s-1', 1 / 86_400),
        ('kg m-2', 'm', 1e-3),
        ('m', 'mm', 1e3),
        ('kg m**-2 s**-1', 'm s-1', 1e-3),
        ('m s-1', 'kg/m^2/s', 1e3),
        ('Kg/m^2/s', 'mm/day', 86_400),
        ('m day-1', 'mm day-1', 1e3),
        ('m of water equivalent', 'mm', 1e3),
    ],
)
def test_water_on_an_area_is_its_depth(own, units, factor):
    rain = xr.DataArray(np.array([0.5, 2.0]), dims='x', name='tp', attrs={'units': own})
    np.testing.assert_allclose(convert_units(rain, units).values, factor * rain.values)


@pytest.mark.parametrize(('own', 'units'), [('m', 'mm day-1'), ('kg m-2', 'mm day-1'), ('mm', 'kg m-2 s-1')])
def test_an_amount_is_no_rate(own, units):
    rain = xr.DataArray([1.0], name='tp', attrs={'units': own})
    message = error_of(convert_units, rain, units)
    assert f"'tp' is an amount in '{own}' where a rate in '{units}' is expected" in message
    assert f"'{own} day-1'" in message
