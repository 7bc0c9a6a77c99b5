"""Sums and means over boxes of cells, by cumulative sums in float64. Arrays are NumPy [..., H, W]."""

import numpy as np

from downscale_jax.fields.geometry.interpolation import common


def box_sums(values: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Sums over all boxes of `size` cells (or rows, columns) within values [..., H, W], by a summed-area table.

    -> [..., H - rows + 1, W - columns + 1], empty where no box fits; element [i, j] is the sum of the box whose first
    cell is (i, j). Integers and booleans are summed exactly in int64, other types in float64.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    exact = np.issubdtype(values.dtype, np.integer) or values.dtype == bool
    table = values.cumsum(-2, dtype=np.int64 if exact else np.float64).cumsum(-1)
    table = np.pad(table, [(0, 0)] * (values.ndim - 2) + [(1, 0), (1, 0)])
    below, above = table[..., rows:, :], table[..., :-rows, :]
    return below[..., columns:] - above[..., columns:] - below[..., :-columns] + above[..., :-columns]


def largest(sums: np.ndarray) -> tuple[int, int]:
    """(row, column) of the largest of sums [H, W], the first of equal ones."""
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(row), int(column)


def box_weights(width: float) -> np.ndarray:
    """Weights of a centred box `width` cells wide: an odd number of taps, the ends weighted by their overlap.

    A box of 30 cells has 31 taps with half-weight ends: 30 full ones would shift the field by half a cell.
    """
    half = max(width - 1, 0) / 2
    ends = half - np.floor(half)
    inner = np.ones(2 * int(np.floor(half)) + 1)
    return np.concatenate([[ends], inner, [ends]]) if ends > 1e-9 else inner


def box_filter(field: np.ndarray, weight: np.ndarray, widths_y: float, widths_x: np.ndarray, periodic: bool):
    """Mean over a box around each cell with weights `weight` (cell area, zero where invalid): filter(f w) / filter(w).

    field, weight [..., H, W]; widths in cells, those in x for each row [H]. Cells of weight zero (land) are ignored:
    the result is NaN there and where the field is missing.
    """
    valid = (weight > 0) & np.isfinite(field)
    shared = common(valid)
    weight = np.where(shared, weight, 0.0).astype(np.float64)
    total = _box_sum(np.where(valid, field, 0.0) * weight, widths_y, widths_x, periodic)
    norm = _box_sum(weight, widths_y, widths_x, periodic)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(valid, total / norm, np.nan)


def _box_sum(x: np.ndarray, width_y: float, widths_x: np.ndarray, periodic: bool) -> np.ndarray:
    # rows of equal width are summed together: on a projected grid all are equal
    limited = np.minimum(np.round(widths_x, 3), x.shape[-1])
    along_x = np.empty(x.shape)
    for width in np.unique(limited):
        rows = limited == width
        along_x[..., rows, :] = _running_sum(x[..., rows, :], width, -1, periodic)
    return _running_sum(along_x, min(width_y, x.shape[-2]), -2, False)


def _running_sum(x: np.ndarray, width: float, axis: int, periodic: bool) -> np.ndarray:
    """Sum under `box_weights(width)` along an axis, by cumulative sums: at a cost independent of the width."""
    taps = box_weights(width)
    reach, end = taps.size // 2, taps[0] if taps[0] < 1 else 0.0
    inner = reach - 1 if end else reach
    x = np.moveaxis(x, axis, -1)
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)], mode='wrap' if periodic else 'constant')
    sums = np.pad(x.cumsum(-1), [(0, 0)] * (x.ndim - 1) + [(1, 0)])
    n, skip = x.shape[-1] - 2 * reach, reach - inner
    result = sums[..., skip + 2 * inner + 1 :][..., :n] - sums[..., skip:][..., :n]
    if end:
        result = result + end * (x[..., :n] + x[..., 2 * reach :])
    return np.moveaxis(result, -1, axis)
