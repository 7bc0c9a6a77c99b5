"""Directions of the arms of a rosette: spherical codes, and their random perturbation."""

from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name('arm_directions.csv')
CAP = 1 / 3  # of the smallest angle between two arms: how far each may deviate from its direction


@cache
def spherical_code(arms: int) -> np.ndarray:
    """Unit vectors [arms, 3] whose smallest pairwise angle is as large as possible (Tammes problem), for 4 to 10.

    Their smallest angles equal those of Sloane's tables.
    """
    number, *directions = np.loadtxt(TABLE, delimiter=',', skiprows=2, unpack=True)
    return np.stack(directions, -1)[number == arms]


def smallest_angle(directions: np.ndarray) -> float:
    """The smallest angle in radians between two of the unit vectors [N, 3]."""
    cosines = (directions @ directions.T)[np.triu_indices(len(directions), 1)]
    return float(np.arccos(np.clip(cosines.max(), -1, 1)))


def perturbed(directions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each direction [N, 3] replaced by a random one, uniform in a spherical cap of CAP times the smallest angle."""
    count = len(directions)
    cosine = 1 - rng.random(count) * (1 - np.cos(CAP * smallest_angle(directions)))
    azimuth = 2 * np.pi * rng.random(count)
    first, second = across(directions)
    sideways = np.cos(azimuth)[:, None] * first + np.sin(azimuth)[:, None] * second
    return cosine[:, None] * directions + np.sqrt(1 - cosine**2)[:, None] * sideways


def across(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors [N, 3] each, which form a right-handed orthonormal frame with each direction [N, 3]."""
    helper = np.eye(3)[np.abs(directions).argmin(-1)]
    first = np.cross(helper, directions)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return first, np.cross(directions, first)
