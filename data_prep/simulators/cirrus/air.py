"""The air of the idealised cirrus: grid, temperature, saturation, prescribed flow, and advection on the grid.

A vertical slice [..., z, x], 12.8 km wide and periodic, 6.4 km high. Temperature does not change in time; the flow is a
mean ascent in the cloud layer, a sheared wind, and eddies with random phases.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CELLS = 64
DX, DZ = 200.0, 100.0  # m
STEP = 20.0  # s
BOTTOM = 5600.0  # m
LAYER = (8000.0, 1000.0)  # m, centre and half width of the moist layer
MOIST, DRY = 1.2, 0.6  # initial saturation ratio over ice within and outside of the layer
UNEVEN = 0.08  # standard deviation of its initial perturbations
SHEAR = 2.5e-3  # s-1
EDDY = 0.5  # m s-1, amplitude of vertical wind in eddies
WAVES = (2, 3, 5)  # eddies across the domain
PERIOD = 2400.0  # s, after which an eddy has moved by its wavelength
R_DRY, R_VAPOUR, GRAVITY = 287.0, 461.5, 9.81
SUBLIMATION = 2.836e6  # J kg-1


def over_ice(kelvin: np.ndarray) -> np.ndarray:
    """Saturation vapour pressure over ice, Pa (Murphy and Koop 2005, equation 7)."""
    return np.exp(9.550426 - 5723.265 / kelvin + 3.53068 * np.log(kelvin) - 0.00728332 * kelvin)


height = BOTTOM + DZ * (np.arange(CELLS) + 0.5)
temperature = 253.0 - 7.5e-3 * (height - BOTTOM)  # K
pressure = 5.0e4 * (temperature / temperature[0]) ** (GRAVITY / (R_DRY * 7.5e-3))  # Pa, hydrostatic
vapour_pressure = over_ice(temperature)
saturation = 0.622 * vapour_pressure / pressure  # kg kg-1


class Flow(NamedTuple):
    """Wind in cells per step at the faces of cells [..., z, x]: `u` to the west of each cell, `w` below it."""

    u: jax.Array
    w: jax.Array


def flow(ascent: jax.Array, phases: jax.Array, seconds: jax.Array) -> Flow:
    """Of members with `ascent` [M] in m s-1 and phases [M, waves], from a stream function; free of divergence except
    for the mean ascent, which vanishes at the bottom and the top."""
    faces = BOTTOM + DZ * jnp.arange(CELLS + 1.0)
    envelope = jnp.exp(-jnp.square((faces - LAYER[0]) / (1.5 * LAYER[1])))
    x = DX * jnp.arange(CELLS)
    numbers = 2 * jnp.pi * jnp.array(WAVES, jnp.float32) / (CELLS * DX)
    angle = numbers[:, None] * x[None] - 2 * jnp.pi * seconds / PERIOD
    waves = jnp.sin(angle[None] + phases[..., None]) / numbers[None, :, None]  # [M, waves, x]
    stream = EDDY / len(WAVES) ** 0.5 * waves.sum(1)[:, None, :] * envelope[None, :, None]
    shear = SHEAR * (jnp.asarray(height, jnp.float32) - LAYER[0])
    u = shear[None, :, None] + jnp.diff(stream, axis=1) / DZ
    w = -(jnp.roll(stream, -1, -1) - stream) / DX + (ascent[:, None] * envelope[None])[..., None]
    inside = jnp.arange(CELLS) > 0
    return Flow(u * (STEP / DX), jnp.where(inside[None, :, None], w[:, :-1], 0.0) * (STEP / DZ))


def initial_vapour(key: jax.Array, members: int) -> jax.Array:
    """[M, z, x] kg kg-1: a moist layer with smooth random perturbations."""
    noise = jax.random.normal(key, (members, CELLS, CELLS))
    spectrum = jnp.exp(-0.5 * jnp.square(6 * jnp.hypot(jnp.fft.fftfreq(CELLS)[:, None], jnp.fft.rfftfreq(CELLS)[None])))
    smooth = jnp.fft.irfft2(jnp.fft.rfft2(noise) * spectrum[None], s=(CELLS, CELLS))
    smooth = smooth / smooth.std((1, 2), keepdims=True)
    within = jnp.exp(-(jnp.square((jnp.asarray(height, jnp.float32) - LAYER[0]) / LAYER[1]) ** 2))[None, :, None]
    ratio = DRY + (MOIST - DRY + UNEVEN * smooth) * within
    return ratio * jnp.asarray(saturation, jnp.float32)[None, :, None]


def advect(field: jax.Array, wind: Flow, fall: jax.Array | None = None) -> jax.Array:
    """Mixing ratios [M, z, x] a step later: flux form, periodic in x, nothing enters at the bottom or the top.

    Second order with the limiter of van Leer (1974). `fall`: fall speed in cells per step.
    """
    field = field - difference(flux(field, wind.u, -1), -1, periodic=True)
    upward = wind.w if fall is None else wind.w - fall
    return field - difference(flux(field, upward, -2), -2, periodic=False)


def flux(field: jax.Array, courant: jax.Array, axis: int) -> jax.Array:
    """Through the lower face of each cell, periodic."""
    before, beyond = jnp.roll(field, 1, axis), jnp.roll(field, 2, axis)
    after = jnp.roll(field, -1, axis)
    slope_before, slope_after = limited(before - beyond, field - before), limited(field - before, after - field)
    from_below = courant * (before + 0.5 * (1 - courant) * slope_before)
    from_above = courant * (field - 0.5 * (1 + courant) * slope_after)
    return jnp.where(courant > 0, from_below, from_above)


def limited(a: jax.Array, b: jax.Array) -> jax.Array:
    """Harmonic mean of two differences of one sign, else zero."""
    product = a * b
    return jnp.where(product > 0, 2 * product / jnp.where(product > 0, a + b, 1.0), 0.0)


def difference(through: jax.Array, axis: int, periodic: bool) -> jax.Array:
    """Net loss of each cell, from the flux through its lower face. Unless `periodic`, falling ice leaves through the
    bottom, and nothing enters through the top."""
    upper = jnp.roll(through, -1, axis)
    if not periodic:
        top = jnp.arange(CELLS) == CELLS - 1
        upper = jnp.where(top[None, :, None], 0.0, upper)
    return upper - through
