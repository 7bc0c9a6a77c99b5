"""One regression per part of the training split, on tiny networks."""

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
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create

NETWORK = UNet(channels=2, widths=(6,), bottleneck=6, blocks=1, embedding=4, stem=2, tail=4, time='blocks')
PHASE = Phase('main', steps=10, learning_rate=1.0, warmup=0, optimizer='sgd', per_network=True)
TASK = CrossFitted(NETWORK, (PHASE,), parts=2, ema_decay=0.0)
THREE = CrossFitted(NETWORK, (PHASE,), parts=3)
ALONE = Regression(NETWORK, (PHASE,))
losses_alone = jax.jit(ALONE.losses)


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


def test_a_row_gets_the_regression_that_was_not_trained_on_it():
    batch = example([0, 1, -1, 0])
    mean, size = jax.jit(TASK.distribution)(params(), batch['condition'], batch['part'])
    for row, part in ((0, 0), (1, 1), (3, 0)):
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
def test_a_step_trains_the_regressions_of_the_other_parts(part):
    whole, split = parallel.REPLICATED, parallel.SHARDED_ROWS
    state = parallel.replicate(states.create(params(), create(PHASE)))
    step = parallel.sharded(lambda *given: TASK.train_step(*given, PHASE), (whole, split, whole), (whole, whole))
    after, metrics = step(state, example([part] * 4), jax.random.key(0))
    same = {
        name: all(map(np.array_equal, jax.tree.leaves(tree), jax.tree.leaves(params()[name])))
        for name, tree in jax.device_get(after.params).items()
    }
    assert same == {f'without_{part}': True, f'without_{1 - part}': False}
    _, expected = losses_alone(params()[f'without_{1 - part}'], example([part] * 4))
    np.testing.assert_allclose(metrics['loss'], expected['loss'].mean(), rtol=1e-5)


def test_of_three_regressions_two_learn_a_row():
    three = {**params(), 'without_2': jax.tree.map(lambda x: 0.5 * x, params()['without_0'])}
    loss, metrics = jax.jit(THREE.losses)(three, example([0] * 4))
    each = [losses_alone(three[f'without_{k}'], example([0] * 4)) for k in (1, 2)]
    np.testing.assert_allclose(metrics['loss'], (each[0][1]['loss'] + each[1][1]['loss']) / 2, rtol=1e-5)
    np.testing.assert_allclose(loss, 1.5 * (each[0][0] + each[1][0]), rtol=1e-5)


def test_the_regressions_begin_apart():
    first, second = jax.jit(TASK.init)(jax.random.key(0, impl='unsafe_rbg'), example([0])).params.values()
    assert not np.array_equal(*(np.concatenate([*map(np.ravel, jax.tree.leaves(tree))]) for tree in (first, second)))


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
