"""Advection against closed forms."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.simulators.advection import advect
from data_prep.simulators.drift import close_coast, deformation


@pytest.mark.parametrize(('across', 'along'), [(2, 0), (0, 3), (-3, 0), (0, -2), (2, -2)])
def test_whole_cells_are_shifted_exactly(across, along):
    rng = np.random.default_rng(0)
    field = np.zeros((2, 40, 40), np.float32)
    field[:, 12:28, 12:28] = rng.random((2, 16, 16))
    u, v = np.full((40, 40), along, np.float32), np.full((41, 40), across, np.float32)
    moved = advect(field, u, v)
    np.testing.assert_allclose(moved, np.roll(field, (across, along), (1, 2)), atol=1e-6)


def test_order_of_advection():
    """A sine carried by a third of its wavelength; halving the cells divides the error by more than 2^4."""
    errors = []
    for size in (16, 32):
        x = (np.arange(size) + 0.5) / size * 2 * np.pi
        cells = np.sin(x)[None].repeat(8, 0)[None]
        moved, speed = cells, np.full((8, size), 0.4)
        for _ in range(size // 2):
            moved = advect(moved, speed, np.zeros((9, size)))
        errors.append(np.abs(moved - np.sin(x - 0.2 * 2 * np.pi)).max())
    assert errors[0] / errors[1] > 16


def test_nothing_is_lost_or_enters_land():
    rng = np.random.default_rng(1)
    land = np.zeros((48, 48), bool)
    land[40:], land[18:25, 10:17] = True, True
    u, v = rng.uniform(-1.5, 1.5, (48, 48)), rng.uniform(-1.5, 1.5, (49, 48))
    u, v = (ndimage.gaussian_filter(a, 2, mode='wrap') * 4 for a in (u, v))
    v[0] = 0
    u, v = close_coast(u, v, land)
    before = np.where(land, 0, rng.random((2, 48, 48)))
    after = advect(before, u, v)
    np.testing.assert_allclose(after.sum((1, 2)), before.sum((1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(after[:, land], 0)
    assert np.abs(after - before).max() > 0.1


def test_divergence_is_what_thins_the_ice():
    """One small step of a uniform cover loses exactly its divergence."""
    rng = np.random.default_rng(2)
    u, v = rng.uniform(-0.1, 0.1, (24, 24)), rng.uniform(-0.1, 0.1, (25, 24))
    v[:4], v[-4:] = 0, 0
    after = advect(np.ones((1, 24, 24)), 1e-3 * u, 1e-3 * v)[0]
    divergence, _ = deformation(u, v, 4.0)
    np.testing.assert_allclose((1 - after)[4:-4], 4.0 * 1e-3 * divergence[4:-4], atol=2e-7)
