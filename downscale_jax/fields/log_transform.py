"""The two-stage logarithmic transform of AtmoDist (docs/systems/atmodist.md), for heavy-tailed fields like vorticity,
and its special cases: z-score, and the logarithm of rain."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.normalize import Moments

# how a variable is transformed, by name: the factor in the place of 0.2
COMPRESSIONS = {'log': 0.2, 'standard': 0.0, 'log1p': 1.0}
COMPRESSION = COMPRESSIONS['log']


@dataclass(frozen=True)
class LogTransform:
    """z = (x - mean)/std; y = sign(z) ln(1 + 0.2 |z|); then y is standardised again. Statistics by variable.

    With `compression` 0 in the place of 0.2, y is z: a z-score. With 1, mean 0 and std 1 it is ln(1 + x), for rain. One
    number for all variables or one each. Works on NumPy arrays, in float64 within, and on JAX's.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log_mean: tuple[float, ...]
    log_std: tuple[float, ...]
    compression: float | tuple[float, ...] = COMPRESSION

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
        c = np.asarray(self.compression)
        z = xp.where(c > 0, xp.sign(y) * xp.expm1(xp.abs(y)) / np.where(c > 0, c, 1), y) if c.any() else y
        return (z * xp.asarray(self.std) + xp.asarray(self.mean)).astype('float32')


def fit(
    fields: Callable[[], Iterable[np.ndarray]],
    variables: tuple[str, ...],
    units: tuple[str, ...],
    names: Sequence[str] = ('log',),
) -> LogTransform:
    """Fitted in two passes: each call of `fields` gives the same stream of arrays [..., C], one in memory at a time.

    names: in COMPRESSIONS, one for all variables or one each.
    """
    names = tuple(names) * (len(variables) // len(names))
    compression = tuple(COMPRESSIONS[name] for name in names)
    found = _moments(fields(), len(variables))
    raw = [name == 'log1p' for name in names]  # not standardised before
    mean = tuple(0.0 if left else one.mean for one, left in zip(found, raw, strict=True))
    std = tuple(1.0 if left else one.std for one, left in zip(found, raw, strict=True))
    zeros, ones = (0.0,) * len(variables), (1.0,) * len(variables)
    if not any(compression):  # standardised already
        return LogTransform(variables, units, mean, std, zeros, ones, compression)
    scaled = (_compress((x - np.array(mean)) / np.array(std), compression) for x in fields())
    second = _moments(scaled, len(variables))
    log_mean = tuple(one.mean if c else 0.0 for one, c in zip(second, compression, strict=True))
    log_std = tuple(one.std if c else 1.0 for one, c in zip(second, compression, strict=True))
    return LogTransform(variables, units, mean, std, log_mean, log_std, compression)


def _compress(z: Any, compression: float | tuple[float, ...]) -> Any:
    xp = np if isinstance(z, np.ndarray) else jnp
    c = np.asarray(compression)
    return xp.where(c > 0, xp.sign(z) * xp.log1p(c * xp.abs(z)), z) if c.any() else z


def _moments(fields: Iterable[np.ndarray], count: int) -> list[Moments]:
    moments = [Moments() for _ in range(count)]
    for x in fields:
        for one, values in zip(moments, np.moveaxis(x, -1, 0), strict=True):
            one.add(values)
    return moments
