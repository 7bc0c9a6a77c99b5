"""Proper score of a small ensemble as a training loss: pixels, wavelets and spectral amplitudes."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

LEVELS = 4  # of the wavelet decomposition: windows of 2, 4, 8 and 16 cells
SPECTRAL_WEIGHT = 2.0  # beside pixels and each band of wavelets, which weigh 1
SMALLEST_AMPLITUDE = 1e-6  # keeps the gradient finite where a mode vanishes


def fair_crps(members: jax.Array, truth: jax.Array) -> jax.Array:
    """Fair CRPS of each value: members [K, ...] and truth [...] -> [...].

    mean |x_k - y| - sum_{j, k} |x_j - x_k| / (2 K (K - 1)), unbiased for any K >= 2 (Ferro 2014, doi:10.1002/qj.2270).
    """
    count = len(members)
    distance = sum(jnp.abs(members[j] - members[k]) for j in range(count) for k in range(j))
    return jnp.abs(members - truth[None]).mean(0) - distance / (count * (count - 1))


def undecimated_haar(x: jax.Array, levels: int) -> Iterator[jax.Array]:
    """Details of an undecimated Haar transform of [..., H, W, C], level by level, and the last approximation.

    At level l, with step s = 2^l and a, b, c, d the approximation at (0, 0), (0, s), (s, 0), (s, s): the details
    (a + b - c - d)/4, (a - b + c - d)/4 and (a - b - c + d)/4, and the approximation (a + b + c + d)/4 of the next
    level. Levels that do not fit into the field are left out. All positions inside the field are kept: aligned
    coefficients would leave the joint distribution of neighbours across blocks free.
    """
    for level in range(levels):
        step = 2**level
        if step >= min(x.shape[-3:-1]):
            break
        top, bottom = x[..., :-step, :, :], x[..., step:, :, :]
        total, change = (top + bottom) / 4, (top - bottom) / 4
        yield change[..., :-step, :] + change[..., step:, :]
        yield change[..., :-step, :] - change[..., step:, :]
        yield total[..., :-step, :] - total[..., step:, :]
        x = total[..., :-step, :] + total[..., step:, :]
    yield x


def amplitudes(x: jax.Array) -> jax.Array:
    """Amplitudes [..., H, W/2 + 1, C] of the modes of [..., H, W, C] under a Hann taper; white noise of unit variance
    has a mean square of 1 in each."""
    taper = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in x.shape[-3:-1]))
    taper /= np.sqrt(np.square(taper).mean())
    tapered = x * taper.astype(np.float32).reshape((1,) * (x.ndim - 3) + (*taper.shape, 1))
    return jnp.abs(jnp.fft.rfft2(tapered, axes=(-3, -2), norm='ortho') + SMALLEST_AMPLITUDE)


def ensemble_score(members: jax.Array, truth: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean fair CRPS of pixels, bands of wavelets and spectral amplitudes, summed, [B].

    members [K, B, H, W, C] and truth [B, H, W, C] are zero where invalid, mask [B, H, W, 1]. Any function of the
    masked field is scored properly, so that wavelets and modes may reach across the mask; the sum is divided by the
    share of valid cells. Wavelets set the spread of each range of scales, but they are broad: without the amplitudes,
    members kept 3 to 10 % of the power at 23 to 32 km and had too much beside it (docs/studies/structure.md).
    """
    share = jnp.maximum(mask.mean((1, 2, 3)), 1 / mask[0].size)
    bands = zip(undecimated_haar(members, LEVELS), undecimated_haar(truth, LEVELS), strict=True)
    scores = [fair_crps(members, truth), *(fair_crps(*band) for band in bands)]
    spectral = fair_crps(amplitudes(members), amplitudes(truth))
    return (sum(score.mean((1, 2, 3)) for score in scores) + SPECTRAL_WEIGHT * spectral.mean((1, 2, 3))) / share
