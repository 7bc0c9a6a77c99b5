"""Spectra and distances of two series of fields, exactly as CORDEX ML-Bench defines them."""

import numpy as np

FLOOR = 1e-30  # of powers and their ratios


def power_spectrum(fields: np.ndarray) -> np.ndarray:
    """Mean over the times of |FFT2|^2 [T, H, W], averaged in rings of integer radius about the middle of the array.

    Neither window nor detrending, missing values are 0, and the middle is (H - 1)/2, (W - 1)/2, which for an even
    number of cells lies half a cell beside wavenumber 0. The last rings lie in the corners: 90 of 128 x 128 cells.
    """
    return np.mean([_rings(field) for field in fields], 0)


def _rings(field: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.fftshift(np.fft.fft2(np.nan_to_num(field.astype(np.float64), nan=0.0)))) ** 2
    height, width = power.shape
    y, x = np.indices(power.shape)
    # truncated, as the benchmark truncates, not rounded
    radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2).astype(int)
    total, count = (np.bincount(radius.ravel(), w) for w in (power.ravel(), None))
    return total / np.maximum(count, 1)


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
    u, v = (np.sort(np.nan_to_num(values, nan=0.0), axis=None) for values in (truth, prediction))
    return float(np.mean(np.abs(u - v), dtype=np.float64))
