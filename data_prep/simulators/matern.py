"""Random fields with Matern covariance that evolve from month to month."""

import numpy as np
from scipy import fft


class Matern:
    """A Gaussian random field `values` (y, x) of unit variance with autocorrelation `keep` from `step` to `step`.

    Matern covariance with exponent `smoothness` that falls to about 0.1 at `reach` cells (Lindgren et al. 2011, J. R.
    Stat. Soc. B 73, 423-498). `slope`: rms derivative along an axis, per cell, for smoothness above 1.
    """

    def __init__(self, rng, shape, reach, smoothness, keep=0.0):
        self.shape, self.keep = shape, np.float32(keep)
        # wider than the field, since the Fourier transform is periodic
        padded = [fft.next_fast_len(int(n + min(1.3 * reach, n) + 4), real=True) for n in shape]
        k_y, k_x = 2 * np.pi * fft.fftfreq(padded[0])[:, None], 2 * np.pi * fft.rfftfreq(padded[1])
        power = (8 * smoothness / reach**2 + k_y**2 + k_x**2) ** -(smoothness + 1)
        power[0, 0] = 0
        twice = np.where((k_x > 0) & (k_x < np.pi), 2, 1)  # columns of both signs of the wavenumber
        total = (power * twice).sum()
        self.slope = float(np.sqrt((power * twice * (k_y**2 + k_x**2)).sum() / total / 2))
        self.padded = padded
        self.amplitude = (np.sqrt(power / total) * np.sqrt(padded[0] * padded[1])).astype(np.float32)
        self.values = self._draw(rng)

    def step(self, rng: np.random.Generator) -> None:
        """Advances by a month."""
        self.values = self.keep * self.values + np.sqrt(1 - self.keep**2) * self._draw(rng)

    def _draw(self, rng):
        white = fft.rfft2(rng.standard_normal(self.padded, np.float32))
        return fft.irfft2(self.amplitude * white, self.padded)[: self.shape[0], : self.shape[1]]
