"""Advection and diffusion on the grid of `sea_ice`: (..., y, x), periodic in x."""

import numpy as np
from scipy import ndimage

COURANT = 1.0  # largest Courant number of an advection step: stable, and exact where it is reached
BLOCK = 64  # rows or columns advected at once: fits the cache, twice as fast as 256


def advect(ice: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Advects ice (..., y, x) by u, v in cells per step: flux form, periodic in x, ice-free beyond the southern edge.

    Directionally split, fifth order upwind in space and time (Leonard 1991) without a limiter, since limiters flatten
    extremes such as leads of two cells. It undershoots by a few per cent, which `sea_ice.Climate.grow` clips.
    """
    steps = max(1, int(np.ceil(max(np.abs(u).max(), np.abs(v).max()) / COURANT)))
    u = np.concatenate([u, u[:, :1]], axis=1).T / np.float32(steps)
    v = v / np.float32(steps)
    for step in range(steps):
        for axis in (-1, -2) if step % 2 else (-2, -1):
            courant = u if axis == -1 else v
            pad = [(3, 3) if a == axis else (0, 0) for a in range(-ice.ndim, 0)]
            before = np.moveaxis(np.pad(ice, pad, mode='wrap' if axis == -1 else 'constant'), axis, 0)
            after = np.moveaxis(ice := np.empty_like(ice), axis, 0)
            for start in range(0, courant.shape[1], BLOCK):
                part = slice(start, start + BLOCK)
                after[..., part] = _sweep(before[..., part], courant[:, None, part])
    return ice


def _sweep(q, c):
    """Advection along the leading axis of q, which has three cells of padding; c on the faces in cells per step.

    Stirling's formula for the volume that passes a face, up to the sixth difference, the last one upwind.
    """
    d1 = q[1:] - q[:-1]
    d2 = d1[1:] - d1[:-1]
    d3 = d2[1:] - d2[:-1]
    d4 = d3[1:] - d3[:-1]
    d5 = d4[1:] - d4[:-1]
    second, fourth = c * (c * c - 1), c * (c * c - 1) * (c * c - 4)
    flux = c / 2 * (q[2:-3] + q[3:-2]) - c * c / 2 * d1[2:-2]
    flux += second / 12 * (d2[1:-2] + d2[2:-1]) - c * second / 24 * d3[1:-1]
    flux += fourth / 240 * (d4[:-1] + d4[1:]) - np.sign(c) * fourth / 240 * d5
    return q[3:-3] - (flux[1:] - flux[:-1])


def blur(fields: np.ndarray, weight: float) -> np.ndarray:
    """(..., y, x) smoothed with `weight` for each neighbour: diffusion by `weight` cells squared."""
    kernel = np.array([weight, 1 - 2 * weight, weight], np.float32)
    return ndimage.convolve1d(ndimage.convolve1d(fields, kernel, -2, mode='nearest'), kernel, -1, mode='wrap')
