"""Division of ice into glaciers along the divides of its surface."""

import numpy as np
from scipy import ndimage

SMALLEST = 0.1  # km2: smaller bodies of ice are no glaciers of the inventory (Diaconu and Bamber 2023)
GUTTER = 4  # cells: tongues whose fronts are closer belong to one glacier
SMOOTHING = 4.0  # cells, of the surface whose divides count
STEPS = 12  # doublings of the path downhill: 2^12 cells reach the edge of any glacier


def divide(ice: np.ndarray, surface: np.ndarray, cell_km2: float) -> np.ndarray:
    """Number of the glacier of each cell, from 1; 0 without ice and for bodies below SMALLEST. All (y, x).

    Ice flows down the steepest slope of its smoothed surface, to one of eight neighbours, until it leaves the ice.
    Fronts within GUTTER cells of each other are those of one glacier, as in Kienholz et al. (2013, J. Glaciol. 59,
    925-937). Glaciers are contiguous.
    """
    smooth = ndimage.gaussian_filter(surface, SMOOTHING)
    end = _downhill(ice, smooth)
    fronts = np.zeros(ice.size, bool)
    fronts[np.unique(end[ice.ravel()])] = True
    near = ndimage.binary_dilation(fronts.reshape(ice.shape), np.ones((3, 3), bool), GUTTER // 2)
    joined, _ = ndimage.label(near, np.ones((3, 3)))
    glacier = np.where(ice, joined.ravel()[end].reshape(ice.shape), 0)
    return _contiguous(glacier, SMALLEST / cell_km2)


def _downhill(ice: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """[cells] flat index of the cell where the path downhill from each cell of ice ends."""
    rows, columns = ice.shape
    padded = np.pad(surface, 1, constant_values=np.inf)
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    around = np.stack([padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in shifts])
    distance = np.array([max(np.hypot(i, j), 1) for i, j in shifts])[:, None, None]
    lowest = ((around - surface) / distance).argmin(0)
    step = np.array([i * columns + j for i, j in shifts])[lowest]
    index = np.arange(ice.size).reshape(ice.shape)
    end = np.where(ice, index + step, index).ravel()
    for _ in range(STEPS):
        end = end[end]
    return end


def _contiguous(glacier: np.ndarray, least: float) -> np.ndarray:
    """Each contiguous part as a glacier of its own, numbered from 1; parts of fewer than `least` cells join the
    neighbour with which they share most of their edge, or vanish where they have none."""
    parts = _parts(glacier)
    for _ in range(3):
        size = np.bincount(parts.ravel())
        small = size < least
        small[0] = False
        pairs = np.concatenate([_pairs(parts, axis) for axis in (0, 1)])
        pairs = pairs[small[pairs[:, 0]] & (pairs[:, 1] > 0) & (size[pairs[:, 1]] >= size[pairs[:, 0]])]
        target = np.arange(size.size)
        if len(pairs):
            unique, shared = np.unique(pairs, axis=0, return_counts=True)
            order = np.argsort(shared, kind='stable')  # later entries, with more shared edge, replace earlier ones
            target[unique[order, 0]] = unique[order, 1]
        parts = _parts(target[parts])
    parts = np.where((np.bincount(parts.ravel()) >= least)[parts], parts, 0)
    return np.unique(parts, return_inverse=True)[1].reshape(parts.shape).astype(np.int32)


def _parts(labels: np.ndarray) -> np.ndarray:
    """Contiguous parts (edges in common) of equal positive labels, numbered from 1."""
    rows, columns = labels.shape
    # on a grid of twice the resolution, cells are apart unless the labels on both sides agree
    wide = np.zeros((2 * rows - 1, 2 * columns - 1), bool)
    wide[::2, ::2] = labels > 0
    wide[1::2, ::2] = (labels[1:] == labels[:-1]) & (labels[1:] > 0)
    wide[::2, 1::2] = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    return ndimage.label(wide)[0][::2, ::2]


def _pairs(labels: np.ndarray, axis: int) -> np.ndarray:
    """[N, 2] different labels on both sides of an edge, in both orders."""
    one, other = (np.delete(labels, i, axis).ravel() for i in (-1, 0))
    both = np.stack([one, other], -1)[one != other]
    return np.concatenate([both, both[:, ::-1]])
