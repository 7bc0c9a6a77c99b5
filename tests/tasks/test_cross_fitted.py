"""One regression for each part of the training split, on tiny networks."""

from functools import cache

import jax
import numpy as np
import pytest

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.tasks.cross_fitted import CrossFitted
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import FirstGuess
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.optimizer import Phase

NETWORK = UNet(channels=2, widths=(6,), bottleneck=6, blocks=1, embedding=4, stem=2, tail=4, time='blocks')
PHASE = Phase('main', steps=10, learning_rate=1.0, warmup=0, optimizer='sgd')
TASK = CrossFitted(NETWORK, (PHASE,), parts=2, ema_decay=0.0)
ALONE = Regression(NETWORK, (PHASE,))


def example(part):
    rng = np.random.default_rng(0)
    mask = np.ones((len(part), 8, 8, 1), bool)
    return {
        'target': rng.normal(size=mask.shape).astype('f4'),
        'condition': rng.normal(size=(*mask.shape[:3], 3)).astype('f4'),
        'mask': mask,
        'part': np.array(part, np.int32),
    }


@cache
def params():
    shapes = jax.eval_shape(TASK.init, jax.random.key(0), example([0])).params
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda s: (0.3 * rng.normal(size=s.shape)).astype(s.dtype), shapes)


@cache
def alone(part):
    condition = example([0, 1, -1, 0])['condition']
    return [np.asarray(x) for x in jax.jit(ALONE.distribution)(params()[f'without_{part}'], condition)]


def test_a_row_gets_the_regression_that_has_not_learned_it():
    batch = example([0, 1, -1, 0])
    mean, size = jax.jit(TASK.distribution)(params(), batch['condition'], batch['part'])
    for row, part in enumerate([0, 1]):
        np.testing.assert_allclose(mean[row], alone(part)[0][row], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(size[row], alone(part)[1][row], rtol=1e-5, atol=1e-6)
    (first, own), (second, other) = alone(0), alone(1)
    np.testing.assert_allclose(mean[2], (first[2] + second[2]) / 2, rtol=1e-5, atol=1e-6)
    expected = np.sqrt((own[2] ** 2 + other[2] ** 2) / 2 + (first[2] - second[2]) ** 2 / 4)
    np.testing.assert_allclose(size[2], expected, rtol=1e-5, atol=1e-6)


def test_without_parts_every_row_gets_the_mean():
    mean, _ = jax.jit(TASK.distribution)(params(), example([0, 1, -1, 0])['condition'])
    np.testing.assert_allclose(mean, (alone(0)[0] + alone(1)[0]) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('part', [0, 1])
def test_a_regression_learns_nothing_from_its_own_part(part):
    batch = example([part] * 4)
    loss, metrics = TASK.fitting_losses(params(), batch)
    other, expected = ALONE.losses(params()[f'without_{1 - part}'], batch)
    np.testing.assert_allclose(loss, other, rtol=1e-5)
    np.testing.assert_allclose(metrics['loss'], expected['loss'], rtol=1e-5)
    gradients = jax.grad(lambda params: TASK.fitting_losses(params, batch)[0].mean())(params())
    assert not any(np.any(g) for g in jax.tree.leaves(gradients[f'without_{part}']))
    assert any(np.any(g) for g in jax.tree.leaves(gradients[f'without_{1 - part}']))


def test_a_generator_learns_errors_of_regressions_on_rows_they_have_not_seen():
    batch = example([1, 0, -1, 0])
    diffusion = Diffusion(NETWORK.clone(channels=1), (PHASE,), CosineSchedule(), regression=TASK)
    guess = FirstGuess(params(), np.float32(2))

    def rows(guess, batch):
        return diffusion.rows(guess, batch, jax.random.key(0))['residual']

    whole, split = parallel.REPLICATED, parallel.SHARDED_ROWS
    residual = parallel.sharded(rows, (whole, split), split)(guess, batch)
    mean, size = alone(1)
    np.testing.assert_allclose(residual[0], (batch['target'] - mean)[0] / (2 * size[0]), rtol=1e-4, atol=1e-5)
