"""Do tiles show? |gradient| across their borders over that elsewhere, in two tilings that are each other's control.

The same members are generated twice, with the same noise, in tiles whose borders lie at different places. Where those
of one tiling are, the other has the inside of a tile; so terrain and coasts, which are steep along some lines by
nature, are so in both, and drop out:

    seam = (at borders / elsewhere) / (at the same lines / elsewhere, in the other tiling)

1 without seams. Gradients are differences of neighbouring cells, downwards across borders between rows and sideways
across borders between columns; elsewhere neither tiling has a border, and lines that are borders of both do not count.
Borders are the edges of tiles, where a network saw the padding of its convolutions, and the middles of overlaps, where
one tile hands over to the next.
"""

import numpy as np

from downscale_jax.evaluation.bootstrap import Sums, ratio

Lines = tuple[np.ndarray, np.ndarray]  # between rows and between columns: k is the line between cells k - 1 and k


def borders(shape: tuple[int, int], origins: np.ndarray, sizes: tuple[int, int]) -> Lines:
    """Of tiles with origins [T, 2] (row, column) and sizes (h, w), as `Tiling` has them, in a domain of this shape.

    Along a side that one tile spans there are none. Of an overlap of an odd number of cells, the lines on both sides of
    its middle cell are taken. Tiles that begin before the domain or grow beyond it have no border there.
    """
    rows, columns = (_borders(n, np.unique(origins[:, axis]), sizes[axis]) for axis, n in enumerate(shape))
    return rows, columns


def _borders(n: int, starts: np.ndarray, size: int) -> np.ndarray:
    begin, end = starts[1:], starts[:-1] + size
    found = np.unique([begin, end, (begin + end) // 2, -(-(begin + end) // 2)])
    return found[(found > 0) & (found < n)].astype(int)


def day_sums(
    fields: tuple[np.ndarray, np.ndarray], weight: np.ndarray, lines: tuple[Lines, Lines]
) -> dict[str, np.ndarray]:
    """{'gradient' [2, 2, 3], 'gradient_weight' [2, 3]} of one time, float64: by tiling, between rows and between
    columns, at borders of the first tiling, of the second, of neither.

    fields [..., H, W] in the one tiling and in the other, such as members, whose |gradients| are averaged, with the
    borders of both; weight [H, W], 0 where a cell does not count. A pair of cells counts by the lesser of their
    weights, where both are finite in all fields.
    """
    first, second = (field.reshape(-1, *field.shape[-2:]) for field in fields)
    if not first.shape[1:] == second.shape[1:] == weight.shape:
        raise ValueError(f'fields are {fields[0].shape}, {fields[1].shape}, weight {weight.shape}: [..., H, W], [H, W]')
    known = np.isfinite(first).all(0) & np.isfinite(second).all(0) & (weight > 0)
    w = np.where(known, weight, 0).astype(np.float64)
    gradient, gradient_weight = np.zeros((2, 2, 3)), np.zeros((2, 3))
    for axis in (0, 1):
        pairs = np.minimum(*(np.take(w, np.arange(w.shape[axis] - 1) + step, axis) for step in (0, 1)))
        places = _places(w.shape[axis], lines[0][axis], lines[1][axis])
        gradient_weight[axis] = np.bincount(places, pairs.sum(1 - axis), 4)[:3]
        for tiling, several in enumerate((first, second)):
            # one field at a time: a few domains in float64 whatever the number of members
            steps = np.mean([np.sum(pairs * _steps(one, known, axis), 1 - axis) for one in several], 0)
            gradient[tiling, axis] = np.bincount(places, steps, 4)[:3]
    return {'gradient': gradient, 'gradient_weight': gradient_weight}


def _places(n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the n - 1 lines of an axis: 0, 1 borders of the first tiling, of the second; 2 of neither; 3 of both."""
    of = [np.isin(np.arange(1, n), lines) for lines in (first, second)]
    return np.select([of[0] & of[1], of[0], of[1]], [3, 0, 1], 2)


def _steps(field: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """|differences| of neighbours along an axis, one fewer than cells; of cells that are not known [H, W], anything."""
    return np.abs(np.diff(np.where(known, field, 0).astype(np.float64), axis=axis))


def summarise(sums: Sums) -> np.ndarray:
    """Seams [..., 2] of both tilings from sums over times with any leading axes: means over the two directions by the
    weight of their borders. NaN where a tiling has no border of its own."""
    steepness = ratio(sums['gradient'], sums['gradient_weight'][..., None, :, :])
    relative = ratio(steepness[..., :2], steepness[..., 2:])
    found = []
    for own in (0, 1):
        seams = ratio(relative[..., own, :, own], relative[..., 1 - own, :, own])
        share = np.where(np.isfinite(seams), sums['gradient_weight'][..., own], 0)
        found.append(ratio(np.sum(share * np.nan_to_num(seams), -1), share.sum(-1)))
    return np.stack(found, -1)
