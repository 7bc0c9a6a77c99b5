"""Between physical fields and what a network sees. Works on NumPy and JAX arrays alike."""

from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Transform:
    """Normalisation fitted on the training split, stored with every checkpoint.

    Inputs are z-scores, zero where missing, followed by the validity mask. The target is fine - coarse (an anomaly,
    divided by its standard deviation) or the full field (a z-score).
    """

    target: str
    units: str
    inputs: tuple[str, ...]
    input_units: tuple[str, ...]
    anomaly: bool
    bounds: tuple[float, float]  # physical bounds of the target, infinite where there are none
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
    def limits(self) -> np.ndarray:
        """[2, 1]: the lower and the upper bound."""
        return np.array(self.bounds, 'float32')[:, None]

    @property
    def target_units(self) -> tuple[str, ...]:
        return (self.units,)

    def known(self, coarse):
        """[..., H, W, 1] bool: where the coarse target is there."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        return xp.isfinite(coarse[..., self.channel : self.channel + 1])

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'Transform':
        lists_to_tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**lists_to_tuples)

    def condition(self, coarse, mask):
        """Coarse inputs [..., H, W, Cin] in physical units and mask [..., H, W, 1] -> [..., H, W, Cin + 1]."""
        xp = np if isinstance(coarse, np.ndarray) else jnp
        scaled = (coarse - xp.asarray(self.input_mean, 'float32')) * (1 / xp.asarray(self.input_std, 'float32'))
        known = mask & xp.isfinite(scaled)
        return xp.concatenate([xp.where(known, scaled, xp.float32(0)), mask.astype('float32')], -1)

    def encode(self, fine, coarse):
        """Fine target and coarse inputs, physical -> normalised target [..., H, W, 1]; NaN where one is missing."""
        base = coarse[..., self.channel : self.channel + 1] if self.anomaly else 0.0
        return (fine - base - self.target_mean) / self.target_std

    def decode(self, sample, coarse):
        """Normalised target [..., H, W, 1] -> physical units; inverse of `encode`, not clipped to the bounds."""
        base = coarse[..., self.channel : self.channel + 1] if self.anomaly else 0.0
        return sample * self.target_std + self.target_mean + base


class Moments:
    """Mean and standard deviation over valid values of a stream of arrays, in float64."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        values = values[np.isfinite(values)].astype(np.float64)
        self.count += values.size
        self.total += values.sum()
        self.squares += np.square(values).sum()

    @property
    def mean(self) -> float:
        return float(self.total / max(self.count, 1))

    @property
    def std(self) -> float:
        """1 where all values are equal, to the rounding of float32."""
        variance = self.squares / max(self.count, 1) - self.mean**2
        return float(np.sqrt(variance)) if variance > 1e-12 * self.mean**2 else 1.0


class Fit:
    """Fits a transform to the training split, added chunk by chunk."""

    def __init__(self, channel: int, inputs: int, anomaly: bool):
        self._channel, self._anomaly = channel, anomaly
        self._inputs, self._target = [Moments() for _ in range(inputs)], Moments()

    def add(self, fine: np.ndarray, coarse: np.ndarray) -> None:
        """fine [..., H, W], coarse [..., H, W, Cin], physical."""
        for moments, values in zip(self._inputs, np.moveaxis(coarse, -1, 0), strict=True):
            moments.add(values)
        self._target.add(fine - coarse[..., self._channel] if self._anomaly else fine)

    def transform(
        self,
        *,
        target: str,
        units: str,
        inputs: tuple[str, ...],
        input_units: tuple[str, ...],
        bounds: tuple[float, float],
    ) -> Transform:
        return Transform(
            target=target,
            units=units,
            inputs=inputs,
            input_units=input_units,
            anomaly=self._anomaly,
            bounds=bounds,
            input_mean=tuple(m.mean for m in self._inputs),
            input_std=tuple(m.std for m in self._inputs),
            # the mean of an anomaly is left in: where the coarse field is right, nothing is added
            target_mean=0.0 if self._anomaly else self._target.mean,
            target_std=self._target.std,
        )
