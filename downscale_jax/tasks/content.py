"""Content losses: distances between a generated and the true field (docs/systems/srgan.md)."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.models.atmodist import Encoder, Variables
from downscale_jax.runtime import parallel

Name = Literal['mse', 'atmodist', 'spectral']
SPECTRAL_WEIGHT = 0.1  # of the spectral distance, which is blind to location, beside the squared error
SMALLEST_POWER = 1e-4  # of a ring, for fields of unit variance: differences below it are negligible


class Learned(NamedTuple):
    """A trained encoder, and the factor that scales its distance to the size of a mean squared error."""

    encoder: Variables
    alpha: jax.Array | np.floating


@dataclass(frozen=True)
class Content:
    """Distance [B] of normalised fields [B, H, W, C].

    - `mse`: mean squared error.
    - `atmodist`: alpha times the mean squared difference of their encodings by AtmoDist's frozen encoder at the end of
      `stage` (1 is the first), with its running batch statistics. In training both fields are cropped by the same
      random offset, one of `shifts` x `shifts`. The strides of the encoder make it more sensitive to some cells than to
      others; in a fixed position relative to the blocks of the generator this imprints a pattern at the grid scale. 1,
      as published, is no shift.
    - `spectral`: mean squared error plus a tenth of `spectral_distance`.
    """

    name: Name
    encoder: Encoder | None = None
    stage: int = 0
    shifts: int = 1

    def corners(self, key: jax.Array, rows: int) -> jax.Array:
        """Inside `sharded`: the offset of each example, [rows, 2] int32, keyed by its index in the global batch."""
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(parallel.row_indices(rows))
        return jax.vmap(lambda k: jax.random.randint(k, (2,), 0, self.shifts))(keys)

    def __call__(
        self, learned: Learned | None, generated: jax.Array, truth: jax.Array, corners: jax.Array | None = None
    ) -> jax.Array:
        if learned is not None:
            if corners is not None and self.shifts > 1:
                generated, truth = (self._from(corners, x) for x in (generated, truth))
            return learned.alpha * self.encoded_distance(learned.encoder, generated, truth)
        error = squared_error(generated, truth)
        return error + SPECTRAL_WEIGHT * spectral_distance(generated, truth) if self.name == 'spectral' else error

    def _from(self, corners: jax.Array, x: jax.Array) -> jax.Array:
        size = (x.shape[1] - self.shifts + 1, x.shape[2] - self.shifts + 1, x.shape[3])
        return jax.vmap(lambda one, at: jax.lax.dynamic_slice(one, (at[0], at[1], 0), size))(x, corners)

    def encoded_distance(self, encoder: Variables, generated: jax.Array, truth: jax.Array) -> jax.Array:
        """Mean squared difference of the encodings, [B]."""
        assert self.encoder is not None
        stages: Any = self.encoder.apply(encoder, jnp.concatenate([generated, truth]))
        codes = stages[self.stage - 1].astype(jnp.float32)
        return squared_error(codes[: len(generated)], codes[len(generated) :])


def squared_error(generated: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean over all axes but the first."""
    return jnp.square(generated - truth).reshape(len(generated), -1).mean(-1)


def fit_alpha(encoded: np.ndarray, squared: np.ndarray) -> float:
    """alpha = sum(c m) / sum(c^2), the least-squares fit of m by alpha c, where c and m are the mean encoded distance
    and the mean squared error of pairs at each lag of the upper half."""
    return float(np.sum(encoded * squared) / np.sum(np.square(encoded)))


def spectral_distance(generated: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean squared difference of log power, over rings of wavenumber and channels, [B].

    The power is that of patches tapered by a Hann window, summed over rings one wavenumber wide.
    """
    return jnp.square(log_power(generated) - log_power(truth)).mean((1, 2))


def log_power(fields: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, rings, C]."""
    _, h, w, _ = fields.shape
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in (h, w)))[..., None]
    window /= np.sqrt(np.square(window).mean())
    waves = jnp.fft.rfft2(fields * window[None].astype(np.float32), axes=(1, 2), norm='forward')
    power = jnp.square(waves.real) + jnp.square(waves.imag)
    return jnp.log(jnp.einsum('rhw,bhwc->brc', rings(h, w), power) + SMALLEST_POWER)


def rings(h: int, w: int) -> np.ndarray:
    """[rings, h, w // 2 + 1]: multiplicity of each wave of `rfft2` in the ring of its wavenumber, 1 and up."""
    rows, columns = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)
    wavenumber = np.round(np.hypot(rows, columns) * max(h, w)).astype(int)
    count = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0)
    top = max(h, w) // 2
    return np.stack([(wavenumber == n) * count for n in range(1, top + 1)]).astype(np.float32)
