"""Polar maps of silhouettes."""

import jax.numpy as jnp
import numpy as np

from downscale_jax.models.properties import ANGLES, OUTERMOST, RADII, polar


def disc(size, centre, radius):
    y, x = np.indices((size, size))
    return np.clip(radius - np.hypot(y - centre[0], x - centre[1]) + 0.5, 0, 1).astype(np.float32)


def test_a_disc_ends_at_its_radius_wherever_it_lies():
    size, radius = 48, 12.0
    found = polar(jnp.stack([disc(size, (24, 24), radius), disc(size, (20, 29), radius)]))
    assert found.shape == (2, ANGLES, RADII)
    lengths = found.sum(-1) * size * OUTERMOST / RADII
    np.testing.assert_allclose(lengths, radius, atol=0.25)


def test_a_quarter_turn_shifts_the_angle():
    image = disc(48, (24, 24), 8.0)
    image[22:26, 24:44] = 1
    turned = np.rot90(image, -1)
    first, second = polar(jnp.stack([image, turned.copy()]))
    np.testing.assert_allclose(jnp.roll(first, ANGLES // 4, 0), second, atol=1e-4)
