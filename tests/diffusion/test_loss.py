import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.diffusion.loss import denoising_loss, masked_mean
from downscale_jax.diffusion.schedule import expected

PREDICTIONS = ('eps', 'v', 'x0')


def example(batch=4, size=16):
    """y (zero where invalid), mask, gamma, noise."""
    rng = np.random.default_rng(0)
    mask = rng.random((batch, size, size, 1)) < 0.7
    y, noise = rng.normal(size=(2, batch, size, size, 1)).astype('f4')
    return np.where(mask, y, 0), mask, np.linspace(0.1, 1.5, batch, dtype='f4'), noise


class TestMaskedMean:
    def test_hand_computed(self):
        x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[:, None, :, None]
        mask = np.array([[True, False, True], [False, False, False]])[:, None, :, None]
        np.testing.assert_array_equal(masked_mean(x, mask), [2.0, 0.0])

    def test_mask_holds_for_all_channels(self):
        x = jnp.arange(12.0).reshape(1, 2, 3, 2)
        mask = jnp.zeros((1, 2, 3, 1), bool).at[0, 1, 1].set(True)
        np.testing.assert_array_equal(masked_mean(x, mask), [8.5])  # of 8 and 9

    @pytest.mark.parametrize('value', [np.nan, np.inf])
    def test_invalid_values_do_not_count(self, value):
        y, mask, _, _ = example()
        broken = np.where(mask, y, np.float32(value))
        np.testing.assert_array_equal(masked_mean(broken, mask), masked_mean(y, mask))
        gradient = jax.jit(jax.grad(lambda x: masked_mean(x, mask).sum()))(broken)
        share = mask / mask.sum((1, 2, 3), keepdims=True)
        np.testing.assert_allclose(gradient, share, rtol=1e-6)


class TestDenoisingLoss:
    @pytest.mark.parametrize('prediction', PREDICTIONS)
    def test_a_perfect_network_has_none(self, prediction):
        y, mask, gamma, noise = example()
        perfect = lambda z, angle: expected(y, noise, angle, prediction)  # noqa: E731
        loss = denoising_loss(perfect, y, mask, gamma, noise, prediction, 'v')
        np.testing.assert_array_equal(loss, np.zeros(4))

    def test_predicting_zero_noise_costs_one(self):
        y, mask, gamma, noise = example(size=64)
        loss = denoising_loss(lambda z, angle: jnp.zeros_like(z), y, mask, gamma, noise, 'eps', 'eps')
        assert loss.shape == (4,)
        np.testing.assert_allclose(loss, 1, atol=0.1)

    @pytest.mark.parametrize('prediction', PREDICTIONS)
    @pytest.mark.parametrize('weighting', PREDICTIONS)
    def test_a_constant_error(self, prediction, weighting):
        y, mask, gamma, noise = example()
        wrong = lambda z, angle: expected(y, noise, angle, prediction) + 0.5  # noqa: E731
        loss = denoising_loss(wrong, y, mask, gamma, noise, prediction, weighting)
        size = {'eps': np.cos(gamma), 'x0': np.sin(gamma), 'v': 1.0}
        np.testing.assert_allclose(loss, 0.25 * (size[weighting] / size[prediction]) ** 2, rtol=1e-5)

    def test_invalid_cells_do_not_count(self):
        y, mask, gamma, noise = example()
        network = lambda z, angle: jnp.sin(z)  # noqa: E731
        broken = lambda z, angle: jnp.where(mask, jnp.sin(z), jnp.nan)  # noqa: E731
        args = y, mask, gamma, noise, 'v', 'eps'
        np.testing.assert_array_equal(denoising_loss(broken, *args), denoising_loss(network, *args))

    def test_examples_are_independent(self):
        y, mask, gamma, noise = example()
        network = lambda z, angle: jnp.sin(z) * angle[:, None, None, None]  # noqa: E731
        whole = denoising_loss(network, y, mask, gamma, noise, 'v', 'v')
        for i in range(4):
            one = denoising_loss(network, *(a[i : i + 1] for a in (y, mask, gamma, noise)), 'v', 'v')
            np.testing.assert_allclose(one[0], whole[i], rtol=1e-6)
