"""Land in the forms of archives: shares, per cent, flags in either order, shares of the sea."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.context.surface import read_surface

LAND = np.zeros((4, 5), np.int8)
LAND[:, 3:] = 1
FLAGS = {'flag_values': np.array([0, 1], 'i1'), 'flag_meanings': 'land sea'}


def held(values, **attrs):
    axes = {'lat': ('lat', np.arange(4.0), {'units': 'degrees_north'}),
            'lon': ('lon', np.arange(5.0), {'units': 'degrees_east'})}  # fmt: skip
    return xr.Dataset({'land_sea_mask': (('lat', 'lon'), values, attrs)}, axes)


FORMS = {
    'share': held(0.9 * LAND, units='1'),
    'per cent': held(100.0 * LAND, units='percent'),
    'flags': held(LAND, flag_values=np.array([0, 1], 'i1'), flag_meanings='sea land'),
    'flags the other way': held(1 - LAND, **FLAGS),
    'three flags': held(np.where(LAND, 4, 2), flag_values=np.array([2, 4, 8]), flag_meanings='ocean land lake'),
    'share of the sea': held(100.0 * (1 - LAND), units='%', standard_name='sea_area_fraction'),
}


@pytest.mark.parametrize('form', FORMS)
def test_land(form):
    np.testing.assert_array_equal(read_surface(FORMS[form], ['land'], 'a.nc')['land'], LAND)
