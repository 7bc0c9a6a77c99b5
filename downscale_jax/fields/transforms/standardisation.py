"""Standardisation of each variable, by a z-score with or without a logarithm.

The two-stage logarithmic transform of AtmoDist (docs/systems/atmodist.md), for heavy-tailed fields like vorticity, and
its special cases: the plain z-score, and ln(1 + x) for rain.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from downscale_jax.fields.transforms.moments import Moments, per_channel

COMPRESSIONS = {'log': 0.2, 'standard': 0.0, 'log1p': 1.0}  # c of each transform (data.transform)
COMPRESSION = COMPRESSIONS['log']
Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Standardisation:
    """z = (x - mean)/std; y = sign(z) ln(1 + c |z|); then y is standardised by log_mean, log_std.

    c is `compression`, one for all variables or one each: 0.2 as published; with 0, y = z, a z-score; with 1, mean 0
    and std 1, y = ln(1 + x). Works on NumPy arrays, in float64 internally, and on JAX arrays.
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
    def from_json(cls, values: dict) -> 'Standardisation':
        tuples: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**tuples)

    def encode(self, x: Any) -> Any:
        """Physical [..., C] -> normalised, float32."""
        xp = np if isinstance(x, np.ndarray) else jnp
        log_mean, log_std = (per_channel(xp.asarray(values), x) for values in self._statistics[2:])
        return ((_compress(self._standardised(x), self.compression) - log_mean) / log_std).astype('float32')

    def z_score(self, x: Any) -> Any:
        """Physical [..., C] -> z, before the logarithm, float32."""
        return self._standardised(x).astype('float32')

    def _standardised(self, x: Any) -> Any:
        xp = np if isinstance(x, np.ndarray) else jnp
        mean, std = (per_channel(xp.asarray(values), x) for values in self._statistics[:2])
        return (x - mean) / std

    def decode(self, y: Any) -> Any:
        """Inverse of `encode`, float32."""
        xp = np if isinstance(y, np.ndarray) else jnp
        mean, std, log_mean, log_std = (per_channel(xp.asarray(values), y) for values in self._statistics)
        y = y * log_std + log_mean
        c = per_channel(np.asarray(self.compression), y)
        z = xp.where(c > 0, xp.sign(y) * xp.expm1(xp.abs(y)) / np.where(c > 0, c, 1), y) if c.any() else y
        return (z * std + mean).astype('float32')

    @property
    def _statistics(self) -> tuple[tuple[float, ...], ...]:
        return self.mean, self.std, self.log_mean, self.log_std


def fit(
    moments_of: Callable[[Function], list[Moments]],
    variables: tuple[str, ...],
    units: tuple[str, ...],
    names: Sequence[str] = ('log',),
) -> Standardisation:
    """Fitted in two passes: `moments_of(function)` gives those of each channel of function(x) over the same fields x.

    names: keys of COMPRESSIONS, one for all variables or one each.
    """
    names = tuple(names) * (len(variables) // len(names))
    compression = tuple(COMPRESSIONS[name] for name in names)
    first = moments_of(lambda x: x)
    raw = [name == 'log1p' for name in names]  # not standardised before the logarithm
    mean = tuple(0.0 if is_raw else moments.mean for moments, is_raw in zip(first, raw, strict=True))
    std = tuple(1.0 if is_raw else moments.std for moments, is_raw in zip(first, raw, strict=True))
    zeros, ones = (0.0,) * len(variables), (1.0,) * len(variables)
    if not any(compression):  # z-scores throughout
        return Standardisation(variables, units, mean, std, zeros, ones, compression)
    second = moments_of(lambda x: _compress((x - np.array(mean)) / np.array(std), compression))
    log_mean = tuple(moments.mean if c else 0.0 for moments, c in zip(second, compression, strict=True))
    log_std = tuple(moments.std if c else 1.0 for moments, c in zip(second, compression, strict=True))
    return Standardisation(variables, units, mean, std, log_mean, log_std, compression)


def _compress(z: Any, compression: float | tuple[float, ...]) -> Any:
    xp = np if isinstance(z, np.ndarray) else jnp
    c = per_channel(np.asarray(compression), z)
    return xp.where(c > 0, xp.sign(z) * xp.log1p(c * xp.abs(z)), z) if c.any() else z
