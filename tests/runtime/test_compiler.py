import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.runtime import compiler


def convolve(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def test_convolutions_are_kept_from_one_thread():
    if compiler.options() is None:
        pytest.skip('this JAX, or this backend, needs no options')
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(8, 16, 16, 32)).astype('f4'), rng.normal(size=(3, 3, 32, 32)).astype('f4')
    plain, told = (jax.jit(convolve, compiler_options=o).lower(x, w).compile() for o in (None, compiler.options()))
    assert 'ynn' in plain.as_text()  # where this fails the options have become superfluous
    assert 'ynn' not in told.as_text()
    np.testing.assert_allclose(told(x, w), plain(x, w), rtol=1e-4, atol=1e-4)


def test_products_and_sums_stay_where_they_were():
    x = jnp.ones((256, 256))
    for function in (lambda x: x @ x, lambda x: x.sum(1)):
        plain, told = (
            jax.jit(function, compiler_options=o).lower(x).compile().as_text() for o in (None, compiler.options())
        )
        assert ('ynn' in told) == ('ynn' in plain)
