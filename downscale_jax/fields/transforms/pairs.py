"""The transform of pairs: coarse predictors and fine targets from different sources, on different grids."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.context.planes import plane_count
from downscale_jax.fields.transforms.bounds import Bounds, limits
from downscale_jax.fields.transforms.moments import per_channel
from downscale_jax.fields.transforms.standardisation import Standardisation

SPREAD = 'spread_'  # prefix of the static variables with the standard deviation of each target's residual


class PairLayout(NamedTuple):
    """Channels of a coarse field on the fine grid (`PairTransform.lift`)."""

    predictors: slice  # interpolated, in physical units
    context: slice  # planes of place and time
    linear: slice  # prediction of the regression at each grid point, within the bounds
    spread: slice  # standard deviation of its residual, of transformed values

    @property
    def channels(self) -> int:
        return self.spread.stop


def condition_channels(predictors: int, targets: int, context: Sequence[str]) -> int:
    """Channels of a network's condition: predictors, linear prediction, context, mask."""
    return predictors + targets + plane_count(context) + 1


@dataclass(frozen=True)
class PairTransform:
    """Between physical fields and what a network sees, where coarse and fine data come from different sources.

    Predictors are interpolated to the fine grid and standardised. The target is the fine field minus a linear
    regression on the predictors at each grid point, both transformed (`values`), in standard deviations of that
    residual: the networks start from the best linear prediction and learn what it leaves out.

    `sources` are the predictors that are the same quantity as each target, None where the coarse data have none. The
    fine grid is that of training, since the regression is known there only.
    """

    predictors: Standardisation
    values: Standardisation
    sources: tuple[int | None, ...]
    bounds: Bounds
    context: tuple[str, ...] = ()
    context_mean: tuple[float, ...] = ()
    context_std: tuple[float, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.predictors.variables

    @property
    def input_units(self) -> tuple[str, ...]:
        return self.predictors.units

    @property
    def targets(self) -> tuple[str, ...]:
        return self.values.variables

    @property
    def target_units(self) -> tuple[str, ...]:
        return self.values.units

    @property
    def limits(self) -> np.ndarray:
        """[2, V]: the lower and the upper bounds."""
        return limits(self.bounds, self.targets)

    @cached_property
    def lifted(self) -> PairLayout:
        """The channels of `lift`."""
        count = len(self.targets)
        edges = accumulate((len(self.inputs), plane_count(self.context), count, count), initial=0)
        return PairLayout(*(slice(start, stop) for start, stop in pairwise(edges)))

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'PairTransform':
        tuples: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        tuples |= {key: Standardisation.from_json(values[key]) for key in ('predictors', 'values')}
        return cls(**tuples | {'bounds': tuple(tuple(pair) for pair in values['bounds'])})

    def lift(self, predictors: np.ndarray, planes: np.ndarray, linear: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Interpolated predictors [H, W, P], context planes [H, W, S], prediction and spread of the regression
        [H, W, V] each -> the channels of `lifted` [H, W, L] float32."""
        return np.concatenate([predictors, planes, linear.clip(*self.limits), spread], -1, dtype=np.float32)

    def coarse(self, lifted: np.ndarray) -> np.ndarray:
        """[..., H, W, V] within the bounds: what the coarse data say of each target, its own interpolated field, or
        the linear prediction where they have none."""
        own, linear = lifted[..., self.lifted.predictors], lifted[..., self.lifted.linear]
        chosen = [linear[..., v] if p is None else own[..., p] for v, p in enumerate(self.sources)]
        return np.stack(chosen, -1).clip(*self.limits)

    def known(self, lifted: Any) -> Any:
        """[..., H, W, 1] bool: where all predictors exist and the regression is known."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        needed = (lifted[..., part] for part in (self.lifted.predictors, self.lifted.linear))
        return xp.isfinite(xp.concatenate(list(needed), -1)).all(-1, keepdims=True)

    def condition(self, lifted: Any, mask: Any) -> Any:
        """A lifted field and mask [..., H, W, 1] -> [..., H, W, `condition_channels`], zero where missing."""
        xp = np if isinstance(lifted, np.ndarray) else jnp
        context = lifted[..., self.lifted.context]
        mean, std = (per_channel(np.asarray(m, 'float32'), context) for m in (self.context_mean, self.context_std))
        shown = [self.predictors.encode(lifted[..., self.lifted.predictors]), self._first(lifted)]
        shown = xp.concatenate([*shown, (context - mean) / std], -1)
        return xp.concatenate([xp.where(mask, shown, xp.float32(0)), mask.astype('float32')], -1)

    def encode(self, fine: Any, lifted: Any) -> Any:
        """Fine and lifted fields, physical -> normalised targets [..., H, W, V]; NaN where one is missing."""
        return (self.values.encode(fine) - self._first(lifted)) / lifted[..., self.lifted.spread]

    def decode(self, sample: Any, lifted: Any) -> Any:
        """Inverse of `encode`, physical, not clipped to the bounds."""
        return self.values.decode(sample * lifted[..., self.lifted.spread] + self._first(lifted))

    def _first(self, lifted: Any) -> Any:
        """The linear prediction, transformed."""
        return self.values.encode(lifted[..., self.lifted.linear])
