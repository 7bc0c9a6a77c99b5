"""Spherical harmonics on global grids of latitude and longitude: analysis, synthesis, and the curl of a wind.

Orthonormal harmonics Y_l^m = P_l^m(sin phi) exp(i m lambda) with the Condon-Shortley phase. The coefficients of real
fields are complex arrays [..., m, j] for order m >= 0 and degree l = m + j, zero beyond the highest degree. In float64.

On evenly spaced rows the Fourier coefficient of a field in longitude is a trigonometric polynomial in colatitude, even
or odd by m. It is evaluated exactly at Gaussian nodes, where the integrals over latitude are exact too; quadrature on
the rows themselves would be exact for half the wavenumbers only. Values return to the rows the same way.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import scipy

Rows = Literal['both poles', 'no pole', 'Gaussian']  # evenly spaced latitudes with both poles or with neither; Gaussian
KEPT_BYTES = 2**28  # Legendre functions kept for the next field: 24 MB at 1 degree; at 0.25 degrees they are recomputed
BLOCK = 16  # orders whose functions are computed together: they fit the processor's cache


@lru_cache(maxsize=4)
def harmonics(rows: Rows, height: int, width: int) -> 'Harmonics':
    """The transforms of a global grid [H, W], cached: their tables cost more than a transform."""
    return Harmonics(rows, height, width)


def latitudes(rows: Rows, height: int) -> np.ndarray:
    """[H] in degrees, from south to north."""
    return 90 - np.rad2deg(_colatitudes(rows, height))[::-1]


class Harmonics:
    """Transforms between fields [..., H, W], rows from north to south, columns eastward, and their coefficients.

    `top` is the highest degree that the grid resolves exactly: H - 2 with both poles, else H - 1, and at most
    (W - 1)/2. Shorter waves are dropped. `degree` [m, j] is that of each coefficient.
    """

    def __init__(self, rows: Rows, height: int, width: int):
        self.height, self.width = height, width
        self.top = min(height - (2 if rows == 'both poles' else 1), (width - 1) // 2)
        self.order = np.arange(self.top + 1)[:, None]
        self.degree = self.order + np.arange(self.top + 1)
        self._nodes, weights = gauss_legendre(height)
        self._weights = 2 * np.pi * weights
        self._resampling = None if rows == 'Gaussian' else _resampling(_colatitudes(rows, height), self._nodes)

    def analyse(self, field: np.ndarray) -> np.ndarray:
        """[..., H, W] -> coefficients [..., m, j]."""
        values, lead = self._at_nodes(field, spin=0), field.shape[:-2]
        result = np.zeros((self.top + 1, self.top + 1, values.shape[-1]), complex)
        for orders, legendre in self._tables():
            count = min(len(legendre) - 1, self.top + 1)
            result[orders, :count] = _analysed(legendre[:count], values[orders])
        result[self.degree > self.top] = 0
        return np.moveaxis(result, -1, 0).reshape(*lead, *self.degree.shape)

    def synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients [..., m, j] -> [..., H, W]."""
        lead = coefficients.shape[:-2]
        values = np.moveaxis(coefficients.reshape(-1, *self.degree.shape), 0, -1)
        rows = np.empty((self.top + 1, self.height, values.shape[-1]), complex)
        for orders, legendre in self._tables():
            count = min(len(legendre), self.top + 1)
            rows[orders] = _synthesised(legendre[:count], values[orders, :count], self.height)
        return self._on_grid(rows, lead)

    def curl_divergence(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eastward and northward winds [..., H, W] -> vorticity and divergence on the unit sphere.

        Their coefficients are integrals of the wind against the gradient of Y_l^m, by parts, with
        cos(phi) dP_l/dphi = (l + 1) e_l P_(l-1) - l e_(l+1) P_(l+1) and e_l = sqrt((l^2 - m^2)/(4 l^2 - 1)).
        """
        lead, count = u.shape[:-2], int(np.prod(u.shape[:-2]))
        winds = self._at_nodes(np.stack([u, v]), spin=1) / np.sin(self._nodes)[:, None]
        rows = np.empty((self.top + 1, self.height, 2 * count), complex)
        for orders, legendre in self._tables():
            integrals = _analysed(legendre, winds[orders])
            order = self.order[orders, :, None]
            degree = order + np.arange(len(legendre) - 1)[:, None]
            below = np.concatenate([np.zeros_like(integrals[:, :1]), integrals[:, :-2]], 1)
            slopes = (degree + 1) * _ratio(degree, order) * below - degree * _ratio(degree + 1, order) * integrals[
                :, 1:
            ]
            along = 1j * order * integrals[:, :-1]
            vorticity = along[..., count:] + slopes[..., :count]
            divergence = along[..., :count] - slopes[..., count:]
            both = np.concatenate([vorticity, divergence], -1)
            both[np.broadcast_to(degree > self.top, both.shape)] = 0
            rows[orders] = _synthesised(legendre[:-1], both, self.height)
        vorticity, divergence = self._on_grid(rows, (2, *lead))
        return vorticity, divergence

    def _at_nodes(self, field: np.ndarray, spin: int) -> np.ndarray:
        """[..., H, W] -> Fourier coefficients in longitude at the nodes, times the weights there: [m, node, fields]."""
        rows = np.fft.rfft(field.reshape(-1, *field.shape[-2:]))[..., : self.top + 1] / self.width
        rows = np.ascontiguousarray(np.moveaxis(rows, 0, -1))
        if self._resampling is not None:
            for parity, (to_nodes, _) in enumerate(self._resampling):
                _resample(to_nodes, rows[:, (parity + spin) % 2 :: 2])
        return (rows * self._weights[:, None, None]).swapaxes(0, 1)

    def _on_grid(self, values: np.ndarray, lead: tuple[int, ...]) -> np.ndarray:
        """Fourier coefficients at the nodes [m, node, fields] -> [..., H, W]."""
        rows = np.ascontiguousarray(values.swapaxes(0, 1))
        if self._resampling is not None:
            for parity, (_, from_nodes) in enumerate(self._resampling):
                _resample(from_nodes, rows[:, parity::2])
        spectrum = np.moveaxis(rows, -1, 0) * self.width
        return np.fft.irfft(spectrum, self.width).reshape(*lead, self.height, self.width)

    def _tables(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of orders: (which of them, P [j, m, north node] for degrees m + j up to top + 1)."""
        small = 4 * self.top**2 * (self.height // 2) <= KEPT_BYTES
        yield from self._kept if small else self._computed()

    @cached_property
    def _kept(self) -> list[tuple[slice, np.ndarray]]:
        return list(self._computed())

    def _computed(self) -> Iterator[tuple[slice, np.ndarray]]:
        north = self._nodes[: (self.height + 1) // 2]
        steps = self.order[1:]
        growth = -np.sqrt((2 * steps + 1) / (2 * steps)) * np.sin(north)
        sectoral = np.cumprod(np.concatenate([np.full((1, north.size), np.sqrt(1 / (4 * np.pi))), growth]), 0)
        for first in range(0, self.top + 1, BLOCK):
            orders = slice(first, first + BLOCK)
            yield orders, legendre_functions(self.order[orders], self.top + 2 - first, np.cos(north), sectoral[orders])


def legendre_functions(order: np.ndarray, count: int, sine: np.ndarray, sectoral: np.ndarray) -> np.ndarray:
    """Orthonormal P_(m+j)^m [j, m, H] for orders [m, 1] and j below `count`, from P_m^m `sectoral` [m, H] upwards.

    Forward recursion in the degree is stable; what underflows at high orders near the poles matters to no degree
    below 1900 (Holmes and Featherstone 2002, J. Geod. 76, 279-299).
    """
    result = np.empty((count, *sectoral.shape))
    result[0] = sectoral
    ratio = _ratio(order + np.arange(count), order)[..., None]  # [m, j, 1]
    for j in range(1, count):
        np.multiply(result[j - 1], sine / ratio[:, j], out=result[j])
        if j > 1:
            result[j] -= ratio[:, j - 1] / ratio[:, j] * result[j - 2]
    return result


def _ratio(degree: np.ndarray, order: np.ndarray) -> np.ndarray:
    """e_l of sin(phi) P_l = e_l P_(l-1) + e_(l+1) P_(l+1)."""
    return np.sqrt((degree**2 - order**2) / np.maximum(4.0 * degree**2 - 1, 1))


def _analysed(legendre: np.ndarray, values: np.ndarray) -> np.ndarray:
    """P [j, m, north] by weighted values [m, node, fields] -> integrals [m, j, fields]: P is even or odd by j."""
    half = legendre.shape[-1]
    north, south = values[:, :half], values[:, ::-1][:, :half]
    if values.shape[1] % 2:  # the node on the equator counts once
        south = south.copy()
        south[:, -1] = 0
    result = np.empty((len(values), len(legendre), values.shape[-1]), complex)
    for parity, folded in enumerate((north + south, north - south)):
        result[:, parity::2] = _real_matmul(legendre[parity::2].swapaxes(0, 1), folded)
    return result


def _synthesised(legendre: np.ndarray, coefficients: np.ndarray, height: int) -> np.ndarray:
    """P [j, m, north] and coefficients [m, j, fields] -> values [m, node, fields]."""
    even, odd = (_real_matmul(np.moveaxis(legendre[parity::2], 0, -1), coefficients[:, parity::2]) for parity in (0, 1))
    return np.concatenate([even + odd, (even - odd)[:, : height // 2][:, ::-1]], 1)


def _real_matmul(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A real matrix by complex values, their parts as columns: NumPy would make the matrix complex."""
    return (matrix @ np.ascontiguousarray(values).view(float)).view(complex)


def _colatitudes(rows: Rows, height: int) -> np.ndarray:
    """[H] in radians, from north to south."""
    if rows == 'both poles':
        return np.linspace(0, np.pi, height)
    if rows == 'no pole':
        return (np.arange(height) + 0.5) * np.pi / height
    return gauss_legendre(height)[0]


def gauss_legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Colatitudes [count] of the Gaussian nodes, from north to south, and their weights, which sum to 2.

    One Newton step in colatitude from SciPy's, whose cosines are rounded: near a pole that costs several digits. In
    1 - cos the recursion (k + 1) (P_(k+1) - P_k) = k (P_k - P_(k-1)) - (2 k + 1) (1 - cos) P_k loses none.
    """
    colatitude = np.arccos(scipy.special.roots_legendre(count)[0][::-1][: (count + 1) // 2])
    for last in (False, True):
        distance = 2 * np.sin(colatitude / 2) ** 2
        before, value, change = np.zeros_like(distance), np.ones_like(distance), np.zeros_like(distance)
        for k in range(count):
            change = (k * change - (2 * k + 1) * distance * value) / (k + 1)
            before, value = value, value + change
        slope = count * (np.cos(colatitude) * value - before) / np.sin(colatitude)
        if not last:
            colatitude = colatitude - value / slope
    weights = 2 / slope**2
    mirrored = slice(None, None, -1) if count % 2 == 0 else slice(-2, None, -1)
    return np.concatenate([colatitude, np.pi - colatitude[mirrored]]), np.concatenate([weights, weights[mirrored]])


def _resample(matrix: np.ndarray, rows: np.ndarray) -> None:
    """A matrix [H, H] along the rows of values [H, m, fields], in place."""
    rows[:] = _real_matmul(matrix, rows.reshape(len(rows), -1)).reshape(rows.shape)


Resampling = tuple[np.ndarray, np.ndarray]  # [node, row] to the nodes and [row, node] back


def _resampling(rows: np.ndarray, nodes: np.ndarray) -> tuple[Resampling, Resampling]:
    """Of functions that are even in colatitude, by cosines, and of odd ones, by sines, which vanish at the poles."""
    count, inner = rows.size, (rows > 0) & (rows < np.pi - 1e-9)
    even, odd = np.arange(count), np.arange(1, inner.sum() + 1)
    cosines = [np.cos(np.outer(at, even)) for at in (rows, nodes)]
    sines = [np.sin(np.outer(at, odd)) for at in (rows[inner], nodes)]
    to_nodes, from_nodes = np.zeros((count, count)), np.zeros((count, count))
    to_nodes[:, inner] = np.linalg.solve(sines[0].T, sines[1].T).T
    from_nodes[inner] = np.linalg.lstsq(sines[1].T, sines[0].T, rcond=None)[0].T
    return (
        (np.linalg.solve(cosines[0].T, cosines[1].T).T, np.linalg.solve(cosines[1].T, cosines[0].T).T),
        (to_nodes, from_nodes),
    )
