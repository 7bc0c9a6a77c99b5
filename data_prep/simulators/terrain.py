"""Idealised relief cut by rivers, and its effects on the air: exposure, slopes, valleys.

Arrays are (y, x) from the south-west.
"""

import numpy as np
from scipy import fft, ndimage, sparse
from scipy.sparse import csgraph

from data_prep.simulators.matern import Matern

# Relief.
SEA = 0.24  # fraction of the domain
HEIGHT = 5600.0  # m, exceeded by one cell of land in a thousand
EROSION = 40, 0.12  # steps; cells / sqrt(cells drained), incision per step
RIVER = 0.45  # power of the drained area (Whipple and Tucker 1999: about 0.5)

# Exposure to rain.
DIRECTIONS = 16  # wind directions for which the exposure of slopes is computed
DRIFT = 20.0  # km that rain drifts while it forms, and again while it falls
GAIN = 110.0  # relative increase per slope of the ascending air


def draw_relief(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Heights [m], (y, x) float32: a plateau in the west, belts of mountains, plains, a ragged coast in the south-east.

    The sea is 0, land 1 or more. Belts of uplift are cut by rivers (`erode`) until the two nearly balance.
    """
    shape, size = (rows, columns), min(rows, columns)
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing='ij')
    ragged, swell, belts, along, rough = (
        Matern(rng, shape, reach * size, smoothness).values
        for reach, smoothness in ((0.5, 0.9), (0.7, 2.0), (0.45, 2.0), (0.4, 1.5), (0.12, 0.6))
    )
    continent = 0.5 * y - 0.9 * x + 0.16 * ragged
    land = continent > np.quantile(continent, SEA)
    inland = np.clip(continent - np.quantile(continent, SEA), 0, None)
    plateau = 1 / (1 + np.exp((x - 0.33 - 0.10 * swell - 0.12 * y) / 0.05))
    # belts follow the zeros of a smooth field, with varying strength and gaps
    belt = np.exp(-((belts / 0.28) ** 2)) * np.clip(0.55 + 0.5 * along, 0, 1.3)
    uplift = (0.05 + 0.9 * plateau + 1.2 * belt) * np.minimum(inland / 0.15, 1) * np.exp(0.35 * rough)
    height = erode(land, ndimage.gaussian_filter(uplift, 1.0))
    height = np.where(land, ndimage.gaussian_filter(height, 0.6), 0)
    height = np.maximum(height * HEIGHT / np.quantile(height[land], 0.999), 1)
    return np.where(land, height, 0).astype(np.float32)


def erode(land: np.ndarray, uplift: np.ndarray) -> np.ndarray:
    """Heights in the unit of `uplift`, (y, x): dh/dt = uplift - K A^m dh/dx, the law of streams, implicit in time.

    Braun and Willett (2013, Geomorphology 180-181, 170-179). Pits overflow at their lowest rim: water follows the
    minimum spanning tree of neighbours, in which an edge is as long as the height of its higher end.
    """
    steps, rate = EROSION
    height = uplift * land
    one, other = _neighbours(land.shape)
    nodes = land.size
    root = np.full((~land).sum(), nodes)
    sea = np.flatnonzero(~land)
    for _ in range(steps):
        flat = height.ravel()
        # a small preference for the lower neighbour; 1 is added since csgraph takes 0 for no edge
        longest = 1 + np.maximum(flat[one], flat[other]) + 1e-4 * np.minimum(flat[one], flat[other])
        edges = sparse.coo_array(
            (np.append(longest, np.full(sea.size, 0.5)), (np.append(one, root), np.append(other, sea))),
            (nodes + 1,) * 2,
        )
        tree = csgraph.minimum_spanning_tree(edges.tocsr())
        order, parents = csgraph.breadth_first_order(tree, nodes, directed=False)
        distance = _distances(parents[:nodes], land.shape)
        drained = np.ones(nodes + 1).tolist()
        parents = parents.tolist()
        order = order.tolist()
        for node in reversed(order[1:]):
            drained[parents[node]] += drained[node]
        cut = (rate * np.array(drained[:nodes]) ** RIVER / distance).tolist()
        risen = (flat + uplift.ravel()).tolist()
        fresh = [0.0] * (nodes + 1)
        for node, on_land in zip(order[1:], land.ravel()[order[1:]].tolist(), strict=True):
            if on_land:
                fresh[node] = (risen[node] + cut[node] * fresh[parents[node]]) / (1 + cut[node])
        height = np.array(fresh[:nodes]).reshape(land.shape)
    return height


def _neighbours(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of all pairs of cells that share an edge or a corner."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    pairs = (
        (index[:, :-1], index[:, 1:]),
        (index[:-1], index[1:]),
        (index[:-1, :-1], index[1:, 1:]),
        (index[1:, :-1], index[:-1, 1:]),
    )
    one, other = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    return one, other


def _distances(parents: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Distance in cells from each cell to the one it drains to: 1 or the square root of 2."""
    step = np.abs(parents - np.arange(parents.size))
    return np.where((step == 1) | (step == shape[1]), 1.0, np.sqrt(2))


class Ground:
    """Properties of the relief that affect the air, all (y, x).

    `height` and its mean over the wider surroundings `plateau` in km; `crest` in m above the closer surroundings;
    `rough` 0 to 1; `land` 0 to 1 with a coast of two cells; `inland` 0 at the coast to 1 far from it; `exposure` of
    slopes to winds from all sides [direction, y, x]; `slope` [2, y, x] y and x components in m/m; `across` [2, y, x]
    the unit vector across valleys, scaled by the fraction of the wind that is channelled.
    """

    def __init__(self, topography, cells):
        self.height, self.plateau = topography / 1000, ndimage.gaussian_filter(topography, 5.0) / 1000
        near = ndimage.gaussian_filter(topography, 3.0)
        self.crest = topography - near
        self.rough = np.minimum(np.sqrt(ndimage.gaussian_filter(self.crest**2, 3.0)) / 300, 1)
        sea = topography == 0
        self.land = ndimage.gaussian_filter((~sea).astype(np.float32), 0.7)
        self.inland = (1 - np.exp(-ndimage.distance_transform_edt(~sea, cells) / 500)).astype(np.float32)
        self.exposure = _exposure(topography, cells)
        slope = np.gradient(ndimage.gaussian_filter(topography, 1.0), *(1000 * cells))
        self.slope = np.stack(slope).astype(np.float32)
        self.across = _across(self.slope)


def _across(slope: np.ndarray) -> np.ndarray:
    """[2, y, x]: the direction along which the relief changes most; its length grows with anisotropy and steepness."""
    yy, xx, yx = (ndimage.gaussian_filter(a * b, 1.5) for a, b in (slope[[0, 0]], slope[[1, 1]], slope))
    anisotropy = np.hypot(xx - yy, 2 * yx) / np.maximum(xx + yy, 1e-12)
    angle = np.arctan2(2 * yx, xx - yy) / 2
    steep = np.minimum(np.sqrt(xx + yy) / 0.012, 1)
    return np.sqrt(anisotropy * steep) * np.stack([np.sin(angle), np.cos(angle)])


def _exposure(topography: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """[DIRECTIONS, y, x]: rain relative to flat land, by the direction the wind blows to, anticlockwise from east.

    The linear model of Smith and Barstad (2004, J. Atmos. Sci. 61, 1377-1391) without waves: condensate of the ascent
    drifts twice, i k.e h / (1 + i k.e DRIFT)^2, and air that descends behind the crest dries.
    """
    pad = int(np.ceil(5 * DRIFT / cells.min()))
    padded = np.pad(topography, pad, mode='edge')
    # the transform is periodic: mirrored, the domain has no cliffs at its edges
    spectrum = fft.rfft2(np.pad(padded, [(0, n) for n in padded.shape], mode='symmetric'))
    shape = 2 * padded.shape[0], 2 * padded.shape[1]
    k_y, k_x = 2 * np.pi * fft.fftfreq(shape[0], cells[0])[:, None], 2 * np.pi * fft.rfftfreq(shape[1], cells[1])
    result = np.empty((DIRECTIONS, *topography.shape), np.float32)
    for number, angle in enumerate(wind_directions()):
        along = 1j * (k_x * np.cos(angle) + k_y * np.sin(angle))
        lifted = fft.irfft2(spectrum * along / (1 + DRIFT * along) ** 2, shape)[pad:, pad:]
        gain = 1 + GAIN * lifted[: topography.shape[0], : topography.shape[1]] / 1000
        result[number] = np.clip(gain, 0.15, 6)
    return result


def wind_directions() -> np.ndarray:
    """[DIRECTIONS] in radians, anticlockwise from east."""
    return 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
