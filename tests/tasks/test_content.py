"""Content losses: alpha and spectra by closed forms, the encoded distance by the encoder itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal.windows import hann

from downscale_jax.models.atmodist import Encoder
from downscale_jax.runtime import parallel
from downscale_jax.tasks.content import (
    SMALLEST_POWER,
    SPECTRAL_WEIGHT,
    Content,
    Learned,
    fit_alpha,
    log_power,
    rings,
    spectral_distance,
    squared_error,
)

ENCODER = Encoder((4, 6), blocks=1, stem=3, pool=False)
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype('f4')


def encoder():
    """Parameters and running averages as they may be after training: none zero or one."""
    shapes = jax.eval_shape(ENCODER.init, jax.random.key(0), normal(1, 8, 8, 2))
    drawn = jax.tree.map(lambda s: normal(*s.shape) / max(1, np.prod(s.shape[:-1])) ** 0.5, shapes)
    return {**drawn, 'batch_stats': jax.tree.map(lambda x: np.abs(x) + np.float32(0.5), drawn['batch_stats'])}


def test_alpha_by_hand():
    # (2 * 3 + 1 * 5) / (4 + 1)
    assert fit_alpha(np.array([2.0, 1.0]), np.array([3.0, 5.0])) == pytest.approx(2.2)
    c, m = np.array([0.1, 0.2, 0.4]), np.array([1.0, 1.3, 1.4])
    assert fit_alpha(c, m) == pytest.approx(np.linalg.lstsq(c[:, None], m)[0][0])


def test_squared_error_by_hand():
    found, truth = np.zeros((2, 2, 1, 2), 'f4'), np.arange(8, dtype='f4').reshape(2, 2, 1, 2)
    np.testing.assert_array_equal(squared_error(found, truth), [(1 + 4 + 9) / 4, (16 + 25 + 36 + 49) / 4])


@pytest.mark.parametrize(('h', 'w'), [(8, 8), (7, 9), (6, 10), (9, 7)])
def test_rings_hold_the_power_of_the_field(h, w):
    field = normal(h, w)
    half, whole = np.fft.rfft2(field, norm='forward'), np.fft.fft2(field, norm='forward')
    found = np.einsum('rhw,hw->r', rings(h, w), np.abs(half) ** 2)
    # cycles on the longer side, of all waves, not only half of them
    side = max(h, w)
    number = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)) * side
    expected = [
        np.sum(np.abs(whole) ** 2, where=(number >= n - 0.5) & (number < n + 0.5)) for n in range(1, side // 2 + 1)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # Parseval: with the mean and the corners, which are in no ring, it is the mean square
    outside = np.sum(np.abs(whole) ** 2, where=(number < 0.5) | (number >= side // 2 + 0.5))
    np.testing.assert_allclose(found.sum() + outside, np.square(field).mean(), rtol=1e-5)


def test_rings_of_one_wave():
    y, x = np.meshgrid(np.arange(8), np.arange(8), indexing='ij')
    for number, wave in ((3, 3 * x), (2, 2 * y), (4, 4 * x)):
        field = np.cos(2 * np.pi * wave / 8)
        power = np.einsum('rhw,hw->r', rings(8, 8), np.abs(np.fft.rfft2(field, norm='forward')) ** 2)
        np.testing.assert_allclose(power, np.where(np.arange(1, 5) == number, np.square(field).mean(), 0), atol=1e-7)


def test_log_power_is_that_behind_a_hann_window():
    fields = normal(3, 8, 10, 2)
    window = np.outer(hann(10)[1:-1], hann(12)[1:-1])[..., None]
    seen = fields * window / np.sqrt(np.mean(window**2))
    power = np.abs(np.fft.rfft2(seen, axes=(1, 2), norm='forward')) ** 2
    expected = np.log(np.einsum('rhw,bhwc->brc', rings(8, 10), power) + SMALLEST_POWER)
    assert expected.shape == (3, 5, 2)
    np.testing.assert_allclose(log_power(fields), expected, rtol=1e-4, atol=1e-4)


def test_spectral_distance():
    distance = jax.jit(spectral_distance)
    fields = 100 * normal(3, 8, 8, 2)
    assert (distance(fields, fields) == 0).all()
    # twice the amplitude is four times the power, in every ring
    np.testing.assert_allclose(distance(2 * fields, fields), np.log(4) ** 2, rtol=1e-4)
    np.testing.assert_allclose(distance(fields, 2 * fields), np.log(4) ** 2, rtol=1e-4)
    one = fields * np.array([2, 1], 'f4')
    np.testing.assert_allclose(distance(one, fields), np.log(4) ** 2 / 2, rtol=1e-4)
    # it knows no place: a field upside down has the same spectrum
    np.testing.assert_allclose(distance(fields[:, ::-1], fields), 0, atol=1e-6)
    # and each example is alone
    mixed = np.concatenate([2 * fields[:1], fields[1:]])
    np.testing.assert_allclose(distance(mixed, fields), [np.log(4) ** 2, 0, 0], atol=1e-3)


def test_gradients_are_finite_where_fields_are_zero():
    zero, truth = np.zeros((2, 8, 8, 1), 'f4'), normal(2, 8, 8, 1)
    gradient = jax.jit(jax.grad(lambda x, other: Content('spectral')(None, x, other).sum()))
    for found, other in ((zero, truth), (zero, zero), (truth, truth)):
        assert np.isfinite(gradient(found, other)).all()


def test_content_without_an_encoder():
    found, truth = normal(3, 8, 8, 2), normal(3, 8, 8, 2)
    error = np.square(found - truth).mean((1, 2, 3))
    np.testing.assert_allclose(Content('mse')(None, found, truth), error, rtol=1e-5)
    expected = error + SPECTRAL_WEIGHT * spectral_distance(found, truth)
    np.testing.assert_allclose(Content('spectral')(None, found, truth), expected, rtol=1e-5)


@pytest.mark.parametrize('stage', [1, 2])
def test_encoded_content_is_alpha_times_the_difference_of_one_stage(stage):
    found, truth, frozen = normal(3, 8, 8, 2), normal(3, 8, 8, 2), encoder()
    codes = [np.asarray(jax.jit(ENCODER.apply)(frozen, x)[stage - 1], 'f8') for x in (found, truth)]
    assert codes[0].shape == (3, *((4, 4, 4), (2, 2, 6))[stage - 1])
    expected = 2.5 * np.square(codes[0] - codes[1]).mean((1, 2, 3))
    content = jax.jit(Content('atmodist', ENCODER, stage))
    learned = Learned(frozen, np.float32(2.5))
    np.testing.assert_allclose(content(learned, found, truth), expected, rtol=1e-4)
    np.testing.assert_allclose(content(learned, truth, truth), 0, atol=1e-10)
    # an example's distance is its own: what else is in the batch changes no statistics
    np.testing.assert_allclose(content(learned, found[:1], truth[:1]), expected[:1], rtol=1e-4)
    grad = jax.jit(jax.grad(lambda x: jnp.sum(content(learned, x, truth))))(found)
    assert np.abs(grad).reshape(3, -1).max(1).min() > 1e-4  # the generator learns of all of them


def test_the_encoder_looks_from_random_corners():
    """The same corner for found and truth, by row of the global batch, each of 4 x 4 equally often; without a key, or
    with a single one, the patches as they are."""
    rows, shifts = 64, 4
    content = Content('atmodist', ENCODER, 1, shifts)

    def draw(key):
        return content.corners(key, rows)

    mapped = parallel.sharded(draw, (parallel.REPLICATED,), parallel.SHARDED_ROWS)
    corners = np.concatenate([np.asarray(mapped(jax.random.key(seed))) for seed in range(40)])
    assert set(corners.ravel()) == set(range(shifts))
    counts = np.bincount(shifts * corners[:, 0] + corners[:, 1], minlength=shifts**2)
    assert np.abs(counts - len(corners) / shifts**2).max() < 6 * np.sqrt(len(corners) / shifts**2)

    x, y = np.random.default_rng(0).normal(size=(2, 3, 16, 16, 2)).astype('f4')
    encoder = jax.jit(ENCODER.init)(jax.random.key(0, impl='unsafe_rbg'), x)
    learned, at = Learned(encoder, np.float32(2)), np.array([[0, 0], [1, 3], [3, 2]])
    run, distance = jax.jit(content), jax.jit(content.encoded_distance)
    found = run(learned, x, y, at)
    for row, (top, left) in enumerate(at):
        cut = [one[row : row + 1, top : top + 13, left : left + 13] for one in (x, y)]
        np.testing.assert_allclose(found[row], 2 * distance(encoder, *cut)[0], rtol=1e-4)
    whole = 2 * distance(encoder, x, y)
    np.testing.assert_allclose(run(learned, x, y), whole, rtol=1e-4)
    unshifted = jax.jit(dataclasses.replace(content, shifts=1))
    np.testing.assert_allclose(unshifted(learned, x, y, at), whole, rtol=1e-4)
