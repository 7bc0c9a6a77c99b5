"""Kinetic-energy and variance spectra of one time: by spherical harmonics on the globe, by Fourier rings in a region.

Powers are linear in squares: add them over times, with `bootstrap.total`, before any ratio or `spectral_distance`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.fft
import xarray as xr

from downscale_jax.evaluation.statistics.windows import hann
from downscale_jax.fields.geometry import wind
from downscale_jax.fields.geometry.grid import cell_sizes_km, is_periodic
from downscale_jax.fields.geometry.harmonics import Rows, harmonics
from downscale_jax.runtime.errors import UserError

MOST_UNEQUAL = 3.0  # widest over narrowest row of a region: beyond it a column's wavelength means nothing


class Spectrum(NamedTuple):
    """The waves of a grid, M of them, and their wavenumbers 1, 2, .. n (`spectrum_of`)."""

    ring: np.ndarray  # [M], the wavenumber of each wave, 0 for those that belong to none
    wavelength_km: np.ndarray  # [n], of wavenumbers 1 to n
    energy: np.ndarray  # [M], m2: from variance of vorticity or divergence to kinetic energy
    variance: Callable[[np.ndarray], np.ndarray]  # [H, W] -> [M]

    def power(self, field: np.ndarray) -> np.ndarray:
        """Variance of a field [H, W] by wavenumber: [n] in its unit squared.

        Global: power(n) = sum_m |f_n^m|^2 / (4 pi), f_n^m of orthonormal harmonics, up to the n that the grid resolves,
        wavelength 2 pi a / n; sums to the variance over the sphere.

        Region: power(n) = sum over modes with n - 1/2 <= |k| L < n + 1/2 of |w f|^2 / (H W sum w^2), |w f| the Fourier
        transform under a Hann taper w, after the mean, weighted by w, has been removed; k in cycles a metre, L the
        shorter side, up to the Nyquist wavelength of the larger cell side; wavelength L / n. As `windows.power` over
        one window of H = W. No taper along longitude where it closes. Missing cells have taper 0: their edges are
        structure in the spectrum, the same for all fields with these gaps. On the globe a field with missing cells has
        no spectrum (NaN).

        Sums to the variance under the taper, but for waves of more than 2 L and those beyond the last ring. Cells count
        as wide as they are on average under the taper, without map factor.
        """
        return self._by_wavenumber(self.variance(field))

    def kinetic_energy(self, vorticity: np.ndarray, divergence: np.ndarray) -> np.ndarray:
        """Kinetic energy by wavenumber: vorticity, divergence [H, W] in s-1 -> E [n] in m2 s-2 per wavenumber.

        Where winds are the fields, these two come from `wind.vorticity_divergence`. Missing values as in `power`.

        Global: E(n) = a^2 / (4 n (n + 1)) sum_m (|zeta_n^m|^2 + |delta_n^m|^2), m from -n to n, harmonics orthonormal
        on the sphere (AtmoDist; the form is Lambert's, 1984). It sums to 2 pi times the global mean of (u^2 + v^2) / 2.

        Region: E(n) = sum over ring n of (|zeta|^2 + |delta|^2) / (2 k^2), k in radians a metre, each square a mode's
        variance as in `power`. It sums to the mean of (u^2 + v^2) / 2 under the taper, without the mean wind; the taper
        spreads each wave over its neighbours, so nearly, and the first two or three rings are rough.
        """
        return self._by_wavenumber(self.energy * (self.variance(vorticity) + self.variance(divergence)))

    def _by_wavenumber(self, modes: np.ndarray) -> np.ndarray:
        top = self.wavelength_km.size
        return np.bincount(self.ring, modes, top + 1)[1 : top + 1]


def spectral_distance(power: np.ndarray, truth: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Mean |ln(power / truth)| over the upper `share` of the wavenumbers: [..., n] -> [...].

    0 where they are equal, ln 2 where all are half or twice as large, infinite where one of them is 0.
    """
    count = max(1, round(share * np.shape(power)[-1]))
    with np.errstate(divide='ignore'):
        return np.abs(np.log(power[..., -count:]) - np.log(truth[..., -count:])).mean(-1)


def is_globe(grid: xr.Dataset) -> bool:
    """Whether harmonics fit the grid."""
    return 'lat' in grid.coords and grid['lat'].ndim == 1 and bool(wind.global_rows(grid))


def resolves(grid: xr.Dataset) -> bool:
    """Whether the whole grid has a spectrum: a globe that harmonics fit, or rows of about one width."""
    return is_globe(grid) or all(size.max() <= MOST_UNEQUAL * size.min() for size in cell_sizes_km(grid))


def spectrum_of(grid: xr.Dataset) -> Spectrum:
    """The spectrum of a canonical grid with `lat`, `lon` or `x`, `y`, whose axes run either way.

    Global grids are evenly spaced with both poles or with neither, or Gaussian.

    Raises UserError for uneven steps, and for a grid that is neither one that harmonics fit nor a region whose rows are
    of about one width.
    """
    axes = ('y', 'x') if {'x', 'y'} <= set(grid.coords) else ('lat', 'lon')
    if set(axes) <= set(grid.coords) and grid[axes[0]].ndim == 1:
        if axes[0] == 'lat' and (rows := wind.global_rows(grid)):
            return _sphere(rows, grid.sizes['lat'], grid.sizes['lon'])
        for name in axes:
            wind.even(grid[name])
    sizes = cell_sizes_km(grid)
    for size in sizes:
        if size.max() > MOST_UNEQUAL * size.min():
            raise UserError(
                f"cells are {size.min():.3g} to {size.max():.3g} km wide, too unequal for a region's spectrum, and no "
                'global grid with both poles, with neither, or Gaussian; cut a region or interpolate beforehand'
            )
    return _region(sizes, grid.sizes['lon' if 'lon' in grid.dims else 'x'], is_periodic(grid))


def _sphere(rows: Rows, height: int, width: int) -> Spectrum:
    transform = harmonics(rows, height, width)
    degree, top = transform.degree.ravel(), transform.top
    both = np.where(np.broadcast_to(transform.order, transform.degree.shape) > 0, 2, 1)  # -m is the conjugate of m

    def variance(field: np.ndarray) -> np.ndarray:
        if not np.isfinite(field).all():
            return np.full(degree.size, np.nan)
        # neither axis needs turning: that changes only signs and conjugates
        coefficients = transform.analyse(np.asarray(field, np.float64))
        return (both * _square(coefficients) / (4 * np.pi)).ravel()

    energy = np.pi * wind.RADIUS**2 / np.maximum(degree * (degree + 1), 1)
    ring = np.where(degree > top, 0, degree)
    return Spectrum(ring, 2e-3 * np.pi * wind.RADIUS / np.arange(1, top + 1), energy, variance)


def _region(sizes_km: tuple[np.ndarray, np.ndarray], width: int, periodic: bool) -> Spectrum:
    height = sizes_km[0].size
    rows, columns = hann(height), np.ones(width) if periodic else hann(width)
    taper = np.outer(rows, columns)
    dy, dx = (1000 * np.average(size, weights=rows) for size in sizes_km)
    side = min(height * dy, width * dx)
    top = int(side / (2 * max(dy, dx)) + 1e-6)
    cycles = np.hypot(scipy.fft.fftfreq(height, dy)[:, None], scipy.fft.rfftfreq(width, dx)).ravel()
    both = np.full((height, width // 2 + 1), 2)  # a conjugate that is not stored counts too
    both[:, 0] = 1
    if width % 2 == 0:
        both[:, -1] = 1

    def variance(field: np.ndarray) -> np.ndarray:
        known = np.isfinite(field)
        if not known.any():
            return np.full(both.size, np.nan)
        values, weight = np.where(known, field, 0).astype(np.float64), taper * known
        coefficients = scipy.fft.rfft2(weight * (values - np.average(values, weights=weight)))
        return (both * _square(coefficients)).ravel() / (values.size * np.sum(weight**2))

    k = 2 * np.pi * cycles
    k[0] = np.inf  # the mean is in no ring
    ring = np.floor(cycles * side + 0.5).astype(int)
    return Spectrum(ring, side / 1000 / np.arange(1, top + 1), 1 / (2 * k**2), variance)


def _square(z: np.ndarray) -> np.ndarray:
    return z.real**2 + z.imag**2
