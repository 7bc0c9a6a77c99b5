"""Gradients written by hand beside those that JAX derives, and their time within a loop."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from downscale_jax.models.convolution import AXES, convolve

SHAPES = [(9, 3, 1), (12, 3, 2), (13, 3, 2), (8, 4, 3), (10, 5, 1)]  # side, taps, stride
OTHER_PADDINGS = ['VALID', [(2, 0), (1, 3)]]


@pytest.mark.parametrize(
    ('side', 'taps', 'stride', 'padding'),
    [
        *((*shape, 'SAME') for shape in SHAPES),
        *((side, 3, stride, padding) for side, stride in ((9, 1), (13, 2)) for padding in OTHER_PADDINGS),
    ],
    ids=str,
)
def test_gradients_are_those_of_jax(side, taps, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, side, side + 1, 3)).astype('f4')
    kernel = rng.normal(size=(taps, taps, 3, 4)).astype('f4')
    strides = (stride, stride)

    def ours(x, kernel):
        return convolve(x, kernel, strides, padding)

    def theirs(x, kernel):
        return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=AXES)

    found, expected = (jax.vjp(f, x, kernel) for f in (ours, theirs))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    g = rng.normal(size=expected[0].shape).astype('f4')
    for one, other in zip(found[1](g), expected[1](g), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_fast_within_a_loop():
    """JAX's own takes 20 times as long there and more: a factor of 4 leaves room for a busy machine."""
    x, kernel = jnp.ones((8, 24, 24, 16)), jnp.ones((3, 3, 16, 16))

    def looped(conv):
        def gradient(kernel):
            return jax.grad(lambda k: jnp.square(conv(x, k)).sum())(kernel)

        run = jax.jit(lambda k: lax.scan(lambda s, _: (s + gradient(s), None), k, None, length=2)[0])
        jax.block_until_ready(run(kernel))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            jax.block_until_ready(run(kernel))
            times.append(time.perf_counter() - start)
        return min(times)

    ours = looped(lambda x, k: convolve(x, k, (1, 1), 'SAME'))
    theirs = looped(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), 'SAME', dimension_numbers=AXES))
    assert ours < theirs / 4
