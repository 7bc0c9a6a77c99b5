import math

import jax
import numpy as np
import pytest

from downscale_jax.diffusion.schedule import CosineSchedule, clean, error_weight, expected, noisy

PREDICTIONS = ('eps', 'v', 'x0')


def fields(seed=0, batch=16):
    """y, noise [B, 4, 4, 2] and gamma [B] of the default schedule."""
    rng = np.random.default_rng(seed)
    y, noise = rng.normal(size=(2, batch, 4, 4, 2)).astype('f4')
    return 3 * y, noise, np.asarray(CosineSchedule().gamma(rng.random(batch).astype('f4')))


def test_hand_computed():
    # at 60 degrees: cos = 1/2, sin = sqrt(3)/2
    y, noise, gamma = np.full((1, 1, 1, 1), 2.0), np.full((1, 1, 1, 1), 4.0), np.array([math.pi / 3])
    assert noisy(y, noise, gamma).item() == pytest.approx(1 + 2 * math.sqrt(3))
    assert expected(y, noise, gamma, 'v').item() == pytest.approx(2 - math.sqrt(3))
    assert (expected(y, noise, gamma, 'eps').item(), expected(y, noise, gamma, 'x0').item()) == (4, 2)
    assert error_weight(gamma, 'v', 'eps').item() == pytest.approx(1 / 4)
    assert error_weight(gamma, 'v', 'x0').item() == pytest.approx(3 / 4)
    assert error_weight(gamma, 'eps', 'x0').item() == pytest.approx(3)


@pytest.mark.parametrize('rates', [(0.9995, 0.01), (0.95, 0.02)])
def test_limits(rates):
    schedule = CosineSchedule(rates)
    gamma = np.asarray(schedule.gamma(np.linspace(0, 1, 11, dtype='f4')))
    np.testing.assert_allclose(np.cos(gamma[[0, -1]]), rates, rtol=1e-4)
    np.testing.assert_allclose(np.diff(gamma), (math.acos(rates[1]) - math.acos(rates[0])) / 10, rtol=1e-5)


def test_published_limits():
    found = CosineSchedule((0.95, 0.02)).gamma(np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [0.3176, 1.5508], atol=5e-5)


def test_levels_that_a_network_is_shown():
    gamma = np.array([0.0, math.pi / 6, math.pi / 2], 'f4')
    np.testing.assert_allclose(CosineSchedule().level(gamma), [0, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(CosineSchedule(shown='variance').level(gamma), [0, 1 / 4, 1], rtol=1e-6)


@pytest.mark.parametrize('prediction', PREDICTIONS)
def test_clean_inverts(prediction):
    @jax.jit
    def round_trip(y, noise, gamma):
        return clean(expected(y, noise, gamma, prediction), noisy(y, noise, gamma), gamma, prediction)

    for seed in range(10):
        y, noise, gamma = fields(seed)
        # eps divides by the signal rate, 0.01 at the least: rounding grows by a hundred
        np.testing.assert_allclose(
            round_trip(y, noise, gamma), y, atol=1e-3 if prediction == 'eps' else 5e-6, rtol=1e-6
        )


def test_an_error_weighs_the_same_in_every_prediction():
    y, noise, gamma = (a.astype('f8') for a in fields(batch=64))
    angle = gamma[:, None, None, None]
    guess = y + 0.1 * noise**2  # of x0
    with jax.enable_x64(True):
        z = np.asarray(noisy(y, noise, gamma))
        eps = (z - np.cos(angle) * guess) / np.sin(angle)  # equivalent to the guess
        outputs = {'x0': guess, 'eps': eps, 'v': np.cos(angle) * eps - np.sin(angle) * guess}
        errors = {p: np.square(outputs[p] - expected(y, noise, gamma, p)).mean((1, 2, 3)) for p in PREDICTIONS}
        for prediction in PREDICTIONS:
            np.testing.assert_allclose(clean(outputs[prediction], z, gamma, prediction), guess, atol=1e-9)
            for weighting in PREDICTIONS:
                weighted = error_weight(gamma, prediction, weighting) * errors[prediction]
                np.testing.assert_allclose(weighted, errors[weighting], rtol=1e-9)


def test_variance_is_kept():
    y, noise = np.random.default_rng(0).normal(size=(2, 8, 64, 64, 1)).astype('f4')
    gamma = CosineSchedule().gamma(np.linspace(0, 1, 8, dtype='f4'))
    for mixed in (noisy(y, noise, gamma), expected(y, noise, gamma, 'v')):
        np.testing.assert_allclose(np.var(mixed, (1, 2, 3)), 1, atol=0.08)
