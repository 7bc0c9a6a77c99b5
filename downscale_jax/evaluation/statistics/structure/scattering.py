"""Wavelet scattering coefficients: amplitude by scale, sparsity, and whether structures are lines or blobs.

With Morlet wavelets psi(j, l) of scales 2^j and L orientations,

    S1(j, l) = mean |x * psi(j, l)|        S2(j, l, k, m) = mean ||x * psi(j, l)| * psi(k, m)|,  k > j

The summary follows Cheng and Ménard (2021, https://arxiv.org/abs/2112.01288): `amplitude` S1(j), the mean over
orientations; `sparsity` S2(j, k) / S1(j), larger where activity is concentrated; `shape` S2 of parallel over S2 of
perpendicular wavelets, larger where it lies along lines. A field with random phases and the power of the truth has the
amplitude of the truth, but neither its sparsity nor its shape.
"""

from functools import cache

import numpy as np
import scipy.fft

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio

ORIENTATIONS = 4
FREQUENCY, WIDTH = 3 * np.pi / 4, 0.8  # of the finest wavelet: rad per cell, and standard deviation in cells


def scales_of(size: int) -> int:
    """Number of scales in windows of `size` cells: the coarsest wavelength, 8/3 2^j cells, is at most half a window;
    two at least."""
    return max(2, int(np.log2(size * FREQUENCY / (4 * np.pi))) + 1)


def wavelengths(size: int) -> np.ndarray:
    """Wavelength [J] of the wavelets in cells."""
    return 2 * np.pi / FREQUENCY * 2.0 ** np.arange(scales_of(size))


@cache
def wavelets(size: int) -> np.ndarray:
    """Fourier transforms [J, L, N, N] of Morlet wavelets: Gaussians about the frequency 3 pi/4 2^-j at angles
    pi l/L, less the Gaussian about zero that cancels their mean."""
    turns = 2 * np.pi * scipy.fft.fftfreq(size)
    # frequencies beyond the Nyquist frequency alias
    aliases = 2 * np.pi * np.arange(-1, 2)
    wave = (turns[:, None] + aliases).astype(np.float64)
    result = []
    for j in range(scales_of(size)):
        width, frequency = WIDTH * 2**j, FREQUENCY / 2**j

        def gaussian(centre, width=width):
            return np.exp(-((width * (wave - centre)) ** 2) / 2).sum(-1)

        for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS:
            y, x = frequency * np.sin(angle), frequency * np.cos(angle)
            shifted = np.outer(gaussian(y), gaussian(x))
            centred = np.outer(gaussian(0.0), gaussian(0.0))
            result.append(shifted - shifted[0, 0] / centred[0, 0] * centred)
    return np.array(result).reshape(-1, ORIENTATIONS, size, size)


def scattering(windows: np.ndarray) -> dict[str, np.ndarray]:
    """{'windows': K, 'first': S1 [J, L], 'second': S2 [J, L, J, L]}, SUMMED over windows [K, N, N].

    S2 is 0 for k <= j.
    """
    size = windows.shape[-1]
    bank = wavelets(size)
    count = len(bank)
    first, second = np.zeros((count, ORIENTATIONS)), np.zeros((count, ORIENTATIONS) * 2)
    spectrum = scipy.fft.fft2(windows)
    for j, l in np.ndindex(first.shape):
        response = np.abs(scipy.fft.ifft2(spectrum * bank[j, l]))
        first[j, l] = response.mean((1, 2)).sum()
        if j < count - 1:
            inner = scipy.fft.fft2(response)[:, None, None] * bank[j + 1 :]
            second[j, l, j + 1 :] = np.abs(scipy.fft.ifft2(inner)).mean((-2, -1)).sum(0)
    return {'windows': np.array(float(len(windows))), 'first': first, 'second': second}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'amplitude': [..., J], 'sparsity': [..., P], 'shape': [..., P]} from sums with any leading axes.

    P pairs of scales (0, 1), (0, 2), .. (1, 2), ..; NaN where nothing varies.
    """
    first, second = np.asarray(sums['first']), np.asarray(sums['second'])
    pairs = np.triu_indices(first.shape[-2], 1)
    by_turn = np.stack(  # [..., J, J, L]: mean over orientations, by the angle between the two wavelets
        [np.roll(second, -turn, -1).diagonal(0, -3, -1).mean(-1) for turn in range(ORIENTATIONS)], -1
    )[..., *pairs, :]
    sparsity = ratio(by_turn.mean(-1), first.mean(-1)[..., pairs[0]])
    return {
        'amplitude': ratio(first.mean(-1), np.asarray(sums['windows'])[..., None]),
        'sparsity': sparsity,
        'shape': ratio(by_turn[..., 0], by_turn[..., ORIENTATIONS // 2]),
    }


def distance(found: Sums, truth: Sums) -> np.ndarray:
    """Mean |ln(coefficient / that of the truth)| [...] over amplitudes, sparsities and shapes, each kind weighing a
    third, of results of `summarise`."""
    with np.errstate(divide='ignore'):
        kinds = [
            np.abs(np.log(ratio(found[kind], truth[kind]))).mean(-1) for kind in ('amplitude', 'sparsity', 'shape')
        ]
    return np.mean(kinds, 0)
