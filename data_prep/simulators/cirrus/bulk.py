"""Two-moment bulk scheme of the idealised cirrus: mass, number and volume of crystals in each cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from data_prep.simulators.cirrus.air import DZ, STEP, advect, flow, initial_vapour, saturation
from data_prep.simulators.cirrus.growth import (
    GROWTH,
    HOLLOW,
    SMALLEST,
    SOLID,
    activated,
    deposited_density,
    fall_speed,
    radius,
)
from data_prep.simulators.cirrus.members import Members

NUMBER_FALL = 0.6  # mean fall speed of number over that of mass: small crystals fall slowly
LEAST = 1e-12  # kg kg-1, below which a cell holds no ice


class Cloud(NamedTuple):
    """Of the cells [M, z, x], per kg of air."""

    vapour: jax.Array  # kg
    mass: jax.Array  # kg
    number: jax.Array
    volume: jax.Array  # m3

    @property
    def density(self) -> jax.Array:
        """Of the crystals, kg m-3; SOLID where there are none. Limited, because mass and volume are advected apart."""
        present = self.mass > LEAST
        density = jnp.where(present, self.mass / jnp.where(present, self.volume, 1.0), SOLID)
        return jnp.clip(density, HOLLOW, SOLID)


def start(members: Members) -> Cloud:
    """Moist air without ice."""
    vapour = initial_vapour(members.key, len(members.ascent))
    return Cloud(vapour, *(jnp.zeros_like(vapour) for _ in range(3)))


def advance(cloud: Cloud, members: Members, seconds: jax.Array) -> Cloud:
    """The cloud a step later: transport and fall, nucleation, deposition or sublimation."""
    cloud = transport(cloud, members, seconds)
    saturated = jnp.asarray(saturation, jnp.float32)[None, :, None]
    new = jnp.maximum(members.nuclei[:, None, None] * activated(cloud.vapour / saturated) - cloud.number, 0)
    cloud = Cloud(
        cloud.vapour - new * SMALLEST, cloud.mass + new * SMALLEST, cloud.number + new,
        cloud.volume + new * SMALLEST / SOLID,
    )  # fmt: skip
    mean_mass = cloud.mass / jnp.maximum(cloud.number, 1e-3)
    rate = 4 * jnp.pi * radius(mean_mass, cloud.density) * cloud.number * GROWTH[None, :, None] / saturated
    gain = (cloud.vapour - saturated) * -jnp.expm1(-rate * STEP)  # exact for constant radii
    gain = jnp.maximum(gain, -cloud.mass)
    left = jnp.where(gain < 0, 1 + gain / jnp.maximum(cloud.mass, LEAST), 1.0)  # numbers and volume shrink alike
    volume = left * cloud.volume + jnp.maximum(gain, 0) / deposited_density(cloud.vapour / saturated)
    return cleared(Cloud(cloud.vapour - gain, cloud.mass + gain, left * cloud.number, volume))


def transport(cloud: Cloud, members: Members, seconds: jax.Array) -> Cloud:
    """Advection by the flow, and fall."""
    wind = flow(members.ascent, members.phases, seconds)
    mean_mass = cloud.mass / jnp.maximum(cloud.number, 1e-3)
    fall = fall_speed(mean_mass, cloud.density) * (STEP / DZ)
    return Cloud(
        advect(cloud.vapour, wind), advect(cloud.mass, wind, fall), advect(cloud.number, wind, NUMBER_FALL * fall),
        advect(cloud.volume, wind, fall),
    )  # fmt: skip


def cleared(cloud: Cloud) -> Cloud:
    """Removes traces of ice too thin to be a cloud; their mass returns to the vapour."""
    present = cloud.mass > LEAST
    mass, number, volume = (jnp.where(present, x, 0.0) for x in (cloud.mass, cloud.number, cloud.volume))
    return Cloud(cloud.vapour + jnp.where(present, 0.0, cloud.mass), mass, number, volume)


def fields(cloud: Cloud) -> jax.Array:
    """[M, z, x, 3]: ice mass in mg per kg of air, crystals per g of air, their density in kg m-3, 0 without ice."""
    density = jnp.where(cloud.mass > LEAST, cloud.density, 0.0)
    return jnp.stack([1e6 * cloud.mass, 1e-3 * cloud.number, density], -1)
