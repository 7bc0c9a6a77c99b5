"""Lagrangian scheme of the idealised cirrus: representative nuclei that move, become crystals, grow and fall."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from data_prep.simulators.cirrus.air import CELLS, DZ, STEP, Flow, advect, flow, initial_vapour, saturation
from data_prep.simulators.cirrus.growth import (
    ACTIVATION,
    GROWTH,
    SMALLEST,
    SOLID,
    deposited_density,
    fall_speed,
    radius,
)
from data_prep.simulators.cirrus.members import Members

PER_CELL = 8  # particles, each representing as many nuclei


class Particles(NamedTuple):
    """P particles of each member, [M, P]; the vapour on cells [M, z, x]."""

    vapour: jax.Array
    z: jax.Array  # in cells from the bottom
    x: jax.Array
    mass: jax.Array  # kg, 0 for a nucleus that is no crystal
    density: jax.Array  # kg m-3
    threshold: jax.Array  # saturation ratio at which it becomes a crystal


def start(members: Members) -> Particles:
    """Moist air, nuclei everywhere."""
    count, total = len(members.ascent), PER_CELL * CELLS**2
    z_key, x_key, threshold_key = jax.random.split(jax.random.fold_in(members.key, 1), 3)
    z, x = (CELLS * jax.random.uniform(key, (count, total)) for key in (z_key, x_key))
    threshold = jax.random.uniform(threshold_key, (count, total), minval=ACTIVATION[0], maxval=ACTIVATION[1])
    return Particles(
        initial_vapour(members.key, count), z, x, jnp.zeros((count, total)), jnp.full((count, total), SOLID), threshold
    )


def advance(state: Particles, members: Members, seconds: jax.Array) -> Particles:
    """The cloud a step later: motion, nucleation, deposition or sublimation. Mass is conserved in every cell."""
    return jax.vmap(_grow)(_move(state, members, seconds), members.nuclei)


def _move(state: Particles, members: Members, seconds: jax.Array) -> Particles:
    """Advection and fall; what leaves at the bottom returns at the top as a nucleus."""
    wind = flow(members.ascent, members.phases, seconds)
    u, w = jax.vmap(_wind_at)(wind, state.z, state.x)
    fall = jnp.where(state.mass > 0, fall_speed(state.mass, state.density), 0.0) * (STEP / DZ)
    z = state.z + w - fall
    outside = (z < 0) | (z >= CELLS)
    return state._replace(
        vapour=advect(state.vapour, wind),
        z=jnp.mod(z, CELLS),
        x=jnp.mod(state.x + u, CELLS),
        mass=jnp.where(outside, 0.0, state.mass),
    )


def _wind_at(wind: Flow, z: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Wind of the cell of each particle."""
    row, column = cell(z), cell(x)
    return wind.u[row, column], wind.w[row, column]


def cell(place: jax.Array) -> jax.Array:
    """Index of the cell; `mod` of a tiny negative number may round to the end of the domain."""
    return jnp.minimum(place.astype(jnp.int32), CELLS - 1)


def _grow(state: Particles, nuclei: jax.Array) -> Particles:
    """Of one member: every particle gains its share of the exact exchange between vapour and ice in its cell."""
    row, column = cell(state.z), cell(state.x)
    saturated = jnp.asarray(saturation, jnp.float32)[:, None]
    weight = nuclei / PER_CELL  # crystals per kg of air that a particle represents

    def summed(values: jax.Array) -> jax.Array:
        return jnp.zeros((CELLS, CELLS)).at[row, column].add(weight * values)

    ratio = (state.vapour / saturated)[row, column]
    new = (state.mass == 0) & (ratio > state.threshold)
    mass = jnp.where(new, SMALLEST, state.mass)
    density = jnp.where(new, SOLID, state.density)
    vapour = state.vapour - summed(jnp.where(new, SMALLEST, 0.0))
    own = 4 * jnp.pi * jnp.where(mass > 0, radius(mass, density), 0.0) * jnp.asarray(GROWTH)[row]
    rate = summed(own) / saturated
    share = -jnp.expm1(-rate * STEP) / jnp.maximum(rate, 1e-12)
    gain = own * ((vapour - saturated) / saturated * share)[row, column]
    gain = jnp.maximum(gain, -mass)
    grown = mass + gain
    volume = mass / density + jnp.where(gain > 0, gain / deposited_density(ratio), gain / density)
    gone = grown < SMALLEST / 2
    left = jnp.where(gone, grown, 0.0)  # returns to the vapour
    density = jnp.where(gone, SOLID, grown / jnp.maximum(volume, 1e-30))
    return state._replace(vapour=vapour - summed(gain - left), mass=jnp.where(gone, 0.0, grown), density=density)


def fields(state: Particles, members: Members) -> jax.Array:
    """As `bulk.fields`, over three by three cells with binomial weights, which reduces the noise of few particles;
    densities are weighted by mass."""

    def of_member(state: Particles, nuclei: jax.Array) -> jax.Array:
        row, column = cell(state.z), cell(state.x)

        def summed(values: jax.Array) -> jax.Array:
            return smoothed(jnp.zeros((CELLS, CELLS)).at[row, column].add(nuclei / PER_CELL * values))

        mass, number = summed(state.mass), summed((state.mass > 0).astype(jnp.float32))
        density = summed(state.mass * state.density) / jnp.maximum(mass, 1e-30)
        return jnp.stack([1e6 * mass, 1e-3 * number, jnp.where(mass > 0, density, 0.0)], -1)

    return jax.vmap(of_member)(state, members.nuclei)


def smoothed(field: jax.Array) -> jax.Array:
    """[z, x], periodic in x; at the bottom and the top the field goes on."""
    padded = jnp.pad(field, ((1, 1), (0, 0)), mode='edge')
    field = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (jnp.roll(field, 1, -1) + 2 * field + jnp.roll(field, -1, -1)) / 4
