"""Isotropic power spectra over tapered windows of open sea, for fields with coasts.

A transform of the whole domain would count coasts as structure; windows free of land do not, but resolve nothing
longer than a window.
"""

import numpy as np
import scipy.fft

from downscale_jax.fields.geometry.boxes import box_sums


def windows(valid: np.ndarray, ice: np.ndarray, size: int) -> np.ndarray:
    """Origins (row, column) [K, 2] of windows of size x size cells, all of them valid and at least half of them ice.

    valid, ice: bool [H, W]; `valid` where every field to be compared has a value. Windows stand on a lattice half a
    window apart, anchored at the first row and column, so the same day gives the same windows for every method.
    K is 0 where none fits.
    """
    if size < 4 or size % 2:
        raise ValueError(f'size is {size}; expected an even number of cells, at least 4')
    step = size // 2
    enough = (box_sums(valid, size) == size**2) & (2 * box_sums(valid & ice, size) >= size**2)
    return np.argwhere(enough[::step, ::step]) * step


def wavelengths(size: int, cell_km: float) -> np.ndarray:
    """Wavelength [size/2] of each ring in km: the window's width over 1, 2, .. size/2 cycles."""
    return size * cell_km / np.arange(1, size // 2 + 1)


def transform(field: np.ndarray, origins: np.ndarray, size: int) -> np.ndarray:
    """Fourier coefficients [K, N, N/2 + 1] of a field [H, W] in its `tapered` windows, N = size, float64 throughout.

    The transform is linear: the coefficients of a difference are the difference of the coefficients.
    """
    if not len(origins):
        return np.zeros((0, size, size // 2 + 1), complex)
    return scipy.fft.rfft2(tapered(field, origins, size))


def tapered(field: np.ndarray, origins: np.ndarray, size: int) -> np.ndarray:
    """A field [H, W] in its windows [K, N, N], N = size, float64.

    In each window the mean, weighted by w so that none of it leaks into the longest wavelength, is removed, and a Hann
    taper w(i) w(j) is applied (`hann`).

    Raises ValueError where the field is not finite inside a window.
    """
    if not len(origins):
        return np.zeros((0, size, size))
    taper = np.outer(hann(size), hann(size))
    cut = np.lib.stride_tricks.sliding_window_view(field, (size, size))[origins[:, 0], origins[:, 1]].astype(np.float64)
    if not np.isfinite(cut).all():
        raise ValueError(f'{np.sum(~np.isfinite(cut))} values are not finite in the windows')
    cut -= np.sum(taper * cut, (1, 2), keepdims=True) / np.sum(taper)
    return taper * cut


def power(coefficients: np.ndarray) -> np.ndarray:
    """Power [N/2] of coefficients [K, N, N/2 + 1], SUMMED over the windows.

        power_n = sum over modes with n - 1/2 <= |k| < n + 1/2 of |coefficient|^2 / (N^2 sum w^2)

    k in cycles a window. The unit is the field's, squared: power_n is the variance in a ring one fundamental wavenumber
    wide. White noise of variance s^2 has s^2 in expectation over all modes and s^2/N^2 in each: its power grows with
    the ring, and the corners beyond the Nyquist circle, 1 - pi/4 of all modes, are left out. A plane wave of n cycles
    has 2/3 of its variance in ring n, the rest in its neighbours.
    """
    size = coefficients.shape[1]
    k = np.hypot(scipy.fft.fftfreq(size, 1 / size)[:, None], np.arange(size // 2 + 1))
    stored = np.full(k.shape, 2.0)  # a conjugate that is not stored counts too
    stored[:, [0, -1]] = 1.0
    density = np.sum(coefficients.real**2 + coefficients.imag**2, 0) * stored / (size**2 * np.sum(hann(size) ** 2) ** 2)
    return np.bincount(np.floor(k + 0.5).astype(int).ravel(), density.ravel(), size)[1 : size // 2 + 1]


def hann(size: int) -> np.ndarray:
    """The Hann taper [N], sin^2(pi (i + 1/2)/N)."""
    return np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
