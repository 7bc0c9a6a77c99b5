"""The transform of fine fields and their coarse inputs: z-scores of the inputs, an anomaly or z-score of the target."""

from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.transforms.bounds import Bounds, limits
from downscale_jax.fields.transforms.moments import Moments, per_channel


@dataclass(frozen=True)
class RefinementTransform:
    """Transform of one target and its coarse inputs [..., H, W, Cin], which include the target.

    Inputs are z-scores, zero where missing, followed by the validity mask. The target is fine - coarse (an anomaly,
    divided by its standard deviation) or the full field (a z-score).
    """

    target: str
    units: str
    inputs: tuple[str, ...]
    input_units: tuple[str, ...]
    anomaly: bool
    bounds: Bounds
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]
    target_mean: float
    target_std: float

    @property
    def channel(self) -> int:
        """Which input is the coarse target."""
        return self.inputs.index(self.target)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    @property
    def target_units(self) -> tuple[str, ...]:
        return (self.units,)

    @property
    def limits(self) -> np.ndarray:
        """[2, V]: the lower and the upper bounds."""
        return limits(self.bounds, self.targets)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'RefinementTransform':
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples | {'bounds': tuple(tuple(pair) for pair in values['bounds'])})

    def known(self, coarse):
        """[..., H, W, 1] bool: where the coarse target exists."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        return xp.isfinite(coarse[..., self.channel : self.channel + 1])

    def condition(self, coarse, mask):
        """Coarse inputs [..., H, W, Cin] in physical units and mask [..., H, W, 1] -> [..., H, W, Cin + 1]."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        mean, std = (per_channel(xp.asarray(values, 'float32'), coarse) for values in (self.input_mean, self.input_std))
        scaled = (coarse - mean) * (1 / std)
        known = mask & xp.isfinite(scaled)
        return xp.concatenate([xp.where(known, scaled, xp.float32(0)), mask.astype('float32')], -1)

    def encode(self, fine, coarse):
        """Fine target and coarse inputs, physical -> normalised target [..., H, W, 1]; NaN where one is missing."""
        base = coarse[..., self.channel : self.channel + 1] if self.anomaly else 0.0
        return (fine - base - self.target_mean) / self.target_std

    def decode(self, sample, coarse):
        """Inverse of `encode`, physical, not clipped to the bounds."""
        base = coarse[..., self.channel : self.channel + 1] if self.anomaly else 0.0
        return sample * self.target_std + self.target_mean + base


class RefinementFit:
    """Fits a `RefinementTransform` to the training split, added chunk by chunk."""

    def __init__(self, channel: int, inputs: int, anomaly: bool, sums: np.ndarray | None = None):
        """`sums` of another fit, of which this is the continuation."""
        self._channel, self._anomaly = channel, anomaly
        *self._inputs, self._target = [Moments(None if sums is None else sums[i]) for i in range(inputs + 1)]

    @property
    def sums(self) -> np.ndarray:
        """[Cin + 1, 3]: those of the moments of the inputs, then of the target."""
        return np.stack([moments.sums for moments in (*self._inputs, self._target)])

    def add(self, fine: np.ndarray, coarse: np.ndarray) -> None:
        """fine [..., H, W], coarse [..., H, W, Cin], physical."""
        for moments, values in zip(self._inputs, np.moveaxis(coarse, -1, 0), strict=True):
            moments.add(values)
        self._target.add(fine - coarse[..., self._channel] if self._anomaly else fine)

    def transform(
        self, *, target: str, units: str, inputs: tuple[str, ...], input_units: tuple[str, ...], bounds: Bounds
    ) -> RefinementTransform:
        return RefinementTransform(
            target=target,
            units=units,
            inputs=inputs,
            input_units=input_units,
            anomaly=self._anomaly,
            bounds=bounds,
            input_mean=tuple(m.mean for m in self._inputs),
            input_std=tuple(m.std for m in self._inputs),
            # the mean of an anomaly is not removed: where the coarse field is right, nothing is added
            target_mean=0.0 if self._anomaly else self._target.mean,
            target_std=self._target.std,
        )
