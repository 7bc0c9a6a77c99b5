"""The two-stage logarithmic transform of AtmoDist (SYSTEMS.md, system 1): for heavy-tailed fields like vorticity."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.normalize import Moments

COMPRESSION = 0.2


@dataclass(frozen=True)
class LogTransform:
    """z = (x - mean)/std; y = sign(z) ln(1 + 0.2 |z|); then y is standardised again. Statistics by variable.

    With `compression` 0 in the place of 0.2, y is z: a z-score. Works on NumPy arrays, in float64 within, and on JAX's.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log_mean: tuple[float, ...]
    log_std: tuple[float, ...]
    compression: float = COMPRESSION

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'LogTransform':
        found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**found)

    def encode(self, x: Any) -> Any:
        """Physical [..., C] -> what a network sees, float32."""
        xp = np if isinstance(x, np.ndarray) else jnp
        y = _compress((x - xp.asarray(self.mean)) / xp.asarray(self.std), self.compression)
        return ((y - xp.asarray(self.log_mean)) / xp.asarray(self.log_std)).astype('float32')

    def decode(self, y: Any) -> Any:
        """Inverse of `encode`, float32."""
        xp = np if isinstance(y, np.ndarray) else jnp
        y = y * xp.asarray(self.log_std) + xp.asarray(self.log_mean)
        z = xp.sign(y) * xp.expm1(xp.abs(y)) / self.compression if self.compression else y
        return (z * xp.asarray(self.std) + xp.asarray(self.mean)).astype('float32')


def fit(
    fields: Callable[[], Iterable[np.ndarray]],
    variables: tuple[str, ...],
    units: tuple[str, ...],
    compression: float = COMPRESSION,
) -> LogTransform:
    """Fitted in two passes: each call of `fields` gives the same stream of arrays [..., C], one in memory at a time."""
    first = _moments(fields(), len(variables))
    mean, std = (tuple(getattr(m, name) for m in first) for name in ('mean', 'std'))
    if not compression:  # standardised already
        zeros, ones = (0.0,) * len(variables), (1.0,) * len(variables)
        return LogTransform(variables, units, mean, std, zeros, ones, compression)
    scaled = (_compress((x - np.array(mean)) / np.array(std), compression) for x in fields())
    second = _moments(scaled, len(variables))
    return LogTransform(
        variables, units, mean, std, tuple(m.mean for m in second), tuple(m.std for m in second), compression
    )


def _compress(z: Any, compression: float) -> Any:
    xp = np if isinstance(z, np.ndarray) else jnp
    return xp.sign(z) * xp.log1p(compression * xp.abs(z)) if compression else z


def _moments(fields: Iterable[np.ndarray], count: int) -> list[Moments]:
    moments = [Moments() for _ in range(count)]
    for x in fields:
        for one, values in zip(moments, np.moveaxis(x, -1, 0), strict=True):
            one.add(values)
    return moments
