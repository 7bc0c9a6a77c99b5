"""Idealised surface of a glacierised range: debris, lakes, vegetation, seasonal snow, and their reflectance."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from data_prep.simulators.glaciers.relief import CELL
from data_prep.simulators.matern import Matern

BANDS = ('blue', 'green', 'red', 'nir', 'swir')
# Reflectance in BANDS, after the spectra of Hall et al. (1992, Remote Sens. Environ. 39) and Paul et al. (2016,
# Remote Sens. 8, 575), rounded.
SNOW = np.array([0.88, 0.87, 0.85, 0.74, 0.07])
FIRN = np.array([0.68, 0.68, 0.65, 0.54, 0.05])
ICE = np.array([0.46, 0.47, 0.43, 0.33, 0.04])
ROCK = np.array([0.13, 0.155, 0.175, 0.21, 0.24])
DEBRIS = np.array([0.125, 0.145, 0.16, 0.18, 0.20])  # moister than rock, with patches of ice
GRASS = np.array([0.045, 0.075, 0.06, 0.30, 0.15])
LAKE = np.array([0.10, 0.13, 0.11, 0.04, 0.015])
FIRN_LINE = 120.0  # m of height over which bare ice turns into firn
TREELINE = 600.0  # m below the equilibrium line


class Ground(NamedTuple):
    """Surface properties that are constant over the years, each (y, x)."""

    bed: np.ndarray  # m
    equilibrium_line: np.ndarray  # m
    rock: np.ndarray  # factor of the reflectance of rock
    debris_supply: np.ndarray  # standard normal
    patchiness: np.ndarray  # standard normal, of debris and snow at the scale of a few cells
    hollows: np.ndarray  # height [m] of the surroundings above the cell


def debris_supply(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal (y, x), alike over 2 km: whole tongues are covered."""
    return Matern(rng, shape, 70, 1.5).values


def ground(rng: np.random.Generator, bed: np.ndarray, equilibrium_line: np.ndarray, supply: np.ndarray) -> Ground:
    """Draws rocks."""
    rock, patches = (Matern(rng, bed.shape, reach, smoothness).values for reach, smoothness in ((60, 0.7), (9, 0.8)))
    hollows = ndimage.gaussian_filter(bed, 6.0) - bed
    return Ground(bed, equilibrium_line, np.exp(0.25 * rock), supply, patches, hollows)


def debris_cover(ground: Ground, thickness: np.ndarray) -> np.ndarray:
    """Share of debris [0, 1] on the ice, (y, x): it grows down the tongue and towards its sides."""
    below = (ground.equilibrium_line - ground.bed - thickness) / 130
    inside = ndimage.distance_transform_edt(thickness > 0)
    sides = np.exp(-inside / 2.5)
    amount = below + 1.1 * ground.debris_supply + 0.2 * sides + 0.35 * ground.patchiness - 1.9
    return np.where(thickness > 0, 1 / (1 + np.exp(-5 * amount)), 0).astype(np.float32)


def reflectance(ground: Ground, thickness: np.ndarray, snow_line: float) -> np.ndarray:
    """Reflectance of a level surface in BANDS, (y, x, band). `snow_line`: height [m] of seasonal snow above the
    equilibrium line."""
    surface, ice = ground.bed + thickness, thickness > 0
    height = surface - ground.equilibrium_line
    steep = np.hypot(*np.gradient(surface, CELL))
    firn = 1 / (1 + np.exp(-(height - 40) / (FIRN_LINE / 4)))
    frozen = _mix(_mix(ICE, FIRN, firn), DEBRIS * ground.rock[..., None], debris_cover(ground, thickness))
    grass = 1 / (1 + np.exp((height + TREELINE + 60 * ground.patchiness) / 40)) * (steep < 0.9)
    bare = _mix(ROCK * ground.rock[..., None], GRASS, grass)
    lake = (steep < 0.045) & (height < 0) & (ground.patchiness > 0.2) & ~ice
    bare = np.where(lake[..., None], LAKE, bare)
    # on rock, snow lies in hollows and not on steep slopes
    lying = height - snow_line + 45 * ground.patchiness
    lying = np.where(ice, lying, lying + 6 * np.clip(ground.hollows, -30, 30) - 160 - 250 * np.maximum(steep - 0.7, 0))
    snow = 1 / (1 + np.exp(-lying / 25))
    return _mix(np.where(ice[..., None], frozen, bare), SNOW, np.where(lake, 0, snow)).astype(np.float32)


def _mix(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return one + share[..., None] * (other - one)
