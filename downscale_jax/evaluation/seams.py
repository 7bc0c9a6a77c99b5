"""Does a field made of tiles show their borders? Mean |gradient| across borders over that elsewhere.

Gradients are differences of neighbouring cells, downwards across borders between rows and sideways across borders
between columns. Terrain and coasts do not lie evenly, so the same is asked of control lines half-way between
neighbouring borders, where no network ended:

    seam = (at borders / elsewhere) / (at control lines / elsewhere)

1 without seams. Borders are the edges of tiles, where a network saw the padding of its convolutions, and the middles of
overlaps, where one tile hands over to the next.
"""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.bootstrap import Sums, ratio


class Lines(NamedTuple):
    """Between rows and between columns: k is the line between cells k - 1 and k. Borders and controls share none."""

    borders: tuple[np.ndarray, np.ndarray]
    controls: tuple[np.ndarray, np.ndarray]


def lines(shape: tuple[int, int], origins: np.ndarray, sizes: tuple[int, int]) -> Lines:
    """Of tiles with origins [T, 2] (row, column) and sizes (h, w), as `Tiling` has them, in a domain of this shape.

    Along a side that one tile spans there are none. Of an overlap of an odd number of cells, the lines on both sides of
    its middle cell are taken. Tiles that begin before the domain or grow beyond it have no border there.
    """
    found = [_lines(n, np.unique(origins[:, axis]), sizes[axis]) for axis, n in enumerate(shape)]
    return Lines((found[0][0], found[1][0]), (found[0][1], found[1][1]))


def _lines(n: int, starts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    if starts.size < 2:
        return np.zeros(0, int), np.zeros(0, int)
    begin, end = starts[1:], starts[:-1] + size
    borders = np.unique([begin, end, (begin + end) // 2, -(-(begin + end) // 2)])
    half = round(np.diff(starts).mean() / 2)
    # on both sides, so that what changes steadily along the domain drops out
    controls = np.setdiff1d([borders - half, borders + half], borders)
    return borders[(borders > 0) & (borders < n)], controls[(controls > 0) & (controls < n)]


def day_sums(field: np.ndarray, weight: np.ndarray, lines: Lines) -> dict[str, np.ndarray]:
    """{'gradient', 'gradient_weight'} [2, 3] of one time, float64: between rows and between columns; at borders, at
    controls, elsewhere.

    field [..., H, W], such as members, whose |gradients| are averaged; weight [H, W], 0 where a cell does not count. A
    pair of cells counts by the lesser of their weights, where both are finite in all fields.
    """
    if field.shape[-2:] != weight.shape:
        raise ValueError(f'field is {field.shape}, weight {weight.shape}; expected [..., H, W] and [H, W]')
    fields = field.reshape(-1, *weight.shape)
    w = np.where(np.isfinite(fields).all(0) & (weight > 0), weight, 0).astype(np.float64)
    result: dict[str, list] = {'gradient': [], 'gradient_weight': []}
    for axis in (0, 1):
        pairs = np.minimum(*(np.take(w, np.arange(w.shape[axis] - 1) + step, axis) for step in (0, 1)))
        # one field at a time: a few domains in float64 whatever the number of members
        steps = np.mean([np.sum(pairs * _steps(one, w > 0, axis), 1 - axis) for one in fields], 0)
        places = np.full(steps.size, 2)
        places[lines.borders[axis] - 1] = 0
        places[lines.controls[axis] - 1] = 1
        result['gradient'].append(np.bincount(places, steps, 3))
        result['gradient_weight'].append(np.bincount(places, pairs.sum(1 - axis), 3))
    return {name: np.stack(values) for name, values in result.items()}


def _steps(field: np.ndarray, valid: np.ndarray, axis: int) -> np.ndarray:
    """|differences| of neighbours along an axis, one fewer than cells; of cells that are not valid [H, W], anything."""
    return np.abs(np.diff(np.where(valid, field, 0).astype(np.float64), axis=axis))


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Numbers from sums over times with any leading axes; NaN without borders.

    borders, controls [..., 2]: the mean |gradient| there over that elsewhere, between rows and between columns; seams
    [..., 2], the ratio of these; seam [...], its mean over the two directions by the weight of their borders.
    """
    steepness = ratio(sums['gradient'], sums['gradient_weight'])
    borders, controls = (ratio(steepness[..., place], steepness[..., 2]) for place in (0, 1))
    seams = ratio(borders, controls)
    share = np.where(np.isfinite(seams), sums['gradient_weight'][..., 0], 0)
    seam = ratio(np.sum(share * np.nan_to_num(seams), -1), share.sum(-1))
    return {'borders': borders, 'controls': controls, 'seams': seams, 'seam': seam}
