"""Geometry of ice crystals by habit: bullet rosettes after Ko et al. (arXiv 2507.19759), and simple habits beside them.

A rosette is the union of a central sphere and n bullets, hexagonal prisms with a pyramid that points inwards. Lengths
are in micrometres; a is the half width of a prism and 2c its length.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.simulators.crystals.directions import across, perturbed, spherical_code
from data_prep.simulators.crystals.solids import Part, Trimesh, ball, hull, union

HALF_WIDTH = (9.44, 33.90)  # range of a
ASPECT = (1.19, 5.75)  # range of c / a
SPREAD = (0.8, 1.2)  # range of the factors f
ARMS = (4, 10)  # fewest and most arms
ROUNDNESS = (0.85, 1.0)  # range of the axes of a frozen droplet, relative to a sphere
HEXAGON = np.pi / 3 * np.arange(6)
# of the central sphere, which the bullets cover in the main: with 72 the properties of a rosette change by less than
# 0.1 %, and a union takes three times as long
CENTRAL_SEGMENTS = 24


class Rosette(NamedTuple):
    """Parameters of a rosette with n arms."""

    a: float
    c: float
    f_r0: float  # radius of the central sphere
    f_hp: float  # height of the pyramids
    f_h0: float  # depth to which the tips of the pyramids enter the sphere
    f_a: np.ndarray  # [n] widths of the prisms
    f_c: np.ndarray  # [n] lengths of the prisms
    directions: np.ndarray  # [n, 3] unit vectors
    turns: np.ndarray  # [n] angles of the prisms about their axes

    @property
    def radius(self) -> float:
        """Of the central sphere: it grows with the number of arms, from 0.5 f_r0 a for 4 to f_r0 a for 12."""
        return self.f_r0 * self.a * float(np.interp(len(self.f_a), (4, 12), (0.5, 1.0)))

    @property
    def pyramid(self) -> float:
        """Height of the pyramids: from f_hp r0 for 4 arms to 1.5 f_hp r0 for 12."""
        return self.f_hp * self.radius * float(np.interp(len(self.f_a), (4, 12), (1.0, 1.5)))

    @property
    def base(self) -> float:
        """Distance of the bases of the pyramids from the centre: r0 + hp - h0 with h0 = f_h0 r0 / 2."""
        return self.radius + self.pyramid - self.f_h0 * self.radius / 2


def draw_rosette(arms: int, rng: np.random.Generator) -> Rosette:
    """Random parameters: all ranges uniform, arms near a spherical code."""
    a, aspect = rng.uniform(*HALF_WIDTH), rng.uniform(*ASPECT)
    f_r0, f_hp, f_h0 = rng.uniform(*SPREAD, 3)
    f_a, f_c = rng.uniform(*SPREAD, (2, arms))
    directions = perturbed(spherical_code(arms), rng)
    turns = rng.uniform(0, np.pi / 3, arms)
    return Rosette(a, aspect * a, f_r0, f_hp, f_h0, f_a, f_c, directions, turns)


def rosette_mesh(rosette: Rosette) -> Trimesh | None:
    """The union of the central sphere and the bullets; None where it fails."""
    arms = zip(rosette.f_a, rosette.f_c, rosette.turns, frames(rosette.directions), strict=True)
    return union([ball(rosette.radius, CENTRAL_SEGMENTS), *(bullet(rosette, *arm) for arm in arms)])


def bullet(rosette: Rosette, width: float, length: float, turn: float, frame: np.ndarray) -> Part:
    """An arm: the hull of the outer and the inner hexagon of the prism and the tip of the pyramid."""
    end = rosette.base + 2 * rosette.c * length
    corners = [hexagon(rosette.a * width, height, turn) for height in (end, rosette.base)]
    tip = [[0.0, 0.0, rosette.base - rosette.pyramid]]
    return hull(np.concatenate([*corners, tip]) @ frame)


def frames(directions: np.ndarray) -> np.ndarray:
    """Orthonormal frames [N, 3, 3] whose last row is the direction."""
    return np.stack([*across(directions), directions], 1)


def hexagon(radius: float, height: float, turn: float = 0.0) -> np.ndarray:
    """Vertices [6, 3] of a regular hexagon of this circumradius, perpendicular to z."""
    x, y = radius * np.cos(HEXAGON + turn), radius * np.sin(HEXAGON + turn)
    return np.stack([x, y, np.full(6, height)], -1)


def prism(a: float, length: float) -> np.ndarray:
    """Vertices [12, 3] of a hexagonal prism, centred, along z."""
    return np.concatenate([hexagon(a, -length / 2), hexagon(a, length / 2)])


def sphere(rng: np.random.Generator) -> Trimesh | None:
    """A frozen droplet, somewhat deformed."""
    return union([ball(rng.uniform(*HALF_WIDTH)).scale(rng.uniform(*ROUNDNESS, 3))])


def column(rng: np.random.Generator) -> Trimesh | None:
    """A hexagonal prism with c/a as that of bullets."""
    a = rng.uniform(*HALF_WIDTH)
    return union([hull(prism(a, 2 * a * rng.uniform(*ASPECT)))])


def plate(rng: np.random.Generator) -> Trimesh | None:
    """A hexagonal prism with a/c between 2 and the largest c/a of columns."""
    a = rng.uniform(*HALF_WIDTH)
    return union([hull(prism(a, 2 * a / rng.uniform(2.0, ASPECT[1])))])


def bullet_rosette(rng: np.random.Generator) -> Trimesh | None:
    """A rosette with any number of arms."""
    return rosette_mesh(draw_rosette(int(rng.integers(ARMS[0], ARMS[1] + 1)), rng))


def aggregate(rng: np.random.Generator) -> Trimesh | None:
    """Three to six columns at random angles, each attached to the one before."""
    parts: list[Part] = []
    centre, a = np.zeros(3), rng.uniform(*HALF_WIDTH)
    for rotation in Rotation.random(int(rng.integers(3, 7)), rng=rng):
        length = 2 * a * rng.uniform(*ASPECT)
        axis = rotation.apply([0.0, 0.0, 1.0])
        parts.append(hull(rotation.apply(prism(a * rng.uniform(*SPREAD), length)) + centre))
        centre = centre + axis * rng.uniform(-0.4, 0.4) * length
    return union(parts)


HABITS: Mapping[str, Callable[[np.random.Generator], Trimesh | None]] = {
    'sphere': sphere,
    'bullet_rosette': bullet_rosette,
    'column': column,
    'plate': plate,
    'aggregate': aggregate,
}
