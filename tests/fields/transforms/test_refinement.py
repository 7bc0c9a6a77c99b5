import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.fields.transforms.moments import Moments
from downscale_jax.fields.transforms.refinement import RefinementFit, RefinementTransform

TRANSFORM = RefinementTransform(
    target='sit',
    units='m',
    inputs=('sic', 'sit'),
    input_units=('1', 'm'),
    anomaly=True,
    bounds=((0.0, float('inf')),),
    input_mean=(0.5, 2.0),
    input_std=(0.25, 4.0),
    target_mean=0.0,
    target_std=0.5,
)
FULL = replace(TRANSFORM, anomaly=False, target_mean=2.0, target_std=4.0)


def fields(seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 1.0, (3, 4, 5, 1)).astype('f4'), rng.gamma(2.0, 1.0, (3, 4, 5, 2)).astype('f4')


def test_hand_computed():
    coarse = np.array([[0.75, 6.0]], 'f4')
    np.testing.assert_allclose(TRANSFORM.encode(np.array([[7.0]]), coarse), [[2.0]])  # (7 - 6) / 0.5
    np.testing.assert_allclose(FULL.encode(np.array([[7.0]]), coarse), [[1.25]])  # (7 - 2) / 4
    found = TRANSFORM.condition(coarse[None], np.ones((1, 1, 1), bool))
    np.testing.assert_allclose(found, [[[1.0, 1.0, 1.0]]])


@pytest.mark.parametrize('transform', [TRANSFORM, FULL])
def test_decode_inverts_encode(transform):
    fine, coarse = fields()
    np.testing.assert_allclose(transform.decode(transform.encode(fine, coarse), coarse), fine, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('transform', [TRANSFORM, FULL])
def test_numpy_and_jax_agree(transform):
    fine, coarse = fields()
    coarse[0, 0, 0] = np.nan
    mask = np.random.default_rng(1).random((3, 4, 5, 1)) > 0.3
    for name, args in (('encode', (fine, coarse)), ('decode', (fine, coarse)), ('condition', (coarse, mask))):
        host = getattr(transform, name)(*args)
        device = jax.jit(getattr(transform, name))(*map(jnp.asarray, args))
        assert isinstance(host, np.ndarray)
        assert host.dtype == device.dtype == np.float32
        np.testing.assert_allclose(host, device, rtol=1e-6, atol=1e-6)


def test_missing_inputs_are_zero_and_told_by_the_mask():
    coarse = np.array([[[0.75, 6.0], [np.nan, 6.0], [0.75, np.inf], [0.75, 6.0]]], 'f4')
    mask = np.array([True, True, True, False])[None, :, None]
    found = TRANSFORM.condition(coarse, mask)
    np.testing.assert_array_equal(found, [[[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]]])


def test_a_missing_target_stays_missing():
    fine, coarse = np.array([[np.nan], [1.0], [1.0]]), np.array([[1.0, 1.0], [1.0, np.nan], [np.nan, 1.0]])
    np.testing.assert_array_equal(np.isnan(TRANSFORM.encode(fine, coarse)[:, 0]), [True, True, False])
    # without anomaly the coarse field has no part in it
    np.testing.assert_array_equal(np.isnan(FULL.encode(fine, coarse)[:, 0]), [True, False, False])


@pytest.mark.parametrize('transform', [TRANSFORM, replace(FULL, bounds=((0.0, 1.0),))])
def test_json_round_trip(transform):
    assert RefinementTransform.from_json(json.loads(json.dumps(transform.to_json()))) == transform


@pytest.mark.parametrize('anomaly', [True, False])
def test_fit_equals_numpy(anomaly):
    fine, coarse = fields()
    fine = 250 + fine[..., 0]  # far from zero, as a temperature
    fine[0, 0, 0], coarse[1, 1, 1, 1], coarse[2, 0, 0, 0] = np.nan, np.nan, np.inf
    fit = RefinementFit(1, 2, anomaly)
    for chunk in range(3):
        fit.add(fine[chunk], coarse[chunk])
    found = fit.transform(target='sit', units='m', inputs=('sic', 'sit'), input_units=('1', 'm'), bounds=((0.0, 1.0),))
    values = [coarse[..., c][np.isfinite(coarse[..., c])].astype('f8') for c in range(2)]
    np.testing.assert_allclose(found.input_mean, [v.mean() for v in values])
    np.testing.assert_allclose(found.input_std, [v.std() for v in values])
    target = fine - coarse[..., 1] if anomaly else fine
    target = target[np.isfinite(target)].astype('f8')
    assert found.target_std == pytest.approx(target.std())
    assert found.target_mean == (0.0 if anomaly else pytest.approx(target.mean()))
    encoded = found.encode(fine[..., None], coarse)
    assert np.nanstd(encoded) == pytest.approx(1, rel=1e-4)
    assert found.channel == 1


@pytest.mark.parametrize('value', [0.0, 0.1, 187.17459, 271.35, -1e-8])
def test_a_constant_has_the_unit_of_one(value):
    moments = Moments()
    for size in (12345, 23456, 34567):  # sums of squares round: the variance must not be what they leave
        moments.add(np.full(size, value, 'f4'))
    assert moments.mean == pytest.approx(np.float32(value))
    assert moments.std == 1.0


def test_nothing_valid():
    moments = Moments()
    moments.add(np.full(3, np.nan))
    assert (moments.mean, moments.std) == (0.0, 1.0)
