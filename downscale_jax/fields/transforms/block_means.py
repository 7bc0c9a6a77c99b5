"""The transform of fine fields whose coarse form is their block mean, and the layouts of its channels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.context.planes import plane_count
from downscale_jax.fields.geometry.blocks import (
    Kernel,
    block_mean,
    conserve,
    conserve_positive,
    interpolate,
    repeat,
)
from downscale_jax.fields.transforms.bounds import Bounds, limits
from downscale_jax.fields.transforms.moments import per_channel
from downscale_jax.fields.transforms.standardisation import Standardisation

Space = Literal['network', 'physical']


class LiftedLayout(NamedTuple):
    """Channels of a coarse field on the fine grid (`BlockMeans.lift`); the last four are empty without `points`."""

    repeated: slice  # the coarse field, each value repeated over its block, which loses nothing
    interpolated: slice  # the same, interpolated, which is smooth
    context: slice  # planes of place and time
    offset: slice  # of each grid point, of each variable
    scale: slice
    block_offset: slice  # their block means
    block_scale: slice

    @property
    def channels(self) -> int:
        return self.block_scale.stop


class ConditionLayout(NamedTuple):
    """Channels of a network's condition (`BlockMeans.condition`)."""

    repeated: slice  # normalised coarse field
    interpolated: slice
    context: slice
    mask: slice  # validity, the last channel

    @property
    def channels(self) -> int:
        return self.mask.stop


def condition_layout(variables: int, context: Sequence[str]) -> ConditionLayout:
    """That of `variables` coarse variables and the named context (`context.planes`)."""
    return ConditionLayout(*_consecutive(variables, variables, plane_count(context), 1))


def _consecutive(*widths: int) -> list[slice]:
    return [slice(start, stop) for start, stop in pairwise(accumulate(widths, initial=0))]


@dataclass(frozen=True)
class BlockMeans:
    """Between physical fields and what a network sees, where the coarse field is the block mean of the fine field.

    The mean is taken of physical values, weighted by area, or (`mean` 'network', as published for SRGAN) of
    standardised values with equal weights. A coarse field always is in physical units, in the second case by the
    inverse transform of that mean. On the fine grid it becomes a stack of channels (`lift`, `LiftedLayout`), of which a
    network sees the normalised coarse field, repeated and interpolated, the `context` and the validity mask
    (`condition`, `ConditionLayout`). The target is the fine field or (`anomaly`) its difference from the interpolated
    field, in standard deviations of the training split.

    With `points` (`grid_point`), target and interpolated field are also normalised by the offset and scale of each grid
    point, and the repeated field by their block means; a network is not shown these planes.
    """

    values: Standardisation
    factor: int
    mean: Space
    anomaly: bool
    bounds: Bounds
    target_std: tuple[float, ...]
    kernel: Kernel | tuple[Kernel, ...] = 'cubic'  # of the interpolation; one for all variables or one each
    context: tuple[str, ...] = ()
    context_mean: tuple[float, ...] = ()  # of each plane of the context
    context_std: tuple[float, ...] = ()
    points: tuple[str, ...] = ()  # names of the planes of offsets, then of scales

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the context planes that `lift` expects."""
        return (*self.context, *self.points)

    @cached_property
    def lifted(self) -> LiftedLayout:
        """The channels of `lift`."""
        count, points = len(self.targets), len(self.points) // 2
        return LiftedLayout(*_consecutive(count, count, plane_count(self.context), *(points,) * 4))

    @property
    def targets(self) -> tuple[str, ...]:
        return self.values.variables

    inputs = targets

    @property
    def target_units(self) -> tuple[str, ...]:
        return self.values.units

    input_units = target_units

    @property
    def limits(self) -> np.ndarray:
        """[2, V]: the lower and the upper bounds."""
        return limits(self.bounds, self.targets)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'BlockMeans':
        tuples: dict[str, Any] = {name: _tuples(value) for name, value in values.items()}
        return cls(**{**tuples, 'values': Standardisation.from_json(values['values'])})

    def coarsen(self, fine: Any, area: Any) -> Any:
        """Physical [..., H, W, V] -> its coarse form, physical [..., h, w, V]; area [H, W, 1] of the cells."""
        if self.mean == 'physical':
            return block_mean(fine, self.factor, area)
        return self.values.decode(block_mean(self.values.encode(fine), self.factor))

    def lift(self, coarse: Any, planes: Any, periodic: bool) -> Any:
        """Coarse [..., h, w, V] and the context `planes` [..., H, W, S] -> the channels of `lifted` [..., H, W, L]."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        if isinstance(self.kernel, str):
            smooth = [interpolate(coarse, self.factor, periodic, self.kernel)]
        else:
            smooth = [
                interpolate(coarse[..., v : v + 1], self.factor, periodic, kernel)
                for v, kernel in enumerate(self.kernel)
            ]
        points = planes[..., planes.shape[-1] - len(self.points) :]
        blocks = [repeat(block_mean(points, self.factor), self.factor)] if self.points else []
        return xp.concatenate([repeat(coarse, self.factor), *smooth, planes, *blocks], -1)

    def small(self, lifted: Any) -> Any:
        """The coarse field [..., h, w, V] of a lifted one."""
        return lifted[..., :: self.factor, :: self.factor, self.lifted.repeated]

    def known(self, lifted: Any) -> Any:
        """[..., H, W, 1] bool: where all of the coarse field exists."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        return xp.isfinite(lifted[..., self.lifted.repeated]).all(-1, keepdims=True)

    def condition(self, lifted: Any, mask: Any) -> Any:
        """A lifted field and mask [..., H, W, 1] -> the channels of `condition_layout`, zero where missing."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        context = lifted[..., self.lifted.context]
        mean, std = (per_channel(np.asarray(m, 'float32'), context) for m in (self.context_mean, self.context_std))
        shown = xp.concatenate([self._smooth(lifted), (context - mean) / std], -1)
        # the repeated field also outside of the mask: a single valid cell stands for its block
        offset, scale = self._points(lifted, of_blocks=True)
        repeated = (self.values.encode(lifted[..., self.lifted.repeated]) - offset) / scale
        blocks = xp.where(self.known(lifted), repeated, xp.float32(0))
        return xp.concatenate([blocks, xp.where(mask, shown, xp.float32(0)), mask.astype('float32')], -1)

    def _points(self, lifted: Any, of_blocks: bool = False) -> tuple[Any, Any]:
        """Offset and scale [..., H, W, V] of each grid point, or the means over its block; 0 and 1 without `points`."""
        if not self.points:
            return 0, 1
        layout = self.lifted
        offset, scale = (layout.block_offset, layout.block_scale) if of_blocks else (layout.offset, layout.scale)
        return lifted[..., offset], lifted[..., scale]

    def _smooth(self, lifted: Any) -> Any:
        """The interpolated field, normalised."""
        offset, scale = self._points(lifted)
        return (self.values.encode(lifted[..., self.lifted.interpolated]) - offset) / scale

    def encode(self, fine: Any, lifted: Any) -> Any:
        """Fine and lifted fields, physical -> normalised targets [..., H, W, V]; NaN where one is missing."""
        offset, scale = self._points(lifted)
        target = (self.values.encode(fine) - offset) / scale
        if self.anomaly:
            target = target - self._smooth(lifted)
        return target / per_channel(np.asarray(self.target_std, 'float32'), target)

    def decode(self, sample: Any, lifted: Any) -> Any:
        """Inverse of `encode`, physical, not clipped to the bounds."""
        target = sample * per_channel(np.asarray(self.target_std, 'float32'), sample)
        if self.anomaly:
            target = target + self._smooth(lifted)
        offset, scale = self._points(lifted)
        return self.values.decode(target * scale + offset)

    def conserved(self, fine: Any, lifted: Any, area: Any) -> Any:
        """Physical fine fields changed so that their block mean, in the space where it is taken, is the coarse field.

        Variables with the lower bound 0 stay non-negative. Missing cells stay missing and do not count.
        """
        xp = np if isinstance(fine, np.ndarray) else jnp
        small = self.small(lifted)
        if self.mean == 'physical':
            scaled, shifted = (project(fine, small, self.factor, area) for project in (conserve_positive, conserve))
            return xp.where(per_channel(self.limits[0] == 0, fine), scaled, shifted)
        return self.values.decode(conserve(self.values.encode(fine), self.values.encode(small), self.factor))


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
