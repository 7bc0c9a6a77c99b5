import json

import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.fields.transforms.pairs import PairTransform, condition_channels
from downscale_jax.fields.transforms.standardisation import Standardisation


@pytest.fixture
def transform():
    predictors = Standardisation(
        ('t2m', 'u_850'), ('K', 'm s-1'), (280.0, 2.0), (10.0, 4.0), (0.0, 0.0), (1.0, 1.0), 0.0
    )
    values = Standardisation(
        ('t2m', 'tp'), ('K', 'mm day-1'), (285.0, 0.0), (5.0, 1.0), (0.0, 1.0), (1.0, 0.5), (0.0, 1.0)
    )
    return PairTransform(
        predictors=predictors,
        values=values,
        sources=(0, None),
        bounds=((-np.inf, np.inf), (0.0, np.inf)),
        context=('season', 'topography'),
        context_mean=(0.0, 0.0, 500.0),
        context_std=(1.0, 1.0, 250.0),
    )


@pytest.fixture
def lifted(transform):
    rng = np.random.default_rng(0)
    predictors = np.stack([rng.normal(280, 10, (4, 5)), rng.normal(2, 4, (4, 5))], -1).astype(np.float32)
    planes = np.stack([np.full((4, 5), v) for v in (0.6, 0.8, 750.0)], -1).astype(np.float32)
    warm, windy = (predictors[..., 0] - 280) / 10, (predictors[..., 1] - 2) / 4
    linear = np.stack([286 + 9 * warm, 1 + 2 * windy], -1)
    return transform.lift(predictors, planes, linear, np.full((4, 5, 2), 0.5, np.float32))


def test_channels_of_a_lifted_field(transform, lifted):
    layout = transform.lifted
    assert lifted.shape == (4, 5, layout.channels)
    assert layout.channels == 2 + 3 + 2 + 2
    wind = (lifted[..., layout.predictors][..., 1] - 2) / 4
    np.testing.assert_allclose(lifted[..., layout.linear][..., 1], np.maximum(1 + 2 * wind, 0), atol=1e-5)


def test_decoding_is_the_inverse_of_encoding(transform, lifted):
    fine = np.random.default_rng(1).gamma(2.0, 3.0, (4, 5, 2)).astype(np.float32)
    fine[..., 0] += 280
    np.testing.assert_allclose(transform.decode(transform.encode(fine, lifted), lifted), fine, rtol=1e-4, atol=1e-4)


def test_the_linear_prediction_is_encoded_as_zero(transform, lifted):
    linear = lifted[..., transform.lifted.linear]
    np.testing.assert_allclose(transform.encode(linear, lifted), 0, atol=1e-5)


def test_target_is_in_standard_deviations_of_the_residual(transform, lifted):
    warmer = lifted[..., transform.lifted.linear] + np.float32([5, 0])  # one standard deviation of t2m
    np.testing.assert_allclose(transform.encode(warmer, lifted)[..., 0], 1 / 0.5, rtol=1e-4)


def test_coarse_field_is_the_own_predictor_or_the_linear_prediction(transform, lifted):
    coarse = transform.coarse(lifted)
    np.testing.assert_array_equal(coarse[..., 0], lifted[..., 0])
    np.testing.assert_array_equal(coarse[..., 1], lifted[..., transform.lifted.linear][..., 1])


def test_condition_is_normalised_and_zero_where_missing(transform, lifted):
    lifted[0, 0, 0] = np.nan
    mask = transform.known(lifted)
    condition = transform.condition(lifted, mask)
    assert condition.shape[-1] == condition_channels(2, 2, transform.context)
    assert not mask[0, 0, 0]
    assert mask.sum() == 19
    assert (condition[0, 0] == 0).all()
    np.testing.assert_allclose(condition[1, 1, 0], (lifted[1, 1, 0] - 280) / 10, rtol=1e-4)
    np.testing.assert_allclose(condition[1, 1, 6], (750 - 500) / 250)  # topography, after the season
    assert condition[1, 1, -1] == 1


def test_jax_and_numpy_agree(transform, lifted):
    mask = transform.known(lifted)
    fine = lifted[..., transform.lifted.linear] + 1
    for own, other in (
        (transform.condition(lifted, mask), transform.condition(jnp.asarray(lifted), jnp.asarray(mask))),
        (transform.encode(fine, lifted), transform.encode(jnp.asarray(fine), jnp.asarray(lifted))),
        (transform.decode(fine / 300, lifted), transform.decode(jnp.asarray(fine / 300), jnp.asarray(lifted))),
    ):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=2e-5)


def test_json_keeps_everything(transform):
    assert PairTransform.from_json(json.loads(json.dumps(transform.to_json()))) == transform
