"""Spectra and distances of two series of fields, exactly as CORDEX ML-Bench defines them."""

import numpy as np

FLOOR = 1e-30  # of powers and their ratios


def power_spectrum(fields: np.ndarray) -> np.ndarray:
    """Mean over the times of |FFT2|^2 [T, H, W], averaged in rings of integer radius about the middle of the array.

    There is neither a window nor detrending, missing values are 0, and the middle is (H - 1)/2, (W - 1)/2, which for an
    even number of cells lies half a cell away from wavenumber 0. The last rings lie in the corners: 128 x 128 cells
    have 90 rings.
    """
    height, width = fields.shape[1:]
    y, x = np.indices((height, width))
    # truncated, as the benchmark truncates, not rounded
    radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2).astype(int).ravel()
    total = np.zeros(radius.max() + 1)
    for field in fields:
        known = np.nan_to_num(field.astype(np.float64), nan=0.0)
        power = np.abs(np.fft.fftshift(np.fft.fft2(known))) ** 2
        total += np.bincount(radius, power.ravel())
    return total / np.maximum(np.bincount(radius), 1) / len(fields)


def ralsd(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Radially averaged log spectral distance of two spectra, dB^2: mean over all rings of (10 log10 ratio)^2.

    No root is taken, unlike in Harris et al. (2022).
    """
    ratio = np.maximum(truth / np.maximum(prediction, FLOOR), FLOOR)
    return float(np.mean((10 * np.log10(ratio)) ** 2))


def wasserstein(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Wasserstein-1 distance of the values of all cells and days, missing ones counted as 0.

    Both have the same number of values, for which `scipy.stats.wasserstein_distance_nd` of the flattened arrays is the
    mean distance of the sorted values; that takes a tenth of its memory.
    """
    if truth.size != prediction.size:
        raise ValueError(f'{truth.size} and {prediction.size} values: the same number was expected')
    u, v = (np.nan_to_num(values, nan=0.0).ravel() for values in (truth, prediction))  # copies
    for values in (u, v):
        values.sort()
    return float(np.mean(np.abs(np.subtract(u, v, out=u), out=u), dtype=np.float64))
