"""Growth and fall of single ice crystals, which both schemes of the idealised cirrus share."""

import jax
import jax.numpy as jnp
import numpy as np

from data_prep.simulators.cirrus.air import R_VAPOUR, SUBLIMATION, pressure, temperature, vapour_pressure

CONDUCTIVITY = 0.024  # W m-1 K-1, of air
SMALLEST = 1e-12  # kg, mass of a new crystal
SOLID, HOLLOW = 900.0, 100.0  # kg m-3, density of ice, and the lowest of a crystal
HOLLOWING = 6.0  # decrease of the logarithm of the density of deposited ice with supersaturation
FALL = 1100.0  # s-1, fall speed over diameter for solid crystals
FASTEST = 2.0  # m s-1
ACTIVATION = (1.05, 1.25)  # saturation ratio at which the first and the last nucleus forms a crystal

_diffusivity = 2.11e-5 * (temperature / 273.15) ** 1.94 * (101_325.0 / pressure)  # m2 s-1
_heat = SUBLIMATION / (CONDUCTIVITY * temperature) * (SUBLIMATION / (R_VAPOUR * temperature) - 1)
# [z] mass growth per radius and supersaturation: dm/dt = 4 pi r GROWTH (S - 1), kg m-1 s-1
GROWTH = (1 / (_heat + R_VAPOUR * temperature / (_diffusivity * vapour_pressure))).astype(np.float32)


def radius(mass: jax.Array, density: jax.Array) -> jax.Array:
    """Of the sphere with a crystal's mass and density, m."""
    return jnp.cbrt(3 * mass / (4 * jnp.pi * density))


def fall_speed(mass: jax.Array, density: jax.Array) -> jax.Array:
    """m s-1, proportional to the diameter and to the root of the density."""
    return jnp.minimum(FALL * 2 * radius(mass, density) * jnp.sqrt(density / SOLID), FASTEST)


def deposited_density(ratio: jax.Array) -> jax.Array:
    """Density of the ice that is deposited at a saturation ratio, kg m-3: crystals become hollow far from balance."""
    return jnp.maximum(SOLID * jnp.exp(-HOLLOWING * jnp.maximum(ratio - 1, 0)), HOLLOW)


def activated(ratio: jax.Array) -> jax.Array:
    """Share of the nuclei that form crystals at a saturation ratio."""
    first, last = ACTIVATION
    return jnp.clip((ratio - first) / (last - first), 0, 1)
