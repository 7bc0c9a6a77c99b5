"""Coarse fields that are block means of fine ones: the mean, the way back, and conservation.

Works on NumPy and JAX arrays alike, [..., H, W, V]; `factor` cells a side are averaged into one.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.context import width
from downscale_jax.fields.log_transform import LogTransform
from downscale_jax.runtime.errors import UserError

Space = Literal['network', 'physical']
Kernel = Literal['cubic', 'linear']


def block_mean(fine: Any, factor: int, weight: Any = None) -> Any:
    """[..., H, W, V] -> [..., H / factor, W / factor, V]; sides must divide.

    weight [H, W, 1]: the area of cells, 0 for those that do not exist; by default all count the same. Means are of the
    cells of a block that are there (finite), NaN where there is none.
    """
    *lead, h, w, v = fine.shape
    blocks = (*lead, h // factor, factor, w // factor, factor, v)
    xp = np if isinstance(fine, np.ndarray) else jnp
    if weight is None and isinstance(fine, np.ndarray) and np.isfinite(fine).all():
        return fine.reshape(blocks).mean((-4, -2))
    weight = xp.ones((h, w, 1), fine.dtype) if weight is None else xp.asarray(weight, fine.dtype) / weight.max()
    known = xp.isfinite(fine)
    share = xp.where(known, weight, 0)
    total = share.reshape(blocks).sum((-4, -2))
    summed = (share * xp.where(known, fine, 0)).reshape(blocks).sum((-4, -2))
    return xp.where(total > 0, summed / xp.where(total > 0, total, 1), xp.nan)


def block_centres(coordinate: np.ndarray, factor: int, circle: bool) -> np.ndarray:
    """Coordinates of fine cells along an axis, or [H, W], -> those of the blocks; on a `circle`, of degrees, a block
    may lie across the seam."""
    values = coordinate.astype(float)
    values = np.unwrap(values, period=360.0) if circle else values
    return values.reshape(-1, factor).mean(1) if values.ndim == 1 else block_mean(values[..., None], factor)[..., 0]


def repeat(coarse: Any, factor: int) -> Any:
    """Every cell `factor` times along both sides: the field whose block mean is `coarse`."""
    return coarse.repeat(factor, -3).repeat(factor, -2)


def interpolate(coarse: Any, factor: int, periodic: bool, kernel: Kernel = 'cubic') -> Any:
    """To cells `factor` times finer, linearly or bicubically (Keys 1981, a = -1/2): the standing baselines.

    Beyond an edge the outermost cells are repeated, along rows of a `periodic` grid the field itself. Cells of a
    missing one are missing; those beside it take what weights are left.
    """
    xp = np if isinstance(coarse, np.ndarray) else jnp
    rows, columns = (
        xp.asarray(KERNELS[kernel](n, factor, wraps), coarse.dtype)
        for n, wraps in zip(coarse.shape[-3:-1], (False, periodic), strict=True)
    )

    def apply(x):
        # products of matrices, channel by channel: einsum would loop over them cell by cell
        planes = xp.moveaxis(x, -1, 0)
        return xp.moveaxis((rows @ planes) @ columns.T, 0, -1)

    known = xp.isfinite(coarse)
    if isinstance(coarse, np.ndarray) and known.all():
        return apply(coarse)
    # within a cell that is there the weights left add up to a quarter at least
    there = repeat(known, factor)
    weight = xp.where(there, apply(known.astype(coarse.dtype)), 1)
    return xp.where(there, apply(xp.where(known, coarse, 0)) / weight, xp.nan).astype(coarse.dtype)


def linear_matrix(cells: int, factor: int, periodic: bool) -> np.ndarray:
    """[cells * factor, cells]: weights of the coarse cells in each fine one."""
    return _matrix(cells, factor, periodic, (0, 1), lambda distance: 1 - distance)


def cubic_matrix(cells: int, factor: int, periodic: bool) -> np.ndarray:
    """The same of cubic convolution."""

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
    """The field nearest by squares, weighted as the mean, whose block mean is `coarse`: what a block lacks is added to
    all of its cells."""
    return fine + repeat(coarse - block_mean(fine, factor, weight), factor)


def conserve_positive(fine: Any, coarse: Any, factor: int, weight: Any = None) -> Any:
    """The same for fields that are nowhere negative: every block is multiplied by what makes its mean `coarse`.

    Where a block is zero and its mean is not, all its cells get the mean.
    """
    xp = np if isinstance(fine, np.ndarray) else jnp
    fine = xp.maximum(fine, 0)
    mean = block_mean(fine, factor, weight)
    share = repeat(xp.where(mean > 0, coarse / xp.where(mean > 0, mean, 1), 0), factor)
    return xp.where(repeat(mean == 0, factor), repeat(coarse, factor), fine * share)


def channels(variables: int, context: Sequence[str]) -> int:
    """How many `BlockMeans.condition` gives."""
    return 2 * variables + width(context) + 1


def limits(bounds: Sequence[Any], count: int) -> np.ndarray:
    """Lower and upper bounds [2, V] float32 of `count` variables from a pair for all of them or a pair each.

    Raises UserError for anything else.
    """
    try:
        found = np.broadcast_to(np.asarray(bounds, 'float32').reshape(-1, 2).T, (2, count))
    except ValueError:
        found = np.zeros((2, count))
    if not (found[0] < found[1]).all():
        raise UserError(f'data.bounds={tuple(bounds)}: a lower and an upper one are needed, for all variables or each')
    return found


@dataclass(frozen=True)
class BlockMeans:
    """Between physical fields and what a network sees, where the coarse field is the block mean of the fine one.

    The mean is taken of physical values, by area, or (`mean` 'network', as published for SRGAN) of transformed ones,
    all cells the same; a coarse field always is in physical units, so that in the second case it is the transform's
    inverse of that mean. What stands on the fine grid, [..., H, W, 2 V + S], is the coarse field repeated, which loses
    nothing, the same interpolated, which is smooth, and the `context` (`fields.context`) of place and time. A network
    sees all of it, normalised, with the validity mask behind; the target is the fine field or (`anomaly`) what it has
    beyond the interpolated one, in standard deviations of the training split.

    Behind the context may stand the offsets and scales of `points` (`fields.grid_point`), which a network is not shown:
    by them the target and the interpolated field are normalised too, by their block means the repeated one.
    """

    values: LogTransform
    factor: int
    mean: Space
    anomaly: bool
    bounds: tuple[Any, ...]  # physical: a pair for all variables or one each; infinite where there are none
    target_std: tuple[float, ...]
    kernel: Kernel | tuple[Kernel, ...] = 'cubic'  # of the interpolation; one for all variables or one each
    context: tuple[str, ...] = ()
    context_mean: tuple[float, ...] = ()  # of its planes, as `context_std`
    context_std: tuple[float, ...] = ()
    points: tuple[str, ...] = ()  # the planes behind: all offsets, then all scales

    @property
    def planes(self) -> tuple[str, ...]:
        """What `fields.context` gives for `lift`."""
        return (*self.context, *self.points)

    @property
    def lifted(self) -> int:
        """How many channels `lift` gives."""
        return 2 * len(self.targets) + width(self.context) + 2 * len(self.points)

    @property
    def targets(self) -> tuple[str, ...]:
        return self.values.variables

    inputs = targets

    @property
    def target_units(self) -> tuple[str, ...]:
        return self.values.units

    input_units = target_units

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'BlockMeans':
        found: dict[str, Any] = {name: _tuples(value) for name, value in values.items()}
        return cls(**{**found, 'values': LogTransform.from_json(values['values'])})

    @property
    def limits(self) -> np.ndarray:
        """[2, V]: the lower and the upper bounds."""
        return limits(self.bounds, len(self.targets))

    def coarsen(self, fine: Any, area: Any) -> Any:
        """Physical [..., H, W, V] -> its coarse form, physical [..., h, w, V]; area [H, W, 1] of the cells."""
        if self.mean == 'physical':
            return block_mean(fine, self.factor, area)
        return self.values.decode(block_mean(self.values.encode(fine), self.factor))

    def lift(self, coarse: Any, context: Any, periodic: bool) -> Any:
        """Coarse [..., h, w, V] and context [..., H, W, S] -> on the fine grid [..., H, W, 2 V + S], behind it the
        block means of what the context has of `points`."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        if isinstance(self.kernel, str):
            smooth = [interpolate(coarse, self.factor, periodic, self.kernel)]
        else:
            smooth = [
                interpolate(coarse[..., v : v + 1], self.factor, periodic, kernel)
                for v, kernel in enumerate(self.kernel)
            ]
        points = context[..., context.shape[-1] - len(self.points) :]
        blocks = [repeat(block_mean(points, self.factor), self.factor)] if self.points else []
        return xp.concatenate([repeat(coarse, self.factor), *smooth, context, *blocks], -1)

    def _parts(self, lifted: Any) -> tuple[Any, Any, Any]:
        count = len(self.targets)
        return lifted[..., :count], lifted[..., count : 2 * count], lifted[..., 2 * count :]

    def small(self, lifted: Any) -> Any:
        """The coarse field [..., h, w, V] in what `lift` gives."""
        return self._parts(lifted)[0][..., :: self.factor, :: self.factor, :]

    def known(self, lifted: Any) -> Any:
        """[..., H, W, 1] bool: where all of the coarse field is there."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        return xp.isfinite(self._parts(lifted)[0]).all(-1, keepdims=True)

    def condition(self, lifted: Any, mask: Any) -> Any:
        """What `lift` gives and mask [..., H, W, 1] -> [..., H, W, 2 V + C + 1], zero where missing; C planes are the
        context's."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        repeated, _, context = self._parts(lifted)
        mean, std = (np.asarray(moments, 'float32') for moments in (self.context_mean, self.context_std))
        shown = xp.concatenate([self._smooth(lifted), (context[..., : len(mean)] - mean) / std], -1)
        # the coarse field itself also where the cell is outside of the mask: one cell speaks for its block
        offset, scale = self._points(lifted, of_blocks=True)
        blocks = xp.where(self.known(lifted), (self.values.encode(repeated) - offset) / scale, xp.float32(0))
        return xp.concatenate([blocks, xp.where(mask, shown, xp.float32(0)), mask.astype('float32')], -1)

    def _points(self, lifted: Any, of_blocks: bool = False) -> tuple[Any, Any]:
        """Offset and scale [..., H, W, V] of each point, or the means of its block; 0 and 1 where all are alike."""
        if not self.points:
            return 0, 1
        count = len(self.targets)
        planes = lifted[..., -2 * count :] if of_blocks else lifted[..., -4 * count : -2 * count]
        return planes[..., :count], planes[..., count:]

    def _smooth(self, lifted: Any) -> Any:
        """The interpolated field, normalised."""
        offset, scale = self._points(lifted)
        return (self.values.encode(self._parts(lifted)[1]) - offset) / scale

    def encode(self, fine: Any, lifted: Any) -> Any:
        """Fine fields and what `lift` gives, physical -> targets [..., H, W, V]; NaN where one is missing."""
        offset, scale = self._points(lifted)
        target = (self.values.encode(fine) - offset) / scale
        if self.anomaly:
            target = target - self._smooth(lifted)
        return target / np.asarray(self.target_std, 'float32')

    def decode(self, sample: Any, lifted: Any) -> Any:
        """Inverse of `encode`, physical, not clipped to the bounds."""
        target = sample * np.asarray(self.target_std, 'float32')
        if self.anomaly:
            target = target + self._smooth(lifted)
        offset, scale = self._points(lifted)
        return self.values.decode(target * scale + offset)

    def conserved(self, fine: Any, lifted: Any, area: Any) -> Any:
        """Physical fine fields changed so that their block mean, in the space in which it was taken, is the coarse
        field; those that must not be negative stay so. Cells that are NaN stay so and do not count."""
        xp = np if isinstance(fine, np.ndarray) else jnp
        small = self.small(lifted)
        if self.mean == 'physical':
            found = [project(fine, small, self.factor, area) for project in (conserve_positive, conserve)]
            return xp.where(self.limits[0] == 0, *found)
        return self.values.decode(conserve(self.values.encode(fine), self.values.encode(small), self.factor))


def _tuples(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as these."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
