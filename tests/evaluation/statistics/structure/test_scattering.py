"""Scattering coefficients: waves, lines, blobs and random phases."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics.structure.scattering import (
    ORIENTATIONS,
    distance,
    scales_of,
    scattering,
    summarise,
    wavelengths,
    wavelets,
)

SIZE, COUNT = 32, 24


def lines(rng):
    """[COUNT, SIZE, SIZE]: three narrow lines each, closed at the edges only by the taper."""
    y, x = np.mgrid[:SIZE, :SIZE]
    fields = np.zeros((COUNT, SIZE, SIZE))
    for field in fields:
        for angle, row, column in zip(rng.uniform(0, np.pi, 3), *rng.uniform(4, SIZE - 4, (2, 3)), strict=True):
            away = (x - column) * np.sin(angle) - (y - row) * np.cos(angle)
            field -= np.exp(-(away**2) / 2)
    return fields


def blobs(rng):
    y, x = np.mgrid[:SIZE, :SIZE]
    centres = rng.uniform(0, SIZE, (COUNT, 15, 2, 1, 1))
    return -np.exp(-((y - centres[:, :, 0]) ** 2 + (x - centres[:, :, 1]) ** 2) / 4).sum(1)


def phases(rng, fields):
    """The same power with phases of noise."""
    noise = np.fft.fft2(rng.normal(size=fields.shape))
    return np.fft.ifft2(np.abs(np.fft.fft2(fields)) * noise / np.abs(noise)).real


def coefficients(fields):
    taper = np.sin(np.pi * (np.arange(SIZE) + 0.5) / SIZE) ** 2
    return summarise(scattering(taper[:, None] * taper * (fields - fields.mean((1, 2), keepdims=True))))


@pytest.fixture(scope='module')
def found():
    rng = np.random.default_rng(0)
    fields = {'lines': lines(rng), 'blobs': blobs(rng)}
    fields['phases'] = phases(rng, fields['lines'])
    return {name: coefficients(values) for name, values in fields.items()}


def test_wavelets():
    bank = wavelets(40)
    assert bank.shape == (3, ORIENTATIONS, 40, 40)
    np.testing.assert_allclose(wavelengths(40), [8 / 3, 16 / 3, 32 / 3])
    assert scales_of(21) == 2
    np.testing.assert_allclose(bank[:, :, 0, 0], 0, atol=1e-15)  # they do not see a mean
    # each is largest at its wavelength: the coarsest of 40 cells at 40 / (32/3) = 3.75 waves along x
    row, column = np.unravel_index(bank[2, 0].argmax(), (40, 40))
    assert (row, column) == (0, 4)


def test_a_wave_is_seen_by_the_wavelet_along_it():
    """|A exp(ikx)/2 * psi| = A psi^(k)/2 everywhere, so that the second order vanishes."""
    x = np.arange(48)
    wave = np.broadcast_to(3.0 * np.cos(2 * np.pi * 9 * x / 48), (1, 48, 48))
    sums, bank = scattering(wave), wavelets(48)
    expected = np.abs(3.0 / 2 * (bank[0, 0, 0, 9] + bank[0, 0, 0, -9]))
    np.testing.assert_allclose(sums['first'][0, 0], expected, rtol=0.02)
    assert sums['first'][0].argmax() == 0
    assert sums['second'][0, 0].max() < 0.02 * sums['first'][0, 0]


def test_lines_blobs_and_random_phases(found):
    assert (found['lines']['shape'] > 1.2 * found['phases']['shape']).all()
    assert (found['blobs']['shape'] < 0.9 * found['phases']['shape']).all()
    assert (found['lines']['sparsity'] > 1.1 * found['phases']['sparsity']).all()


def test_amplitude_scales_and_nothing_else_does(found):
    rng = np.random.default_rng(0)
    twice = coefficients(2 * lines(rng))
    np.testing.assert_allclose(twice['amplitude'], 2 * found['lines']['amplitude'])
    for kind in ('sparsity', 'shape'):
        np.testing.assert_allclose(twice[kind], found['lines'][kind])
    np.testing.assert_allclose(distance(twice, found['lines']), np.log(2) / 3)
    assert distance(found['lines'], found['lines']) == 0


def test_resamples_at_once():
    rng = np.random.default_rng(0)
    days = [scattering(fields[None]) for fields in lines(rng)[:3]]
    stacked = {name: np.stack([day[name] for day in days]) for name in days[0]}
    together = summarise(stacked)
    for place, day in enumerate(days):
        for kind, value in summarise(day).items():
            np.testing.assert_allclose(together[kind][place], value)


def test_nothing_varies():
    assert np.isnan(summarise(scattering(np.zeros((2, SIZE, SIZE))))['shape']).all()
