"""Idealised glacier inventory: outlines of the first year with the errors of manual digitising."""

import numpy as np
from scipy import ndimage

from data_prep.simulators.matern import Matern

HAND = 0.9  # cells, standard deviation of the digitised boundary, Paul et al. (2013, Ann. Glaciol. 54): about a pixel
SHIFT = 0.5  # cells, standard deviation of the georeferencing error of a glacier
MISSED = 0.35  # share of the glaciers whose debris-covered parts are left out
SNOWY = 0.3  # share of the glaciers whose outline includes seasonal snow
FILLED = 20  # cells: smaller islands of rock are not digitised


def digitise(rng: np.random.Generator, glacier: np.ndarray, debris: np.ndarray, snow: np.ndarray) -> np.ndarray:
    """Numbers of glaciers (y, x) as an inventory shows them, from the true ones (0: no glacier).

    debris: share of debris on the ice; snow: bool, where seasonal snow lies beside the ice.
    """
    count = int(glacier.max())
    missed, snowy = rng.random(count + 1) < MISSED, rng.random(count + 1) < SNOWY
    nearest = ndimage.distance_transform_edt(glacier == 0, return_distances=False, return_indices=True)
    owner = glacier[tuple(nearest)]  # the nearest glacier of each cell
    seen = (glacier > 0) & ~(missed[owner] & (debris > 0.6))
    seen |= snowy[owner] & snow & ndimage.binary_dilation(glacier > 0, iterations=4)
    # positive inside; the boundary moves where a random field is added
    distance = ndimage.distance_transform_edt(seen) - ndimage.distance_transform_edt(~seen)
    hand = HAND * Matern(rng, glacier.shape, 14, 1.0).values
    slope = np.gradient(distance)
    shifts = SHIFT * rng.standard_normal((2, count + 1))
    moved = distance + hand + sum(shift[owner] * part for shift, part in zip(shifts, slope, strict=True))
    drawn = ndimage.gaussian_filter(moved, 0.7) > 0
    islands, _ = ndimage.label(~drawn)
    drawn |= (np.bincount(islands.ravel()) < FILLED)[islands]
    return np.where(drawn, owner, 0).astype(np.int32)
