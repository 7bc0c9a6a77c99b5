"""Spectra of fields whose power is known in closed form."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import windows as spectra

SIZE, CELL = 32, 4.0


def everywhere(shape, size=SIZE):
    full = np.ones(shape, bool)
    return spectra.windows(full, full, size)


def power(field, origins):
    return spectra.power(spectra.transform(field, origins, SIZE))


def test_windows_are_a_lattice_half_a_window_apart():
    origins = everywhere((70, 50))
    assert origins.tolist() == [[i, j] for i in (0, 16, 32) for j in (0, 16)]


def test_windows_avoid_land_and_open_water():
    valid, ice = np.ones((64, 96), bool), np.ones((64, 96), bool)
    valid[5, 5] = False
    ice[:, 64:] = False
    origins = spectra.windows(valid, ice, SIZE).tolist()
    assert [0, 0] not in origins  # land
    assert [16, 0] in origins  # just below the land cell
    assert [0, 48] in origins  # ice in exactly half of it
    assert [0, 64] not in origins  # open water
    for i, j in origins:
        assert valid[i : i + SIZE, j : j + SIZE].all()
    ice[0, 63] = False
    assert [0, 48] not in spectra.windows(valid, ice, SIZE).tolist()  # a cell short of half


@pytest.mark.parametrize('shape', [(20, 90), (64, 64)])
def test_no_window_gives_no_power(shape):
    none = np.zeros(shape, bool)
    origins = spectra.windows(none, none, SIZE)
    assert origins.shape == (0, 2)
    total = power(np.full(shape, np.nan), origins)
    assert total.shape == spectra.wavelengths(SIZE, CELL).shape == (SIZE // 2,)
    assert not total.any()


def test_odd_size_is_refused():
    with pytest.raises(ValueError, match='even'):
        spectra.windows(np.ones((9, 9), bool), np.ones((9, 9), bool), 5)


def test_white_noise_is_flat():
    field = np.random.default_rng(0).normal(0, 3, (1024, 1024))
    origins = everywhere(field.shape)
    k = np.arange(-SIZE // 2, SIZE // 2)
    modes = np.bincount(np.round(np.hypot(*np.meshgrid(k, k))).astype(int).ravel())[1 : SIZE // 2 + 1]
    by_mode = power(field, origins) / len(origins) / modes
    np.testing.assert_allclose(by_mode[1:-1], 9 / SIZE**2, rtol=0.06)


@pytest.mark.parametrize('cycles', [3, 8, 14])
def test_plane_wave_lands_in_its_own_ring(cycles):
    x = np.arange(2 * SIZE)
    field = 100 + np.broadcast_to(5 * np.sin(2 * np.pi * cycles * x / SIZE + 0.7), (2 * SIZE, 2 * SIZE))
    origins = everywhere(field.shape)
    for orientation in (field, field.T):
        total = power(orientation, origins)
        share = total / len(origins) / (25 / 2)
        assert share.sum() == pytest.approx(1, rel=1e-9)  # Parseval: the wave's variance is a^2/2
        assert share[cycles - 1] == pytest.approx(2 / 3, abs=0.01)
        assert spectra.wavelengths(SIZE, CELL)[np.argmax(total)] == pytest.approx(SIZE * CELL / cycles)


def test_parseval_under_the_taper():
    field = np.random.default_rng(1).normal(size=(SIZE, SIZE))
    smooth = sum(np.roll(field, (i, j), (0, 1)) for i in range(-3, 4) for j in range(-3, 4)) / 7  # no corner modes
    taper = np.outer(*[np.sin(np.pi * (np.arange(SIZE) + 0.5) / SIZE) ** 2] * 2)
    smooth -= np.sum(taper * smooth) / taper.sum()
    expected = np.sum((taper * smooth) ** 2) / np.sum(taper**2)
    total = power(smooth, np.zeros((1, 2), int))
    assert total.sum() == pytest.approx(expected, rel=0.01)


def test_mean_level_does_not_matter():
    field = np.random.default_rng(2).normal(size=(64, 64)).cumsum(0).cumsum(1)
    origins = everywhere(field.shape)
    first, second = (power(f, origins) for f in (field, field + 1e4))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_power_goes_with_the_amplitude_squared():
    field = np.random.default_rng(3).normal(size=(64, 64)).astype(np.float32)
    origins = everywhere(field.shape)
    np.testing.assert_allclose(power(3 * field, origins), 9 * power(field, origins), rtol=1e-5)


def test_windows_add_up():
    field = np.random.default_rng(4).normal(size=(96, 64))
    origins = np.array([[0, 16], [40, 32], [64, 0]])
    np.testing.assert_allclose(power(field, origins), sum(power(field, one[None]) for one in origins))


def test_coefficients_of_a_difference():
    first, second = np.random.default_rng(5).normal(size=(2, 64, 64))
    origins = everywhere(first.shape)
    a, b, c = (spectra.transform(field, origins, SIZE) for field in (first, second, first - second))
    np.testing.assert_allclose(spectra.power(a - b), spectra.power(c))


def test_missing_value_in_a_window_is_an_error():
    field = np.ones((64, 64))
    field[40, 40] = np.nan
    with pytest.raises(ValueError, match='not finite'):
        power(field, everywhere(field.shape))
