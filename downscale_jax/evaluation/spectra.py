"""Isotropic power spectra over tapered windows of open sea, for fields with coasts.

A transform of the whole domain would see the coast line as structure; windows free of land do not. The price is that
nothing longer than a window is resolved.
"""

from collections.abc import Iterable

import numpy as np
import scipy.fft


def windows(valid: np.ndarray, ice: np.ndarray, size: int) -> np.ndarray:
    """Origins (row, column) [K, 2] of windows of size x size cells, all of them valid and at least half of them ice.

    valid, ice: bool [H, W]; `valid` where every field to be compared has a value. Windows stand on a lattice half a
    window apart, anchored at the first row and column, so the same day gives the same windows for every method.
    K is 0 where none fits.
    """
    if size < 4 or size % 2:
        raise ValueError(f'size is {size}; expected an even number of cells, at least 4')
    step = size // 2
    enough = (_window_sums(valid, size) == size**2) & (2 * _window_sums(valid & ice, size) >= size**2)
    return np.argwhere(enough[::step, ::step]) * step


def _window_sums(mask: np.ndarray, size: int) -> np.ndarray:
    """Number of true cells in the window that begins at each cell, [H - size + 1, W - size + 1], by a summed table."""
    if min(mask.shape) < size:
        return np.zeros((0, 0), int)
    table = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]


def wavelengths(size: int, cell_km: float) -> np.ndarray:
    """Wavelength [size/2] of each ring in km: the window's width over 1, 2, .. size/2 cycles."""
    return size * cell_km / np.arange(1, size // 2 + 1)


def modes(size: int) -> np.ndarray:
    """Number of two-dimensional Fourier modes in each ring [size/2]; the power of white noise goes with it."""
    ring, multiplicity = _rings(size)
    return np.bincount(ring.ravel(), multiplicity.ravel(), size)[1 : size // 2 + 1]


def power(fields: np.ndarray, origins: np.ndarray, size: int, cell_km: float) -> tuple[np.ndarray, np.ndarray]:
    """(wavelength in km [n], power [..., n]) of fields [..., H, W], n = size/2, SUMMED over the windows, float64.

    In each window the mean is removed and a Hann taper w(i) w(j), w(i) = sin^2(pi (i + 1/2)/N), applied:

        power_n = sum over modes with n - 1/2 <= |k| < n + 1/2 of |FFT(w (x - mean))|^2 / (N^2 sum w^2)

    k in cycles a window, the mean weighted by w, so that nothing of it leaks into the longest wavelength. The unit is
    the field's, squared: power_n is the variance in a ring one fundamental wavenumber wide. White noise of variance s^2
    has s^2 in expectation over all modes and s^2/N^2 in each: its power grows with the ring (see `modes`), and the
    corners beyond the Nyquist circle, 1 - pi/4 of all modes, are left out. A plane wave of n cycles has 2/3 of its
    variance in ring n, the rest in its neighbours. Divide by the number of windows for a mean (see `mean`).

    Raises ValueError where a field is not finite inside a window.
    """
    leading, flat = fields.shape[:-2], fields.reshape(-1, *fields.shape[-2:])
    ring, multiplicity = _rings(size)
    taper = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    taper = taper[:, None] * taper
    norm = multiplicity / (size**2 * np.sum(taper**2))
    result = np.zeros((len(flat), size // 2))
    rows, columns = origins[:, 0], origins[:, 1]
    for index, field in enumerate(flat if len(origins) else ()):
        view = np.lib.stride_tricks.sliding_window_view(field, (size, size))
        cut = view[rows, columns].astype(np.float64)
        if not np.isfinite(cut).all():
            raise ValueError(f'field {index} has {np.sum(~np.isfinite(cut))} values that are not finite in its windows')
        cut -= np.sum(taper * cut, (1, 2), keepdims=True) / np.sum(taper)
        transform = scipy.fft.rfft2(taper * cut)
        density = np.sum(transform.real**2 + transform.imag**2, 0) * norm
        result[index] = np.bincount(ring.ravel(), density.ravel(), size)[1 : size // 2 + 1]
    return wavelengths(size, cell_km), result.reshape(*leading, size // 2)


def _rings(size: int) -> tuple[np.ndarray, np.ndarray]:
    """For the half plane of `rfft2`: the ring of each mode, and 2 where its conjugate is not stored, else 1."""
    k = np.hypot(scipy.fft.fftfreq(size, 1 / size)[:, None], np.arange(size // 2 + 1))
    multiplicity = np.full(k.shape, 2.0)
    multiplicity[:, [0, -1]] = 1.0
    return np.floor(k + 0.5).astype(int), multiplicity


def mean(parts: Iterable[tuple[np.ndarray, int]]) -> np.ndarray | None:
    """Mean power of a window from (sum over windows [..., n], number of windows) by day; None without a window."""
    parts = [part for part in parts if part[1]]
    return np.sum([total for total, _ in parts], 0) / sum(count for _, count in parts) if parts else None


def ratio(power: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Power over the truth's power by wavelength [..., n]; NaN where the truth has none."""
    has_power = truth > 0
    return np.where(has_power, power / np.where(has_power, truth, 1), np.nan)


def band_ratio(wavelength: np.ndarray, power: np.ndarray, truth: np.ndarray, low_km: float, high_km: float) -> float:
    """Power over truth's power, both summed over wavelengths low_km <= l < high_km; NaN for an empty band."""
    band = (wavelength >= low_km) & (wavelength < high_km)
    total = float(np.sum(truth[band]))
    return float(np.sum(power[..., band])) / total if total > 0 else float('nan')
