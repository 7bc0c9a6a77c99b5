"""Spherical harmonics beside SciPy's, and their integrals at Gaussian nodes."""

import numpy as np
import pytest
from scipy.special import assoc_legendre_p_all, roots_legendre

from downscale_jax.fields.geometry import harmonics as module
from downscale_jax.fields.geometry.harmonics import Harmonics, gauss_legendre, latitudes

ROWS = ('both poles', 'no pole', 'Gaussian')


def random_coefficients(transform, rng):
    """[m, j], and the same as [m, l]; without the mean."""
    shape = transform.degree.shape
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape) * (transform.order > 0)) / (1 + transform.degree)
    values[(transform.degree > transform.top) | (transform.degree == 0)] = 0
    by_degree = np.zeros_like(values)
    order, j = np.nonzero(transform.degree <= transform.top)
    by_degree[order, order + j] = values[order, j]
    return values, by_degree


def angles(rows, height, width):
    return np.deg2rad(90 - latitudes(rows, height)[::-1]), 2 * np.pi * np.arange(width) / width


def test_latitudes():
    np.testing.assert_allclose(latitudes('both poles', 5), [-90, -45, 0, 45, 90], atol=1e-13)
    np.testing.assert_allclose(latitudes('no pole', 4), [-67.5, -22.5, 22.5, 67.5])
    np.testing.assert_allclose(latitudes('Gaussian', 2), np.rad2deg([-np.arcsin(3**-0.5), np.arcsin(3**-0.5)]))


@pytest.mark.parametrize(('rows', 'height', 'top'), [('both poles', 13, 11), ('no pole', 12, 11), ('Gaussian', 13, 12)])
def test_highest_degree(rows, height, top):
    assert Harmonics(rows, height, 40).top == top
    assert Harmonics(rows, height, 15).top == 7


@pytest.mark.parametrize('count', [1, 2, 7, 64, 181])
def test_gaussian_nodes(count):
    colatitude, weights = gauss_legendre(count)
    x, w = roots_legendre(count)
    np.testing.assert_allclose(np.cos(colatitude), x[::-1], atol=1e-14)
    np.testing.assert_allclose(weights, w[::-1], rtol=1e-9)


def test_gaussian_weights_beside_the_pole():
    """Integrals of sin^2k of the colatitude, 2 (2k)!!/(2k + 1)!!: of large k they need accurate nodes."""
    colatitude, weights = gauss_legendre(721)
    for k in (1, 10, 700):
        exact = 2 * np.exp(np.log(2 * np.arange(1, k + 1) / (2 * np.arange(1, k + 1) + 1)).sum())
        assert weights @ np.sin(colatitude) ** (2 * k) == pytest.approx(exact, rel=1e-12)


def test_legendre_functions_are_those_of_scipy():
    theta = np.linspace(0.01, np.pi - 0.01, 9)
    order, sine = np.arange(3, 7)[:, None], np.cos(theta)
    expected = assoc_legendre_p_all(20, 20, sine, norm=True)[0] / np.sqrt(2 * np.pi)
    sectoral = np.stack([expected[m, m] for m in range(3, 7)])
    found = module.legendre_functions(order, 14, sine, sectoral)
    for j in range(14):
        for i, m in enumerate(range(3, 7)):
            np.testing.assert_allclose(found[j, i], expected[m + j, m], atol=1e-12)


@pytest.mark.parametrize('rows', ROWS)
@pytest.mark.parametrize(('height', 'width'), [(14, 28), (15, 31), (21, 24)])
def test_synthesis_and_analysis(rows, height, width, harmonic_sum):
    transform = Harmonics(rows, height, width)
    coefficients, by_degree = random_coefficients(transform, np.random.default_rng(0))
    theta, lam = angles(rows, height, width)
    inner = slice(1, -1) if rows == 'both poles' else slice(None)
    field = transform.synthesise(coefficients)
    np.testing.assert_allclose(field[inner], harmonic_sum(by_degree, theta[inner], lam)[0], atol=1e-12)
    np.testing.assert_allclose(transform.analyse(field), coefficients, atol=1e-13)
    several = np.stack([[field, 2 * field, 3 * field]])
    np.testing.assert_allclose(transform.analyse(several)[0, 2], 3 * coefficients, atol=1e-12)


@pytest.mark.parametrize('rows', ROWS)
@pytest.mark.parametrize(('height', 'width'), [(14, 28), (15, 31), (21, 24)])
def test_curl_and_divergence_of_winds(rows, height, width, harmonic_sum):
    """u = dpsi/dtheta + dchi/dlambda / sin, v = dpsi/dlambda / sin - dchi/dtheta, up to the highest degree."""
    transform, rng = Harmonics(rows, height, width), np.random.default_rng(1)
    theta, lam = angles(rows, height, width)
    near = np.clip(theta, 1e-9, np.pi - 1e-9)  # at a pole by the limit along each meridian
    psi, chi = (random_coefficients(transform, rng) for _ in range(2))
    (_, psi_theta, psi_lam), (_, chi_theta, chi_lam) = (
        harmonic_sum(by_degree, near, lam) for _, by_degree in (psi, chi)
    )
    vorticity, divergence = transform.curl_divergence(psi_theta + chi_lam, psi_lam - chi_theta)
    laplacian = -transform.degree * (transform.degree + 1)
    for found, (coefficients, _) in ((vorticity, psi), (divergence, chi)):
        expected = transform.synthesise(laplacian * coefficients)
        np.testing.assert_allclose(found, expected, atol=2e-6 if rows == 'both poles' else 1e-9)


@pytest.mark.parametrize('rows', ROWS)
def test_recomputed_tables_change_nothing(rows, monkeypatch):
    winds = np.random.default_rng(2).normal(size=(2, 3, 20, 50))
    kept = Harmonics(rows, 20, 50).curl_divergence(*winds)
    monkeypatch.setattr(module, 'KEPT_BYTES', 0)
    for one, other in zip(kept, Harmonics(rows, 20, 50).curl_divergence(*winds), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('rows', ROWS)
def test_a_degree_and_more(rows):
    """1 degree: what is synthesised comes back to 1e-12 of the largest coefficient."""
    transform = Harmonics(rows, 181, 360)
    coefficients, _ = random_coefficients(transform, np.random.default_rng(3))
    back = transform.analyse(transform.synthesise(coefficients))
    assert np.abs(back - coefficients).max() < 1e-12 * np.abs(coefficients).max()
