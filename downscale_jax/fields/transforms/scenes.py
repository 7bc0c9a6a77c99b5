"""Transform of multispectral scenes: logarithms of the bands, decorrelated, and standardised relief."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from downscale_jax.fields.transforms.standardisation import Standardisation

FLOOR = 1e-4  # of the eigenvalues, relative to the largest: bands that are equal to rounding are not divided by zero


@dataclass(frozen=True)
class SceneTransform:
    """Bands x, logarithmic and standardised by `channels`, become the C components z = x `mixing`; what follows the
    bands (elevation, slope) is standardised alone.

    mixing [C, C]: from `decorrelation`, which gives every direction in the space of spectra unit variance. Light,
    snow and vegetation make the bands vary together a hundred times more than what distinguishes debris-covered ice
    from rock.
    """

    channels: Standardisation
    mixing: tuple[tuple[float, ...], ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the bands and of what follows them."""
        return self.channels.variables

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Physical [..., C + 2] -> normalised, float32; NaN where a band is missing."""
        values, bands = self.channels.encode(x), len(self.mixing)
        return np.concatenate([values[..., :bands] @ np.array(self.mixing, np.float32), values[..., bands:]], -1)

    def to_json(self) -> dict[str, Any]:
        return {'channels': self.channels.to_json(), 'mixing': self.mixing}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> 'SceneTransform':
        return cls(Standardisation.from_json(values['channels']), tuple(map(tuple, values['mixing'])))


def decorrelation(spectra: Iterable[np.ndarray]) -> tuple[tuple[float, ...], ...]:
    """[C, C] from standardised spectra [N, C]: eigenvectors of their covariance, in columns by decreasing eigenvalue,
    divided by the standard deviation along them (principal components of unit variance)."""
    products, count = np.zeros(()), 0
    for values in spectra:
        products = products + values.T.astype(np.float64) @ values
        count += len(values)
    eigenvalues, vectors = np.linalg.eigh(products / count)
    deviation = np.sqrt(np.maximum(eigenvalues, FLOOR * eigenvalues.max()))
    return tuple(map(tuple, (vectors / deviation)[:, ::-1].tolist()))
