"""The two-stage transform: closed form, inverse, and statistics fitted to a stream."""

import json

import jax
import numpy as np
import pytest

from downscale_jax.fields.transforms.moments import channel_moments
from downscale_jax.fields.transforms.standardisation import Standardisation, fit

RNG = np.random.default_rng(0)
HEAVY = (1e-5 * RNG.standard_t(3, (40, 12, 16, 2)) * [1, 5] + [2e-6, -1e-6]).astype(np.float32)
NAMES, UNITS = ('vorticity', 'divergence'), ('s-1', 's-1')


def moments_over(fields):
    """Moments of each channel of any function of these fields [..., C], one in memory at a time."""
    return lambda function: channel_moments(map(function, fields), fields[0].shape[-1])


def test_closed_form():
    transform = Standardisation(('x',), ('1',), (1.0,), (2.0,), (0.1,), (0.5,))
    # z = (11 - 1)/2 = 5, y = ln(1 + 0.2 * 5) = ln 2; then (ln 2 - 0.1)/0.5
    found = transform.encode(np.array([[11.0], [-9.0], [1.0]]))
    np.testing.assert_allclose(found[:, 0], [(np.log(2) - 0.1) / 0.5, (-np.log(2) - 0.1) / 0.5, -0.2], rtol=1e-6)
    assert found.dtype == np.float32
    # the ERA5 values of the paper: a vorticity of mean + 5 sigma
    paper = Standardisation(('vo',), ('s-1',), (2.055e-7,), (5.082e-5,), (3.25e-4,), (0.1604,))
    found = paper.encode(np.array([2.055e-7 + 5 * 5.082e-5]))
    np.testing.assert_allclose(found, (np.log(2) - 3.25e-4) / 0.1604, rtol=1e-6)


def test_decode_is_the_inverse():
    transform = fit(moments_over([HEAVY]), NAMES, UNITS)
    encoded = transform.encode(HEAVY)
    np.testing.assert_allclose(transform.decode(encoded), HEAVY, rtol=1e-4, atol=1e-10)
    assert (np.sign(np.diff(encoded[0, 0, :, 0])) == np.sign(np.diff(HEAVY[0, 0, :, 0]))).all()  # order is kept


def test_a_stream_gives_the_statistics_of_the_whole():
    found = fit(moments_over(HEAVY), NAMES, UNITS)
    x = HEAVY.astype(np.float64).reshape(-1, 2)
    z = (x - x.mean(0)) / x.std(0)
    y = np.sign(z) * np.log(1 + 0.2 * np.abs(z))
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.std, x.std(0), rtol=1e-6)
    np.testing.assert_allclose(found.log_mean, y.mean(0), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(found.log_std, y.std(0), rtol=1e-6)
    encoded = found.encode(HEAVY).reshape(-1, 2)
    np.testing.assert_allclose(encoded.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(encoded.std(0), 1, rtol=1e-4)


def test_missing_values_take_no_part_and_stay():
    holes = HEAVY.copy()
    holes[:, :3] = np.nan
    found = fit(moments_over([holes]), NAMES, UNITS)
    assert found == fit(moments_over([holes[:, 3:]]), NAMES, UNITS)
    encoded = found.encode(holes)
    assert np.isnan(encoded[:, :3]).all()
    assert np.isfinite(encoded[:, 3:]).all()


def test_json():
    found = fit(moments_over([HEAVY]), NAMES, UNITS)
    assert Standardisation.from_json(json.loads(json.dumps(found.to_json()))) == found


RAIN = np.maximum(RNG.normal(size=(40, 12, 16, 1)), 0) ** 3 * 20  # mm, half of it none


def test_rain():
    """ln(1 + x), then standardised: nothing is taken off or divided by before."""
    found = fit(moments_over([RAIN.astype('f4')]), ('tp',), ('mm',), ('log1p',))
    assert (found.mean, found.std, found.compression) == ((0.0,), (1.0,), (1.0,))
    y = np.log1p(RAIN)
    encoded = found.encode(RAIN.astype('f4'))
    np.testing.assert_allclose(encoded, (y - y.mean()) / y.std(), atol=1e-5)
    np.testing.assert_allclose(found.decode(encoded), RAIN, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found.encode(np.array([[0.0], [np.e - 1]]))[:, 0], (np.arange(2) - y.mean()) / y.std(), 1e-5
    )


MIXED = np.concatenate([280 + 10 * RNG.normal(size=RAIN.shape), RAIN, 1e-5 * RNG.standard_t(3, RAIN.shape)], -1).astype(
    'f4'
)
EACH = ('standard', 'log1p', 'log')


def test_a_transform_for_each_variable():
    """Each as if it were alone, in NumPy and in JAX, there and back."""
    names, units = ('t', 'r', 'q'), ('K', 'mm', 's-1')
    found = fit(moments_over(MIXED), names, units, EACH)
    assert found.compression == (0.0, 1.0, 0.2)
    encoded = found.encode(MIXED)
    np.testing.assert_allclose(encoded.mean((0, 1, 2)), 0, atol=2e-4)
    np.testing.assert_allclose(encoded.std((0, 1, 2)), 1, rtol=1e-4)
    for v, name in enumerate(EACH):
        alone = fit(moments_over([MIXED[..., v : v + 1]]), names[v : v + 1], units[v : v + 1], (name,))
        np.testing.assert_allclose(encoded[..., v : v + 1], alone.encode(MIXED[..., v : v + 1]), atol=1e-5)
    decoded = found.decode(encoded)
    assert decoded.dtype == np.float32
    scale = np.array([300, 20, 1e-5])
    np.testing.assert_allclose(decoded / scale, MIXED / scale, rtol=1e-4, atol=2e-6)
    both = jax.jit(lambda x: (found.encode(x), found.decode(found.encode(x))))(MIXED)
    np.testing.assert_allclose(both[0], encoded, atol=1e-4)
    np.testing.assert_allclose(np.asarray(both[1]) / scale, MIXED / scale, rtol=1e-4, atol=2e-5)
    assert Standardisation.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_one_name_is_for_all_variables():
    one, each = (fit(moments_over([HEAVY]), NAMES, UNITS, names) for names in (('log',), ('log', 'log')))
    assert one == each == fit(moments_over([HEAVY]), NAMES, UNITS)
    scores = fit(moments_over([HEAVY]), NAMES, UNITS, ('standard',))
    assert (scores.compression, scores.log_mean, scores.log_std) == ((0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    x = HEAVY.astype('f8').reshape(-1, 2)
    np.testing.assert_allclose(scores.encode(HEAVY).reshape(-1, 2), (x - x.mean(0)) / x.std(0), atol=1e-4)


def test_without_rain_nothing_is_infinite():
    dry = np.zeros((3, 4, 5, 1), 'f4')
    found = fit(moments_over([dry]), ('tp',), ('mm',), ('log1p',))
    np.testing.assert_allclose(found.encode(dry), 0, atol=1e-6)
    np.testing.assert_allclose(found.decode(found.encode(dry)), 0, atol=1e-6)


@pytest.mark.parametrize('constant', [0.0, 3.0])
def test_a_constant_field_becomes_zero(constant):
    found = fit(moments_over([np.full((4, 5, 1), constant, np.float32)]), ('x',), ('1',))
    np.testing.assert_allclose(found.encode(np.full((4, 5, 1), constant)), 0, atol=1e-6)
