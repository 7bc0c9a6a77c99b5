"""Droplets of a liquid cloud against closed forms, and the levels of a file as images."""

import numpy as np
import pytest
import xarray as xr

from data_prep.readers import cloud_levels
from downscale_jax.runtime.errors import UserError


def test_a_cell_of_equal_droplets():
    """With the cube of the mean-volume radius 0.8 of that of the effective radius: m = 0.8 rho 4/3 pi r^3."""
    mass = 0.8 * 1e6 * 4 / 3 * np.pi * (10e-6) ** 3  # g, of a droplet
    found = cloud_levels.droplets(np.array([100e6 * mass, 0.0]), np.array([10.0, np.nan]))
    np.testing.assert_allclose(found, [[100e6 * mass, 100, 10], [0, 0, 0]], rtol=1e-6)


def levels(count=10, cells=8):
    shape = (count, cells, cells)
    lwc = xr.DataArray(np.full(shape, 2e-4), dims=('z', 'y', 'x'), attrs={'units': 'kg m-3'})
    reff = xr.DataArray(np.full(shape, 10.0), dims=('z', 'y', 'x'), attrs={'units': 'um'})
    return xr.Dataset({'lwc': lwc, 'reff': reff}, {'z': ('z', 25.0 * np.arange(count), {'units': 'm'})})


def test_levels_of_a_file(tmp_path):
    levels().to_netcdf(tmp_path / 'cloud.nc')
    images = cloud_levels.read(str(tmp_path / 'cloud.nc'), (8, 8))
    first, last = images.examples([0, 9])
    assert first.image.shape == (8, 8, 3)
    np.testing.assert_allclose(first.image[..., 0], 0.2, rtol=1e-6)
    assert (last.values, last.group) == ((225.0,), 9)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda cloud: cloud.drop_vars('reff'), "has no variable 'reff'"),
        (lambda cloud: cloud.isel(x=slice(6)), r"'x': 6}: z, y, x with at least 10 levels of 8 x 8 cells"),
        (lambda cloud: cloud.isel(z=slice(9)), 'at least 10 levels'),
        (lambda cloud: cloud.where(cloud['x'] > 0, 1e20), "'lwc' reaches from 0.2 to 1e[+]23 g m-3, where -0.01 to 50"),
        (lambda cloud: cloud.assign(reff=cloud['reff'].assign_attrs(units='m')), "'reff' reaches from 1e[+]07"),
        (lambda cloud: cloud.drop_vars('z'), "has no coordinate 'z'"),
    ],
)
def test_what_is_refused(tmp_path, change, message):
    change(levels()).to_netcdf(tmp_path / 'cloud.nc')
    with pytest.raises(UserError, match=message):
        cloud_levels.read(str(tmp_path / 'cloud.nc'), (8, 8))
