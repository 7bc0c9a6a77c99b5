"""Coarse fields that are block means of fine ones: the mean, the way back, and conservation.

Works on NumPy and JAX arrays alike, [..., H, W, V]; `factor` cells a side are averaged into one.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.log_transform import LogTransform

Space = Literal['network', 'physical']


def block_mean(fine: Any, factor: int) -> Any:
    """[..., H, W, V] -> [..., H / factor, W / factor, V], NaN where a cell of the block is; sides must divide."""
    *lead, h, w, v = fine.shape
    return fine.reshape(*lead, h // factor, factor, w // factor, factor, v).mean((-4, -2))


def block_centres(coordinate: np.ndarray, factor: int, circle: bool) -> np.ndarray:
    """Coordinates of fine cells along an axis, or [H, W], -> those of the blocks; on a `circle`, of degrees, a block
    may lie across the seam."""
    values = coordinate.astype(float)
    values = np.unwrap(values, period=360.0) if circle else values
    return values.reshape(-1, factor).mean(1) if values.ndim == 1 else block_mean(values[..., None], factor)[..., 0]


def repeat(coarse: Any, factor: int) -> Any:
    """Every cell `factor` times along both sides: the field whose block mean is `coarse`."""
    return coarse.repeat(factor, -3).repeat(factor, -2)


def cubic(coarse: Any, factor: int, periodic: bool) -> Any:
    """Bicubic interpolation (Keys 1981, a = -1/2) to cells `factor` times finer: the standing baseline.

    Beyond an edge the outermost cells are repeated, along rows of a `periodic` grid the field itself. Cells of a
    missing one are missing; those beside it take what weights are left.
    """
    xp = np if isinstance(coarse, np.ndarray) else jnp
    rows, columns = (
        xp.asarray(cubic_matrix(n, factor, wraps), coarse.dtype)
        for n, wraps in zip(coarse.shape[-3:-1], (False, periodic), strict=True)
    )

    def apply(x):
        # products of matrices, channel by channel: einsum would loop over them cell by cell
        planes = xp.moveaxis(x, -1, 0)
        return xp.moveaxis((rows @ planes) @ columns.T, 0, -1)

    known = xp.isfinite(coarse)
    if isinstance(coarse, np.ndarray) and known.all():
        return apply(coarse)
    # within a cell that is there the weights left add up to a third at least
    there = repeat(known, factor)
    weight = xp.where(there, apply(known.astype(coarse.dtype)), 1)
    return xp.where(there, apply(xp.where(known, coarse, 0)) / weight, xp.nan).astype(coarse.dtype)


def cubic_matrix(cells: int, factor: int, periodic: bool) -> np.ndarray:
    """[cells * factor, cells]: weights of the coarse cells in each fine one."""
    at = (np.arange(cells * factor) + 0.5) / factor - 0.5
    first = np.floor(at).astype(int)
    matrix = np.zeros((cells * factor, cells))
    for offset in (-1, 0, 1, 2):
        column = first + offset
        distance = np.abs(at - column)
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        column = column % cells if periodic else column.clip(0, cells - 1)
        np.add.at(matrix, (np.arange(len(at)), column), np.where(distance <= 1, near, far))
    return matrix


def conserve(fine: Any, coarse: Any, factor: int) -> Any:
    """The nearest field, by squares, whose block mean is `coarse`: what a block lacks is added to all of its cells."""
    return fine + repeat(coarse - block_mean(fine, factor), factor)


def conserve_positive(fine: Any, coarse: Any, factor: int) -> Any:
    """The same for fields that are nowhere negative: every block is multiplied by what makes its mean `coarse`.

    Where a block is zero and its mean is not, all its cells get the mean.
    """
    xp = np if isinstance(fine, np.ndarray) else jnp
    fine = xp.maximum(fine, 0)
    mean = block_mean(fine, factor)
    share = repeat(xp.where(mean > 0, coarse / xp.where(mean > 0, mean, 1), 0), factor)
    return xp.where(repeat(mean == 0, factor), repeat(coarse, factor), fine * share)


@dataclass(frozen=True)
class BlockMeans:
    """Between physical fields and what a network sees, where the coarse field is the block mean of the fine one.

    The mean is taken of physical values, or (`mean` 'network', as published for SRGAN) of transformed ones; a coarse
    field always is in physical units, so that in the second case it is the transform's inverse of that mean.
    On the fine grid it stands twice, [..., H, W, 2 V]: repeated, which loses nothing, and interpolated, which is
    smooth. A network sees the first, with the validity mask behind it; the target is the fine field or (`anomaly`) what
    it has beyond the second, in standard deviations of the training split.
    """

    values: LogTransform
    factor: int
    mean: Space
    anomaly: bool
    bounds: tuple[float, float]  # physical, of all variables; infinite where there are none
    target_std: tuple[float, ...]

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
        found: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{**found, 'values': LogTransform.from_json(values['values'])})

    def coarsen(self, fine: Any) -> Any:
        """Physical [..., H, W, V] -> its coarse form, physical [..., h, w, V]."""
        if self.mean == 'physical':
            return block_mean(fine, self.factor)
        return self.values.decode(block_mean(self.values.encode(fine), self.factor))

    def lift(self, coarse: Any, periodic: bool) -> Any:
        """Coarse [..., h, w, V] -> on the fine grid [..., H, W, 2 V]: repeated, interpolated."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        return xp.concatenate([repeat(coarse, self.factor), cubic(coarse, self.factor, periodic)], -1)

    def _parts(self, coarse: Any) -> tuple[Any, Any]:
        count = len(self.targets)
        return coarse[..., :count], coarse[..., count:]

    def interpolated(self, coarse: Any) -> Any:
        """The baseline in what `lift` gives, within the bounds, physical [..., H, W, V]."""
        return self._parts(coarse)[1].clip(*self.bounds)

    def known(self, coarse: Any) -> Any:
        """[..., H, W, 1] bool: where all of the coarse field is there."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        return xp.isfinite(coarse).all(-1, keepdims=True)

    def condition(self, coarse: Any, mask: Any) -> Any:
        """What `lift` gives and mask [..., H, W, 1] -> [..., H, W, V + 1], zero where missing."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        shown = xp.where(mask, self.values.encode(self._parts(coarse)[0]), xp.float32(0))
        return xp.concatenate([shown, mask.astype('float32')], -1)

    def encode(self, fine: Any, coarse: Any) -> Any:
        """Fine fields and what `lift` gives, physical -> targets [..., H, W, V]; NaN where one is missing."""
        target = self.values.encode(fine)
        if self.anomaly:
            target = target - self.values.encode(self._parts(coarse)[1])
        return target / np.asarray(self.target_std, 'float32')

    def decode(self, sample: Any, coarse: Any) -> Any:
        """Inverse of `encode`, physical, not clipped to the bounds."""
        target = sample * np.asarray(self.target_std, 'float32')
        if self.anomaly:
            target = target + self.values.encode(self._parts(coarse)[1])
        return self.values.decode(target)

    def conserved(self, fine: Any, coarse: Any) -> Any:
        """Physical fine fields changed so that their block mean, in the space in which it was taken, is the coarse
        field; those that must not be negative stay so."""
        small = self._parts(coarse)[0][..., :: self.factor, :: self.factor, :]
        if self.mean == 'physical':
            project = conserve_positive if self.bounds[0] == 0 else conserve
            return project(fine, small, self.factor)
        return self.values.decode(conserve(self.values.encode(fine), self.values.encode(small), self.factor))
