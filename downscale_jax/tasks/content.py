"""How far a generated field is from the true one: content losses for super-resolution (docs/systems/srgan.md)."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.models.atmodist import Encoder, Variables
from downscale_jax.runtime import parallel

Name = Literal['mse', 'atmodist', 'spectral']
SPECTRAL_WEIGHT = 0.1  # of the spectral distance beside the squared error, without which it knows no place
SMALLEST_POWER = 1e-4  # of a ring, in fields of unit variance: below it a difference is not worth a look


class Learned(NamedTuple):
    """A trained encoder, and the factor that brings its distance to the size of a mean squared error."""

    encoder: Variables
    alpha: jax.Array | np.floating


@dataclass(frozen=True)
class Content:
    """Distance [B] of normalised fields [B, H, W, C].

    mse       mean squared error
    atmodist  alpha times the mean squared difference of what AtmoDist's frozen encoder makes of them, at the end of
              `stage` (1 is the first), with the running averages of its statistics. In training both are seen from the
              same random one of `shifts` x `shifts` corners: an encoder with strides sees some cells of its lattice
              better than others, and a generator whose cells come in blocks, always in step with it, learns a pattern
              at the grid's scale. Published is 1, none.
    spectral  mean squared error plus a tenth of `spectral_distance`
    """

    name: Name
    encoder: Encoder | None = None
    stage: int = 0
    shifts: int = 1

    def corners(self, key: jax.Array, rows: int) -> jax.Array:
        """Inside `sharded`: [rows, 2] int32, where each example is looked at from, by index in the global batch."""
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(parallel.row_indices(rows))
        return jax.vmap(lambda k: jax.random.randint(k, (2,), 0, self.shifts))(keys)

    def __call__(
        self, learned: Learned | None, found: jax.Array, truth: jax.Array, corners: jax.Array | None = None
    ) -> jax.Array:
        if learned is not None:
            if corners is not None and self.shifts > 1:
                found, truth = (self._from(corners, x) for x in (found, truth))
            return learned.alpha * self.encoded_distance(learned.encoder, found, truth)
        error = squared_error(found, truth)
        return error + SPECTRAL_WEIGHT * spectral_distance(found, truth) if self.name == 'spectral' else error

    def _from(self, corners: jax.Array, x: jax.Array) -> jax.Array:
        size = (x.shape[1] - self.shifts + 1, x.shape[2] - self.shifts + 1, x.shape[3])
        return jax.vmap(lambda one, at: jax.lax.dynamic_slice(one, (at[0], at[1], 0), size))(x, corners)

    def encoded_distance(self, encoder: Variables, found: jax.Array, truth: jax.Array) -> jax.Array:
        """Mean squared difference of the encodings, [B]."""
        assert self.encoder is not None
        stages: Any = self.encoder.apply(encoder, jnp.concatenate([found, truth]))
        codes = stages[self.stage - 1].astype(jnp.float32)
        return squared_error(codes[: len(found)], codes[len(found) :])


def squared_error(found: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean over all but the first axis."""
    return jnp.square(found - truth).reshape(len(found), -1).mean(-1)


def fit_alpha(encoded: np.ndarray, squared: np.ndarray) -> float:
    """alpha = sum(c m) / sum(c^2): by least squares, alpha c is m; c and m the mean encoded distance and the mean
    squared error of pairs with each of the lags of the upper half."""
    return float(np.sum(encoded * squared) / np.sum(np.square(encoded)))


def spectral_distance(found: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean over rings of wavenumber and channels of the squared difference of the logarithms of power, [B].

    Power of patches behind a Hann window, summed over rings one wavenumber wide.
    """
    return jnp.square(log_power(found) - log_power(truth)).mean((1, 2))


def log_power(fields: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, rings, C]."""
    _, h, w, _ = fields.shape
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in (h, w)))[..., None]
    window /= np.sqrt(np.square(window).mean())
    waves = jnp.fft.rfft2(fields * window.astype(np.float32), axes=(1, 2), norm='forward')
    power = jnp.square(waves.real) + jnp.square(waves.imag)
    return jnp.log(jnp.einsum('rhw,bhwc->brc', rings(h, w), power) + SMALLEST_POWER)


def rings(h: int, w: int) -> np.ndarray:
    """[rings, h, w // 2 + 1]: how often each wave of `rfft2` counts in the ring of its wavenumber, from 1 on."""
    rows, columns = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)
    wavenumber = np.round(np.hypot(rows, columns) * max(h, w)).astype(int)
    count = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0)
    top = max(h, w) // 2
    return np.stack([(wavenumber == n) * count for n in range(1, top + 1)]).astype(np.float32)
