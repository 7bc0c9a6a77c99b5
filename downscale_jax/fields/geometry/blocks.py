"""Blocks of cells: their means, interpolation from them, and the projection of fine fields onto given block means.

Works on NumPy and JAX arrays alike, [..., H, W, V]; blocks have `factor` x `factor` cells.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

Kernel = Literal['cubic', 'linear']


def block_mean(fine: Any, factor: int, weight: Any = None) -> Any:
    """[..., H, W, V] -> [..., H / factor, W / factor, V]; sides must divide.

    weight [H, W, 1]: the area of cells, 0 where they do not exist; equal by default. Means are taken over the finite
    cells of a block, NaN where it has none.
    """
    *lead, h, w, v = fine.shape
    blocks = (*lead, h // factor, factor, w // factor, factor, v)
    xp = np if isinstance(fine, np.ndarray) else jnp
    if weight is None and isinstance(fine, np.ndarray) and np.isfinite(fine).all():
        return fine.reshape(blocks).mean((-4, -2))
    weight = xp.ones((h, w, 1), fine.dtype) if weight is None else xp.asarray(weight, fine.dtype) / weight.max()
    weight = weight.reshape((1,) * (fine.ndim - weight.ndim) + weight.shape)
    known = xp.isfinite(fine)
    share = xp.where(known, weight, 0)
    total = share.reshape(blocks).sum((-4, -2))
    summed = (share * xp.where(known, fine, 0)).reshape(blocks).sum((-4, -2))
    return xp.where(total > 0, summed / xp.where(total > 0, total, 1), xp.nan)


def block_centres(coordinate: np.ndarray, factor: int, circle: bool) -> np.ndarray:
    """Coordinates of fine cells, along an axis or [H, W] -> those of the blocks. On a `circle` of degrees a block may
    lie across the seam."""
    values = coordinate.astype(float)
    values = np.unwrap(values, period=360.0) if circle else values
    return values.reshape(-1, factor).mean(1) if values.ndim == 1 else block_mean(values[..., None], factor)[..., 0]


def repeat(coarse: Any, factor: int) -> Any:
    """Each cell repeated `factor` times along both axes: the field whose block mean is `coarse`."""
    return coarse.repeat(factor, -3).repeat(factor, -2)


def interpolate(coarse: Any, factor: int, periodic: bool, kernel: Kernel = 'cubic') -> Any:
    """Linear or bicubic (Keys 1981, a = -1/2) interpolation to cells `factor` times finer: the usual baselines.

    Beyond an edge the outermost cells are repeated; rows of a `periodic` grid continue on the other side. Fine cells
    within a missing coarse cell are missing; beside it the remaining weights are normalised.
    """
    xp = np if isinstance(coarse, np.ndarray) else jnp
    rows, columns = (
        xp.asarray(KERNELS[kernel](n, factor, wraps), coarse.dtype)
        for n, wraps in zip(coarse.shape[-3:-1], (False, periodic), strict=True)
    )

    def apply(x):
        # matrix products channel by channel: einsum would loop over the cells
        planes = xp.moveaxis(x, -1, 0)
        return xp.moveaxis((rows @ planes) @ columns.T, 0, -1)

    known = xp.isfinite(coarse)
    if isinstance(coarse, np.ndarray) and known.all():
        return apply(coarse)
    # within a valid cell the remaining weights add up to a quarter at least
    valid = repeat(known, factor)
    weight = xp.where(valid, apply(known.astype(coarse.dtype)), 1)
    return xp.where(valid, apply(xp.where(known, coarse, 0)) / weight, xp.nan).astype(coarse.dtype)


def linear_matrix(cells: int, factor: int, periodic: bool) -> np.ndarray:
    """[cells * factor, cells]: weights of the coarse cells in each fine cell."""
    return _matrix(cells, factor, periodic, (0, 1), lambda distance: 1 - distance)


def cubic_matrix(cells: int, factor: int, periodic: bool) -> np.ndarray:
    """As `linear_matrix`, by cubic convolution."""

    def weight(distance):
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        return np.where(distance <= 1, near, far)

    return _matrix(cells, factor, periodic, (-1, 0, 1, 2), weight)


def _matrix(cells: int, factor: int, periodic: bool, offsets: tuple[int, ...], weight: Callable) -> np.ndarray:
    at = (np.arange(cells * factor) + 0.5) / factor - 0.5
    first = np.floor(at).astype(int)
    matrix = np.zeros((cells * factor, cells))
    for offset in offsets:
        column = first + offset
        share = weight(np.abs(at - column))
        column = column % cells if periodic else column.clip(0, cells - 1)
        np.add.at(matrix, (np.arange(len(at)), column), share)
    return matrix


KERNELS: dict[str, Callable[[int, int, bool], np.ndarray]] = {'cubic': cubic_matrix, 'linear': linear_matrix}


def conserve(fine: Any, coarse: Any, factor: int, weight: Any = None) -> Any:
    """The least-squares projection onto fields whose block mean is `coarse`: the deficit of a block is added to all
    its cells. `weight` as in `block_mean`."""
    return fine + repeat(coarse - block_mean(fine, factor, weight), factor)


def conserve_positive(fine: Any, coarse: Any, factor: int, weight: Any = None) -> Any:
    """As `conserve` for non-negative fields: every block is scaled so that its mean is `coarse`.

    Where a block is zero but its coarse value is not, all its cells get the coarse value.
    """
    xp = np if isinstance(fine, np.ndarray) else jnp
    fine = xp.maximum(fine, 0)
    mean = block_mean(fine, factor, weight)
    share = repeat(xp.where(mean > 0, coarse / xp.where(mean > 0, mean, 1), 0), factor)
    return xp.where(repeat(mean == 0, factor), repeat(coarse, factor), fine * share)
