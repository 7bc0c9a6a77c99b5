"""Idealised glaciers: a surface mass balance about an equilibrium line, and flow by the shallow-ice approximation.

Ice thickness h [m] on a bed B [m], with the surface s = B + h, follows

    dh/dt = b + div(D grad s),    D = Gamma h^5 |grad s|^2,    Gamma = 2 A (rho g)^3 / 5

(Glen's flow law with exponent 3; Hutter 1983, Theoretical Glaciology). The explicit scheme takes the thickness of the
upstream cell at each face, and no cell loses more ice than it has, so that thickness stays positive on steep beds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from data_prep.simulators.glaciers.relief import CELL
from data_prep.simulators.matern import Matern

FLOW = 2 * 2.4e-24 * 3.156e7 * (910 * 9.81) ** 3 / 5  # Gamma in m^-3 a^-1, of ice at 0 degrees C
SLIDING = 4.0  # factor of the flow that stands for sliding at the bed
STEEPEST = 0.8  # slope beyond which the diffusivity does not grow
GRADIENT = 0.0075  # of the mass balance, m of ice per year and m of height
LARGEST, SMALLEST = 1.6, -7.0  # m of ice per year
AVALANCHES = 0.75  # slope above which snow does not stay
SHED = 12.0  # m of ice per year lost for each unit of slope above AVALANCHES
INSULATION = 0.8  # share of the melt that a thick cover of debris prevents
COARSE = 3  # cells per side of a cell on which ice flows
THINNEST = 4.0  # m: thinner ice is no glacier
COURANT = 0.15  # of the diffusive time step
SPIN_UP = 160.0  # years to the state from which glaciers retreat
WARMING = 1985.0  # first year of the retreat
RISE = 4.0  # m by which the equilibrium line rises each year, on average


Balance = Callable[[jax.Array, jax.Array], jax.Array]  # (year, surface [m]) -> m of ice per year, (y, x)


class Glaciation(NamedTuple):
    """Ice of the range in some years."""

    thickness: dict[int, np.ndarray]  # by year, [m], (y, x), 0 without ice
    equilibrium_line: np.ndarray  # height [m] in the first year, (y, x)


def glaciate(
    rng: np.random.Generator, bed: np.ndarray, line: float, supply: np.ndarray, years: tuple[int, ...]
) -> Glaciation:
    """Grows glaciers on `bed` [m] to a steady state, then lets them retreat to each of `years`, which increase.

    `line`: mean height [m] of the equilibrium line in the steady state. It is lower on northern slopes, and rises
    faster in some parts of the range than in others. `supply`: of debris, standard normal (y, x); where there is much,
    the ice melts more slowly under it.
    """
    coarse = _coarse(bed)
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(coarse, 2.0), COARSE * CELL)
    slope = np.hypot(slope_y, slope_x)
    # rows run from north to south: on a northern slope heights increase with the row
    north = slope_y / np.maximum(slope, 1e-6) * np.minimum(slope / 0.4, 1)
    regional, sensitivity = (Matern(rng, coarse.shape, reach, 1.5).values for reach in (90, 60))
    equilibrium = line + 70 * regional - 130 * north
    rise = RISE * np.exp(0.55 * sensitivity)
    loss = SHED * np.maximum(np.hypot(*np.gradient(coarse, COARSE * CELL)) - AVALANCHES, 0)
    melt = 1 - INSULATION / (1 + np.exp(-3 * (_coarse(supply) - 0.8)))
    place = tuple(jnp.asarray(x, jnp.float32) for x in (equilibrium, rise, loss, melt))

    def balance(year, surface):
        line = place[0] + place[1] * jnp.maximum(year - WARMING, 0)
        local = jnp.clip(GRADIENT * (surface - line), SMALLEST, LARGEST)
        return jnp.where(local < 0, place[3], 1) * local - place[2]

    depth = flow(balance, jnp.asarray(coarse), jnp.zeros(coarse.shape), WARMING - SPIN_UP, WARMING)
    now, thickness = WARMING, {}
    for year in years:
        depth, now = flow(balance, jnp.asarray(coarse), depth, now, float(year)), float(year)
        thickness[year] = _fine(np.asarray(depth), coarse, bed)
    warmed = equilibrium + rise * (years[0] - WARMING)
    return Glaciation(thickness, _zoomed(warmed, bed.shape))


@partial(jax.jit, static_argnames='balance')
def flow(balance: Balance, bed: jax.Array, ice: jax.Array, start: float, end: float) -> jax.Array:
    """Thickness [m] (y, x) at the year `end` from that at `start`, on cells of COARSE * CELL metres."""
    cell = COARSE * CELL

    def step(state):
        elapsed, h = state
        surface = bed + h
        (south, east), fastest = _fluxes(surface, h)
        dt = jnp.minimum(jnp.minimum(COURANT * cell**2 / fastest, 1.0), end - start - elapsed)
        # a cell loses no more than it has: its fluxes are reduced alike
        outflow = jnp.maximum(south[1:], 0) - jnp.minimum(south[:-1], 0)
        outflow += jnp.maximum(east[:, 1:], 0) - jnp.minimum(east[:, :-1], 0)
        share = jnp.minimum(1, h / jnp.maximum(dt * outflow / cell, 1e-9))
        south, east = south * _upstream(share, south, 0), east * _upstream(share, east, 1)
        divergence = (jnp.diff(south, axis=0) + jnp.diff(east, axis=1)) / cell
        return elapsed + dt, jnp.maximum(h + dt * (balance(start + elapsed, surface) - divergence), 0)

    return jax.lax.while_loop(lambda state: state[0] < end - start, step, (jnp.zeros(()), ice))[1]


def _fluxes(s, h):
    """Fluxes [m2 per year] through the faces of the cells, southward [H + 1, W] and eastward [H, W + 1], zero at the
    edges, and the largest diffusivity."""
    cell = COARSE * CELL
    padded = jnp.pad(s, 1, 'edge')
    central_y = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / (2 * cell)
    central_x = (padded[1:-1, 2:] - padded[1:-1, :-2]) / (2 * cell)
    fluxes, fastest = [], jnp.asarray(1e-6)
    for axis, across in ((0, central_x), (1, central_y)):
        slope = jnp.diff(s, axis=axis) / cell
        low, high = (jax.lax.slice_in_dim(h, i, h.shape[axis] - 1 + i, axis=axis) for i in (0, 1))
        upstream = jnp.where(slope < 0, low, high)
        beside = (jax.lax.slice_in_dim(across, 0, h.shape[axis] - 1, axis=axis)
                  + jax.lax.slice_in_dim(across, 1, None, axis=axis)) / 2  # fmt: skip
        squared = jnp.minimum(jnp.square(slope) + jnp.square(beside), STEEPEST**2)
        diffusivity = SLIDING * FLOW * upstream**5 * squared
        fastest = jnp.maximum(fastest, diffusivity.max())
        pads = [(1, 1) if i == axis else (0, 0) for i in range(2)]
        fluxes.append(jnp.pad(-diffusivity * slope, pads))
    return fluxes, fastest


def _upstream(cells, flow, axis):
    """Values of `cells` at the faces, from the cell where the flow comes from."""
    pads = [(1, 1) if i == axis else (0, 0) for i in range(2)]
    padded = jnp.pad(cells, pads)
    low, high = (jax.lax.slice_in_dim(padded, i, padded.shape[axis] - 1 + i, axis=axis) for i in (0, 1))
    return jnp.where(flow > 0, low, high)


def _coarse(fine: np.ndarray) -> np.ndarray:
    """Means over COARSE x COARSE cells; incomplete blocks at the far edges are dropped."""
    rows, columns = (n // COARSE for n in fine.shape)
    return fine[: rows * COARSE, : columns * COARSE].reshape(rows, COARSE, columns, COARSE).mean((1, 3))


def _fine(ice: np.ndarray, coarse: np.ndarray, bed: np.ndarray) -> np.ndarray:
    """Thickness on the fine bed below the coarse surface of the ice."""
    surface = _zoomed(coarse + ice, bed.shape)
    # where the coarse grid has no ice, its surface is the bed, which rises above or below the fine one
    near = _zoomed(np.minimum(ice, 3 * THINNEST), bed.shape)
    depth = np.minimum(surface - bed, 2 * _zoomed(ice, bed.shape))
    # narrower than the coarse cells, spurs of ice are artefacts of the interpolation
    ice_covered = ndimage.binary_opening((near > THINNEST) & (depth > THINNEST), np.ones((COARSE, COARSE)))
    return np.where(ice_covered, depth, 0).astype(np.float32)


def _zoomed(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation from the coarse grid to the fine one."""
    fine = ndimage.zoom(coarse, COARSE, order=1, mode='nearest', grid_mode=True)
    return np.pad(fine, [(0, n - m) for n, m in zip(shape, fine.shape, strict=True)], mode='edge').astype(np.float32)
