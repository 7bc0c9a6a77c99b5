"""Features of hand-computed shapes, rivals, and scores of properties."""

import numpy as np
import pytest

from downscale_jax.evaluation.crystals import rivals, scores
from downscale_jax.evaluation.crystals.features import NAMES, features
from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.runtime.errors import UserError


def named(image):
    return dict(zip(NAMES, features(image[None, ..., None])[0], strict=True))


def test_features_of_a_rectangle():
    image = np.zeros((100, 100))
    image[40:60, 20:80] = 1  # 60 x 20; the contour cuts a corner of half a pixel
    found = named(image)
    area, perimeter = 0.6 * 0.2, 2 * (0.6 + 0.2)
    circle = np.pi * (0.6**2 + 0.2**2) / 4
    assert found['aspect_ratio'] == pytest.approx(1 / 3, rel=0.01)
    assert found['elliptical_aspect_ratio'] == pytest.approx(1 / 3, rel=1e-6)
    assert found['contour_area'] == pytest.approx(area, rel=0.01)
    assert found['area_ratio'] == pytest.approx(area / circle, rel=0.01)
    assert found['circularity'] == pytest.approx(4 * np.pi * area / perimeter**2, rel=0.02)
    complexity = 10 * (0.1 - area / (np.sqrt(area / circle) * perimeter**2))
    assert found['complexity'] == pytest.approx(complexity, abs=0.01)


def test_features_of_a_disc_and_of_a_square_on_a_corner():
    y, x = np.indices((200, 200)) - 99.5
    disc = named(np.clip(80.5 - np.hypot(y, x), 0, 1))
    for name in ('aspect_ratio', 'elliptical_aspect_ratio', 'area_ratio', 'circularity'):
        assert disc[name] == pytest.approx(1, abs=0.02)
    assert disc['complexity'] == pytest.approx(10 * (0.1 - 1 / (4 * np.pi)), abs=0.02)
    # extreme points (+-r, 0), (0, +-r): the mean square of 8 coordinates is 4 r^2 / 8
    assert disc['extreme_points'] == pytest.approx(0.4 / np.sqrt(2), rel=0.02)
    square = named(np.clip(80.5 - np.abs(y) - np.abs(x), 0, 1))
    assert square['aspect_ratio'] == pytest.approx(1, abs=0.01)
    assert square['area_ratio'] == pytest.approx(2 / np.pi, rel=0.02)


def test_features_of_views_and_of_nothing():
    image = np.zeros((1, 16, 16, 2))
    image[:, 4:12, 4:12] = 1
    found = features(image)
    assert found.shape == (1, 14)
    np.testing.assert_array_equal(found[:, :7], found[:, 7:])
    image[..., 1] = 0
    with pytest.raises(UserError, match='image 0 has an empty silhouette'):
        features(image)


def test_rivals_learn_what_features_tell():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    numbers = np.stack([x[:, 0] + 1, 2 * x[:, 1]], -1)
    label = (x[:, 2] > 0).astype(int)
    fitted = rivals.fit(x, numbers, label, 20, 0)
    linear, forest, mean = (fitted[name](x) for name in (rivals.LINEAR, rivals.FOREST, rivals.MEAN))
    np.testing.assert_allclose(linear.numbers, numbers, atol=1e-9)
    assert (linear.label == label).mean() > 0.98
    assert np.corrcoef(forest.numbers[:, 0], numbers[:, 0])[0, 1] > 0.9
    np.testing.assert_allclose(mean.numbers, np.broadcast_to(numbers.mean(0), numbers.shape))


def test_scores_are_those_of_all_images_pooled():
    rng = np.random.default_rng(0)
    group, label = np.repeat(np.arange(60), 5), np.repeat(np.arange(60) % 3, 5)
    truth = Answer(rng.normal(size=(300, 2)), label)
    answer = Answer(truth.numbers + 0.3 * rng.normal(size=(300, 2)), np.where(rng.random(300) < 0.7, label, 0))
    crystals = scores.by_crystal(answer, truth, group, 3)
    found = scores.scores(crystals, ('ln_effective_density', 'ln_effective_surface'))
    error = np.square(answer.numbers - truth.numbers).mean(0)
    for k, name in enumerate(('density', 'surface')):
        assert found[f'r2_{name}'][0] == pytest.approx(1 - error[k] / truth.numbers[:, k].var())
        physical = np.exp(answer.numbers[:, k]) - np.exp(truth.numbers[:, k])
        assert found[f'rmse_{name}'][0] == pytest.approx(np.sqrt(np.square(physical).mean()))
    recall = [(answer.label[label == k] == k).mean() for k in range(3)]
    value, low, high = found['balanced_accuracy']
    assert value == pytest.approx(np.mean(recall))
    assert low < value < high
    rows = scores.by_class(crystals, np.arange(60) % 3, ('a', 'b', 'c'))
    assert rows['b'][2][0] == pytest.approx(recall[1])
    perfect = scores.scores(scores.by_crystal(truth, truth, group, 3), ('ln_effective_density', 'ln_effective_surface'))
    np.testing.assert_allclose(perfect['balanced_accuracy'], 1)
    np.testing.assert_allclose(perfect['r2_density'], 1)
