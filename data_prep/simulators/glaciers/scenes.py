"""Idealised satellite scenes: shading, cast shadows, clouds with their mask, noise, and the edge of a swath."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from data_prep.simulators.glaciers.relief import CELL
from data_prep.simulators.matern import Matern

CLOUD = np.array([0.72, 0.73, 0.74, 0.72, 0.45])
DIFFUSE = np.array([0.22, 0.16, 0.12, 0.08, 0.04])  # share of skylight in each band
NOISE = 0.006  # standard deviation of reflectance
SIGHT = 64  # cells over which mountains throw shadows
STRIDE = 2.0  # cells between two points of a ray


class Sky(NamedTuple):
    """The sun and the clouds of one scene."""

    azimuth: float  # of the sun, degrees clockwise from north
    elevation: float  # degrees
    cloud_cover: float  # share of the region
    swath: float | None  # column, as a share of the width, where the swath ends; None: it covers the region


def draw_sky(rng: np.random.Generator, day: int) -> Sky:
    """Sky on a day of the year, at half past ten in the morning at 47 degrees north; every other scene is clear."""
    declination = 23.4 * np.cos(2 * np.pi * (day - 172) / 365)
    elevation = 90 - 47 + declination - 9
    cover = rng.uniform(0.0, 0.04) if rng.random() < 0.4 else rng.uniform(0.1, 0.7)
    swath = rng.uniform(0.3, 0.9) if rng.random() < 0.2 else None
    return Sky(148 + rng.normal(0, 3), elevation, cover, swath)


def observe(
    rng: np.random.Generator, ground: np.ndarray, surface: np.ndarray, sky: Sky
) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance (y, x, band), NaN beyond the swath, and the probability of cloud (y, x), both float32.

    ground: reflectance of level ground (y, x, band); surface: heights [m] (y, x).
    """
    opacity = clouds(rng, surface.shape, sky.cloud_cover)
    away = np.array([np.cos(np.deg2rad(sky.azimuth)), -np.sin(np.deg2rad(sky.azimuth))])
    shaded = 1 - 0.6 * ndimage.shift(opacity, 14 * away, order=1, mode='nearest')
    direct = illumination(surface, sky) * shaded
    light = (1 - DIFFUSE) * direct[..., None] + DIFFUSE
    image = ground * light
    image = image + opacity[..., None] * (CLOUD - image)
    image = ndimage.gaussian_filter(image, (0.5, 0.5, 0)) + rng.normal(0, NOISE, image.shape)
    # the detection of clouds is neither complete nor free of false alarms
    probability = np.clip(ndimage.gaussian_filter(opacity, 1.5) * 1.4 + rng.normal(0, 0.04, opacity.shape), 0, 1)
    if sky.swath is not None:
        row, column = np.indices(opacity.shape)
        image[column > sky.swath * opacity.shape[1] + 0.2 * row] = np.nan
    return np.clip(image, 0.001, 1.2).astype(np.float32), probability.astype(np.float32)


def clouds(rng: np.random.Generator, shape: tuple[int, ...], cover: float) -> np.ndarray:
    """Opacity [0, 1] of clouds over a share `cover` of the region, (y, x)."""
    field = Matern(rng, shape, 0.18 * min(shape), 1.1).values
    return np.clip((field - np.quantile(field, 1 - cover)) / 0.35, 0, 1)


def illumination(surface: np.ndarray, sky: Sky) -> np.ndarray:
    """Cosine of the sun's angle of incidence relative to that on level ground, 0 in shadow, (y, x)."""
    azimuth, elevation = np.deg2rad(sky.azimuth), np.deg2rad(sky.elevation)
    south, east = np.gradient(surface, CELL)  # rows run southward
    # towards the sun: (south, east) components on the ground
    sun = np.array([-np.cos(azimuth), np.sin(azimuth)])
    normal = np.sqrt(1 + south**2 + east**2)
    cosine = (np.sin(elevation) - np.cos(elevation) * (sun[0] * south + sun[1] * east)) / normal
    lit = ndimage.gaussian_filter((~shadowed(surface, sun, np.tan(elevation))).astype(np.float32), 0.7)
    return np.clip(cosine / np.sin(elevation), 0, 2.2) * lit


def shadowed(surface: np.ndarray, sun: np.ndarray, rise: float) -> np.ndarray:
    """Where a mountain within SIGHT cells hides the sun, bool (y, x). `sun`: (south, east) components of the direction
    towards it; `rise`: tangent of its elevation."""
    pad = SIGHT + 1
    padded = np.pad(surface, pad, mode='edge')
    hidden = np.zeros(surface.shape, bool)
    for distance in np.arange(STRIDE, SIGHT, STRIDE):
        row, column = np.round(distance * sun).astype(int)
        ahead = padded[pad + row : pad + row + surface.shape[0], pad + column : pad + column + surface.shape[1]]
        hidden |= ahead > surface + distance * CELL * rise
    return hidden
