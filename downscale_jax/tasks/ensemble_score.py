"""Proper score of a small ensemble over several scales, as a training loss."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

LEVELS = 4  # of the wavelet decomposition: windows of 2, 4, 8 and 16 cells


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


def ensemble_score(members: jax.Array, truth: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean fair CRPS over pixels and bands of wavelets, [B].

    members [K, B, H, W, C] and truth [B, H, W, C] are zero where invalid, mask [B, H, W, 1]. Any function of the
    masked field is scored properly, so wavelets may reach across the mask; the sum over each band is divided by the
    share of valid cells.
    """
    share = jnp.maximum(mask.mean((1, 2, 3)), 1 / mask[0].size)
    bands = zip(undecimated_haar(members, LEVELS), undecimated_haar(truth, LEVELS), strict=True)
    scores = [fair_crps(members, truth)] + [fair_crps(*band) for band in bands]
    return sum(score.mean((1, 2, 3)) for score in scores) / share
