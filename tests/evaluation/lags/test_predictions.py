"""Predictions and distances of pairs of patches, against closed forms and scikit-image."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from downscale_jax.evaluation.lags import predictions
from downscale_jax.evaluation.lags.predictions import Network, predict
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Encoder, Tail
from downscale_jax.tasks.lags import Lags
from downscale_jax.training.optimizer import Phase

RNG = np.random.default_rng(0)
TASK = Lags(Encoder((4, 6, 8), blocks=1, stem=3, pool=False), Tail(5, 8), (Phase('main', 1, 0.1),))


def patches(count=3, size=32):
    return RNG.normal(size=(count, size, size, 2)).astype('f4')


def test_features():
    a, noise = patches(200), patches(200)
    b = 0.6 * a + 0.8 * noise + 5  # correlation 0.6; squared error (0.4^2 + 0.8^2) + 25
    found = predictions.features(a, b)
    assert found.shape == (200, 4)
    np.testing.assert_allclose(np.exp(found[:, :2]).mean(0), 0.8 + 25, rtol=0.01)
    np.testing.assert_allclose(np.tanh(found[:, 2:]).mean(0), 0.6, atol=0.01)
    np.testing.assert_allclose(np.tanh(found[3, 2]), np.corrcoef(a[3, ..., 0].ravel(), b[3, ..., 0].ravel())[0, 1])
    assert np.isfinite(predictions.features(a, a)).all()
    assert np.isfinite(predictions.features(0 * a, 0 * a)).all()


def test_pixel_distances():
    a, b = patches(), patches()
    found = predictions.pixel_distances(a, b, 8.0)
    assert list(found) == ['MSE', 'L1', '1/PSNR', '1 - SSIM']
    np.testing.assert_allclose(found['MSE'], [np.mean((x - y) ** 2) for x, y in zip(a, b, strict=True)], rtol=1e-5)
    np.testing.assert_allclose(found['L1'], [np.mean(np.abs(x - y)) for x, y in zip(a, b, strict=True)], rtol=1e-5)
    expected = [1 / peak_signal_noise_ratio(x, y, data_range=8.0) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found['1/PSNR'], expected, rtol=1e-5)
    similar = [
        structural_similarity(x, y, data_range=8.0, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found['1 - SSIM'], 1 - np.array(similar), rtol=1e-4)
    for distance in predictions.pixel_distances(a, a, 8.0).values():
        np.testing.assert_allclose(distance, 0, atol=1e-12)
    assert '1 - SSIM' not in predictions.pixel_distances(a[:, :8, :8], b[:, :8, :8], 8.0)  # no whole window


TRANSFORM = Standardisation(('a', 'b'), ('1', '1'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (0.2, 0.2))


class Prepared(SimpleNamespace):
    def transform_as(self, kind):
        assert kind is Standardisation
        return TRANSFORM


@pytest.fixture(scope='module')
def records():
    return [
        {'first': a, 'second': b, 'lag': np.int64(1 + i % 5), 'time': np.int64(100 * i), 'row': i, 'column': 2 * i}
        for i, (a, b) in enumerate(zip(patches(70), patches(70), strict=True))
    ]


@pytest.fixture(scope='module')
def variables():
    key = jax.random.key(0, impl='unsafe_rbg')
    return jax.jit(TASK.network.init)(key, *2 * [np.zeros((1, 32, 32, 2), 'f4')])


@pytest.fixture(scope='module')
def apply():
    return predictions.applied(TASK)


def test_a_network_by_hand(variables, apply):
    a, b = patches(4), patches(4)
    probabilities, distances = apply(variables, a, b)
    logits = np.asarray(jax.jit(TASK.network.apply)(variables, a, b), np.float64)
    assert probabilities.shape == (4, 5)
    np.testing.assert_allclose(np.sum(probabilities, 1), 1, rtol=1e-5)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rtol=1e-4)
    embed = jax.jit(TASK.embed, static_argnums=2)
    for found, stage, shape in zip(distances, (3, 2), ((4, 4, 8), (8, 8, 6)), strict=True):
        codes = [np.asarray(embed(variables, x, stage)) for x in (a, b)]
        assert codes[0].shape == (4, *shape)
        np.testing.assert_allclose(found, np.square(codes[0] - codes[1]).mean((1, 2, 3)), rtol=1e-4)
        assert (np.asarray(found) > 0).all()


def test_a_distance_is_symmetric_and_zero_between_equal_patches(variables, apply):
    a, b = patches(4), patches(4)
    for forward, back, same in zip(*(apply(variables, *pair)[1] for pair in ((a, b), (b, a), (a, a))), strict=True):
        np.testing.assert_allclose(back, forward, rtol=1e-5)
        np.testing.assert_array_equal(same, 0)


def test_a_pair_does_not_depend_on_its_batch(variables, apply):
    a, b = patches(4), patches(4)
    for whole, part in zip(*(jax.tree.leaves(apply(variables, a[:n], b[:n])) for n in (4, 2)), strict=True):
        np.testing.assert_allclose(part, whole[:2], rtol=1e-4, atol=1e-6)


def test_predictions_are_those_of_the_network(records, variables, apply):
    chosen = list(range(0, 70, 1))  # more than a batch
    found = predict({'net': Network(TASK, variables)}, Prepared(), records, chosen, 8.0)
    np.testing.assert_array_equal(found.lag, np.arange(70) % 5)
    np.testing.assert_array_equal(found.seconds, 100 * np.arange(70))
    np.testing.assert_array_equal(found.column, 2 * np.arange(70))
    a, b = (TRANSFORM.encode(np.stack([r[name] for r in records])) for name in ('first', 'second'))
    probabilities, distances = apply(variables, a, b)
    np.testing.assert_allclose(found.probabilities['net'], probabilities, rtol=1e-4, atol=1e-6)
    for name, expected in zip(('net', 'net, stage 2'), distances, strict=True):
        np.testing.assert_allclose(found.distances[name], expected, rtol=1e-3)
    np.testing.assert_allclose(found.features, predictions.features(a, b))
    np.testing.assert_allclose(found.distances['MSE'], predictions.pixel_distances(a, b, 8.0)['MSE'])


def test_without_networks_only_what_a_classifier_needs(records):
    found = predict({}, Prepared(), records, [3, 5])
    assert found.distances == found.probabilities == {}
    np.testing.assert_array_equal(found.lag, [3, 0])


def test_value_range(records):
    shown = TRANSFORM.encode(np.stack([records[i]['first'] for i in (4, 9)]))
    assert predictions.value_range(Prepared(), records, [4, 9]) == pytest.approx(np.ptp(shown))
