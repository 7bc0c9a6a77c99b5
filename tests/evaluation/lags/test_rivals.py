"""Rivals: chance and constants by hand, and a classifier of features whose posterior is known."""

import numpy as np
import pytest

from downscale_jax.evaluation.lags import rivals
from downscale_jax.evaluation.lags.scores import by_pair

RNG = np.random.default_rng(0)


def test_chance_is_the_score_of_random_predictions():
    lag = np.array([0, 3, 6])
    found = rivals.chance(lag, 7)
    np.testing.assert_allclose(found['accuracy'], 1 / 7)
    np.testing.assert_allclose(found['top3'], 3 / 7)
    np.testing.assert_allclose(found['cross_entropy'], np.log(7))
    np.testing.assert_allclose(found['lag_error'], [21 / 7, 12 / 7, 21 / 7])
    drawn = np.array([by_pair(RNG.dirichlet(np.ones(7), 3), lag)['lag_error'] for _ in range(20_000)]).mean(0)
    np.testing.assert_allclose(drawn, found['lag_error'], rtol=0.02)


def test_constant():
    found = rivals.constant(np.arange(5), 1, 5)
    np.testing.assert_array_equal(found['accuracy'], [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found['top3'], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found['lag_error'], [1, 0, 1, 2, 3])
    assert 'cross_entropy' not in found
    np.testing.assert_array_equal(rivals.constant(np.arange(5), 4, 5)['top3'], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(rivals.constant(np.arange(2), 0, 2)['top3'], [1, 1])


def gaussian(count, classes=4):
    """One feature, normal around the class with deviation 1/2: its posterior is quadratic at most."""
    lag = RNG.integers(0, classes, count)
    return lag[:, None] + 0.5 * RNG.normal(size=(count, 1)), lag


def test_the_classifier_finds_the_posterior(monkeypatch):
    features, lag = gaussian(20_000)
    penalised = rivals.fit(features, lag, 4)
    monkeypatch.setattr(rivals, 'PENALTY', 1e-6)  # so sharp a posterior takes weights that a penalty shrinks
    found = rivals.fit(features, lag, 4)
    x = np.linspace(-0.5, 3.5, 21)[:, None]
    density = np.exp(-0.5 * ((x - np.arange(4)) / 0.5) ** 2)
    np.testing.assert_allclose(found.probabilities(x), density / density.sum(1, keepdims=True), atol=0.03)
    scores = by_pair(found.probabilities(features), lag)
    exact = np.exp(-0.5 * ((features - np.arange(4)) / 0.5) ** 2)
    best = by_pair(exact / exact.sum(1, keepdims=True), lag)
    assert scores['cross_entropy'].mean() < best['cross_entropy'].mean() + 0.005
    scores = by_pair(penalised.probabilities(features), lag)
    assert scores['cross_entropy'].mean() < best['cross_entropy'].mean() + 0.01


def objective(weights, terms, truth):
    """Mean cross-entropy plus PENALTY times the squares of all weights [T, K] but the constants, and its gradient."""
    logits = terms @ weights
    log_probabilities = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    penalised = np.concatenate([np.zeros_like(weights[:1]), weights[1:]])
    value = -(log_probabilities * truth).sum(1).mean() + rivals.PENALTY * np.square(penalised).sum()
    return value, terms.T @ (np.exp(log_probabilities) - truth) / len(terms) + 2 * rivals.PENALTY * penalised


def correlated(count, classes):
    """Features that follow each other closely: the hardest to fit."""
    lag = RNG.integers(0, classes, count)
    shared = np.log(1 - np.exp(-(lag + 1) / 4)) + 0.3 * RNG.normal(size=count)
    return shared[:, None] * [1, 1, -1, -0.5] + 0.1 * RNG.normal(size=(count, 4)), lag


@pytest.mark.parametrize('classes', [12, 2])
def test_the_minimum_is_reached(classes):
    features, lag = correlated(600, classes)
    found = rivals.fit(features, lag, classes)
    x = (features - features.mean(0)) / features.std(0)
    i, j = np.triu_indices(4)
    terms = np.concatenate([np.ones((600, 1)), x, x[:, i] * x[:, j]], 1)
    truth = np.eye(classes)[lag]
    own = found.probabilities(features)
    # weights from the probabilities: the penalised minimum sums to zero over classes
    logits = np.log(own)
    weights = np.linalg.lstsq(terms, logits - logits.mean(1, keepdims=True), rcond=None)[0]
    value, gradient = objective(weights, terms, truth)
    assert np.abs(gradient).max() < 1.01 * rivals.GRADIENT
    assert value == pytest.approx(-np.log(own[np.arange(600), lag]).mean() + 1e-4 * np.square(weights[1:]).sum())
    start, slope = objective(np.zeros_like(weights), terms, truth)
    assert start == pytest.approx(np.log(classes))
    # the gradient is that of the value: otherwise its zero would not be the minimum
    step = RNG.normal(size=slope.shape)
    ends = [objective(weights + h * step, terms, truth) for h in (0.1 - 1e-5, 0.1 + 1e-5)]
    middle = objective(weights + 0.1 * step, terms, truth)[1]
    assert (ends[1][0] - ends[0][0]) / 2e-5 == pytest.approx((middle * step).sum(), rel=1e-5)


@pytest.mark.parametrize('present', [(1,), (1, 3), (0, 1, 3)])
def test_lags_without_a_training_pair_have_probability_zero(present):
    lag = np.resize(present, 300)
    features = lag[:, None] + RNG.normal(size=(300, 1))
    found = rivals.fit(features, lag, 5).probabilities(features)
    assert found.shape == (300, 5)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found[:, list(present)] > 0).all()
    np.testing.assert_array_equal(np.delete(found, present, 1), 0)


def test_products_of_features_are_used():
    features = RNG.normal(size=(4000, 2))
    lag = (features[:, 0] * features[:, 1] > 0).astype(int)  # no plane separates these
    found = rivals.fit(features[:2000], lag[:2000], 2)
    assert by_pair(found.probabilities(features[2000:]), lag[2000:])['accuracy'].mean() > 0.97


def test_features_without_information_give_the_frequencies():
    lag = np.repeat(np.arange(3), [100, 300, 600])
    found = rivals.fit(np.ones((1000, 2)), lag, 3)  # constant: no division by zero
    np.testing.assert_allclose(found.probabilities(np.ones((1, 2))), [[0.1, 0.3, 0.6]], atol=1e-3)
