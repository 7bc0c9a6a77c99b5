"""Idealised relief of a mountain range from valley floors to summits, on cells of 30 m."""

import numpy as np
from scipy import ndimage

from data_prep.simulators.matern import Matern
from data_prep.simulators.terrain import erode

CELL = 30.0  # m
COARSE = 7  # cells per side of a cell on which rivers erode
VALLEY, SUMMIT = 1300.0, 3900.0  # m: the lowest valley floor, and the height that one cell in a thousand exceeds
WIDTH = 19_000.0  # m: a narrower range is lower, as the square root
ROUGHNESS = 22.0  # m, standard deviation of the relief that rivers do not resolve


def draw_range(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Heights [m], (y, x) from the north-west: a range from west to east that drains to the north and the south.

    Uplift is strongest along the axis of the range and is cut by rivers (`terrain.erode`); finer relief, a random field
    with a Matern covariance, grows with height, so that valley floors are smooth and ridges rough.
    """
    coarse = (-(-rows // COARSE) + 2, -(-columns // COARSE) + 2)
    wavy, along, rough = (Matern(rng, coarse, reach, smoothness).values
                          for reach, smoothness in ((60, 2.0), (40, 1.5), (14, 0.6)))  # fmt: skip
    y = np.linspace(-1, 1, coarse[0])[:, None] + 0.12 * wavy
    uplift = (0.12 + np.exp(-((y / 0.8) ** 4)) * np.exp(0.1 * along)) * np.exp(0.45 * rough)
    land = np.ones(coarse, bool)
    land[[0, -1]] = False
    height = ndimage.gaussian_filter(erode(land, uplift), 0.7)
    fine = ndimage.zoom(height[1:-1, 1:-1], COARSE, order=3, mode='nearest', grid_mode=True)[:rows, :columns]
    fine = np.clip(fine / np.quantile(fine, 0.999), 0, None) ** 0.9
    detail = Matern(rng, (rows, columns), 24, 1.0).values
    summit = (SUMMIT - VALLEY) * min(1.0, np.sqrt(CELL * rows / WIDTH))
    return (VALLEY + summit * fine + ROUGHNESS * np.sqrt(fine) * detail).astype(np.float32)
