"""The evidence lower bound in closed form, and collapsed latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.models.vae import Autoencoder, Decoder, Encoder
from downscale_jax.tasks.vae import Vae
from downscale_jax.training.loop import MonitoredTask
from downscale_jax.training.optimizer import Phase

SHAPE = (7, 10, 2)  # odd sizes are rounded up on the way down, and cut on the way up


@pytest.fixture(scope='module')
def task():
    network = Autoencoder(Encoder((4, 6), 0, 3), Decoder((4, 6), 0, SHAPE))
    return Vae(network, (Phase('main', 10, 1e-3),), kl_weight=0.5, kl_warmup=4)


@pytest.fixture(scope='module')
def params(task):
    return jax.jit(task.init)(jax.random.key(0, impl='unsafe_rbg'), {'image': jnp.zeros((1, *SHAPE))}).params


def batch():
    rng = np.random.default_rng(0)
    return {'image': jnp.asarray(rng.normal(size=(5, *SHAPE)), jnp.float32),
            'noise': jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)}  # fmt: skip


def test_the_loss_is_the_bound_per_pixel(task, params):
    rows = batch()
    run = jax.jit(task.network.apply)
    loss, metrics = jax.jit(task.losses)(params, rows, 0.5)
    drawn, mean, log_variance = map(np.asarray, run(params, rows['image'], rows['noise']))
    assert drawn.shape == rows['image'].shape
    squared_error = np.square(rows['image'] - drawn).mean((1, 2, 3))
    # KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1) / 2 - ln s
    kl = ((np.square(mean) + np.exp(log_variance) - 1) / 2 - log_variance / 2).sum(-1)
    np.testing.assert_allclose(metrics['kl'], kl, rtol=1e-4)
    np.testing.assert_allclose(loss, squared_error / 2 + 0.5 * kl / (7 * 10 * 2), rtol=1e-4)
    without_noise, _, _ = run(params, rows['image'], 0 * rows['noise'])
    decoded = jax.jit(lambda x: task.decode(params, task.encode(params, x)))(rows['image'])
    np.testing.assert_allclose(decoded, without_noise, atol=1e-5)


def test_a_collapsed_latent_is_named_after_the_warm_up(task):
    assert isinstance(task, MonitoredTask)
    assert task.warn(4, {'train/active': 0.0}) == ''
    assert '1.0 of 3 latents are active' in task.warn(5, {'train/active': 1.0})
    assert task.warn(5, {'train/active': 2.5}) == ''
