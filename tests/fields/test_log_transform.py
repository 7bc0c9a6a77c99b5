"""The two-stage transform: closed form, inverse, and statistics fitted to a stream."""

import json

import numpy as np
import pytest

from downscale_jax.fields.log_transform import LogTransform, fit

RNG = np.random.default_rng(0)
HEAVY = (1e-5 * RNG.standard_t(3, (40, 12, 16, 2)) * [1, 5] + [2e-6, -1e-6]).astype(np.float32)
NAMES, UNITS = ('vorticity', 'divergence'), ('s-1', 's-1')


def test_closed_form():
    transform = LogTransform(('x',), ('1',), (1.0,), (2.0,), (0.1,), (0.5,))
    # z = (11 - 1)/2 = 5, y = ln(1 + 0.2 * 5) = ln 2; then (ln 2 - 0.1)/0.5
    found = transform.encode(np.array([[11.0], [-9.0], [1.0]]))
    np.testing.assert_allclose(found[:, 0], [(np.log(2) - 0.1) / 0.5, (-np.log(2) - 0.1) / 0.5, -0.2], rtol=1e-6)
    assert found.dtype == np.float32
    # the ERA5 values of the paper: a vorticity of mean + 5 sigma
    paper = LogTransform(('vo',), ('s-1',), (2.055e-7,), (5.082e-5,), (3.25e-4,), (0.1604,))
    found = paper.encode(np.array([2.055e-7 + 5 * 5.082e-5]))
    np.testing.assert_allclose(found, (np.log(2) - 3.25e-4) / 0.1604, rtol=1e-6)


def test_decode_is_the_inverse():
    transform = fit(lambda: [HEAVY], NAMES, UNITS)
    encoded = transform.encode(HEAVY)
    np.testing.assert_allclose(transform.decode(encoded), HEAVY, rtol=1e-4, atol=1e-10)
    assert (np.sign(np.diff(encoded[0, 0, :, 0])) == np.sign(np.diff(HEAVY[0, 0, :, 0]))).all()  # order is kept


def test_a_stream_gives_the_statistics_of_the_whole():
    passes = []

    def fields():
        passes.append(0)
        for one in HEAVY:
            passes[-1] += 1
            yield one

    found = fit(fields, NAMES, UNITS)
    assert passes == [40, 40]  # two passes, one field at a time
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
    found = fit(lambda: [holes], NAMES, UNITS)
    assert found == fit(lambda: [holes[:, 3:]], NAMES, UNITS)
    encoded = found.encode(holes)
    assert np.isnan(encoded[:, :3]).all()
    assert np.isfinite(encoded[:, 3:]).all()


def test_json():
    found = fit(lambda: [HEAVY], NAMES, UNITS)
    assert LogTransform.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize('constant', [0.0, 3.0])
def test_a_constant_field_becomes_zero(constant):
    found = fit(lambda: [np.full((4, 5, 1), constant, np.float32)], ('x',), ('1',))
    np.testing.assert_allclose(found.encode(np.full((4, 5, 1), constant)), 0, atol=1e-6)
