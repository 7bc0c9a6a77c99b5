"""The two-stage logarithmic transform of AtmoDist (SYSTEMS.md, system 1): for heavy-tailed fields like vorticity."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from downscale_jax.fields.normalize import Moments

COMPRESSION = 0.2


@dataclass(frozen=True)
class LogTransform:
    """z = (x - mean)/std; y = sign(z) ln(1 + 0.2 |z|); then y is standardised again. Statistics by variable."""

    variables: tuple[str, ...]
    units: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log_mean: tuple[float, ...]
    log_std: tuple[float, ...]

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> 'LogTransform':
        return cls(**{name: tuple(value) for name, value in values.items()})

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Physical [..., C] -> what a network sees, float32."""
        y = _compress((x - np.array(self.mean)) / np.array(self.std))
        return ((y - np.array(self.log_mean)) / np.array(self.log_std)).astype(np.float32)

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Inverse of `encode`, float32."""
        y = y * np.array(self.log_std) + np.array(self.log_mean)
        z = np.sign(y) * np.expm1(np.abs(y)) / COMPRESSION
        return (z * np.array(self.std) + np.array(self.mean)).astype(np.float32)


def fit(fields: Callable[[], Iterable[np.ndarray]], variables: tuple[str, ...], units: tuple[str, ...]) -> LogTransform:
    """Fitted in two passes: each call of `fields` gives the same stream of arrays [..., C], one in memory at a time."""
    first = _moments(fields(), len(variables))
    mean, std = ([getattr(m, name) for m in first] for name in ('mean', 'std'))
    second = _moments((_compress((x - np.array(mean)) / np.array(std)) for x in fields()), len(variables))
    return LogTransform(
        variables, units, tuple(mean), tuple(std), tuple(m.mean for m in second), tuple(m.std for m in second)
    )


def _compress(z: np.ndarray) -> np.ndarray:
    return np.sign(z) * np.log1p(COMPRESSION * np.abs(z))


def _moments(fields: Iterable[np.ndarray], count: int) -> list[Moments]:
    moments = [Moments() for _ in range(count)]
    for x in fields:
        for one, values in zip(moments, np.moveaxis(x, -1, 0), strict=True):
            one.add(values)
    return moments
