"""The lag task on tiny encoders.

This file runs itself on eight simulated devices and compares what it prints with what one does here.
"""

import json
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.models.atmodist import Encoder, Tail
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.tasks.lags import Lags, squared_kernels
from downscale_jax.training.optimizer import Phase
from tests.forked import measured_beside

PHASE = Phase('main', 60, 0.1, schedule='constant', clip=5.0, optimizer='sgd')
TASK = Lags(Encoder((6, 8), blocks=1, stem=4), Tail(4, 12), (PHASE,))


def example(pairs=16, side=32):
    """Waves that move on by four cells a class, in noise."""
    rng = np.random.default_rng(0)
    lag = np.arange(pairs, dtype='i4') % 4
    phase = rng.uniform(0, 32, (pairs, 1, 1, 1))
    x, y = np.meshgrid(np.arange(side), np.arange(side))

    def waves(shift):
        angle = 2 * np.pi * (x[None, ..., None] - phase - shift) / 32
        return (np.concatenate([np.sin(angle), np.cos(angle) + 0 * y[None, ..., None]], -1)).astype('f4')

    first, second = waves(0), waves(4 * (1 + lag[:, None, None, None]))
    noise = rng.normal(size=(2, *first.shape)).astype('f4')
    return {'first': first + 0.1 * noise[0], 'second': second + 0.1 * noise[1], 'lag': lag}


def start(task):
    state = jax.jit(task.init)(jax.random.key(0, impl='unsafe_rbg'), example())
    return parallel.replicate(state)


@cache  # a compilation takes seconds
def stepping(task, phase=PHASE):
    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS

    def step(state, batch):
        return task.train_step(state, batch, jax.random.key(0), phase)

    return parallel.sharded(step, (whole, rows), (whole, whole))


@cache
def fitted():
    """The metrics of each step on one batch, and the state at the end."""
    state, batch, metrics = start(TASK), parallel.split_rows(example()), []
    for _ in range(PHASE.steps):
        state, found = stepping(TASK)(state, batch)
        metrics.append(found)
    return jax.device_get(metrics), state


def params():
    return TASK.inference_params(fitted()[1])


def measure() -> dict:
    """Two steps on this number of devices, each from the same start."""
    rng = np.random.default_rng(1)
    phase = replace(PHASE, clip=0.0, learning_rate=0.01)
    task = replace(TASK, phases=(phase,))
    state = start(task)
    drawn = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype('f4'), jax.device_get(state.params))
    state, losses = parallel.replicate(state.replace(params=drawn, ema_params=drawn)), []
    batch = example()
    # a split that shows: each device has a level of its own
    batch = {**batch, **{k: batch[k] + np.arange(16, dtype='f4')[:, None, None, None] for k in ('first', 'second')}}
    for _ in range(2):
        state, metrics = stepping(task, phase)(state, parallel.split_rows(batch))
        losses.append(float(metrics['loss']))
    flat = {
        name: np.concatenate([np.ravel(x) for x in jax.tree.leaves(jax.device_get(tree))]).tolist()
        for name, tree in {'params': state.params, 'stats': state.stats}.items()
    }
    return {**flat, 'loss': losses}


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """(of the devices that this process has, of eight)."""
    return measured_beside(__file__, 8, tmp_path_factory.mktemp('measured'), measure)


@pytest.mark.parametrize('name', ['loss', 'params', 'stats'])
def test_eight_devices_give_what_one_gives(measured, name):
    one, eight = (np.array(found[name]) for found in measured)
    np.testing.assert_allclose(eight, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())


def test_overfits_one_batch():
    metrics, state = fitted()
    losses = [row['loss'] for row in metrics]
    assert np.isfinite(losses).all()
    assert losses[0] > 1.2  # about the logarithm of four classes
    assert losses[-1] < 0.3
    assert metrics[-1]['accuracy'] == 1
    assert metrics[-1]['lag_error'] == 0
    # the running averages have followed: evaluation agrees with training
    rows = parallel.SHARDED_ROWS
    evaluate = parallel.sharded(TASK.eval_step, (parallel.REPLICATED, rows, parallel.REPLICATED), rows)
    found = evaluate(state, parallel.split_rows(example()), jax.random.key(0))
    assert all(values.shape == (16,) for values in found.values())
    assert found['accuracy'].mean() > 0.9
    jax.tree.map(np.testing.assert_array_equal, state.ema_params, state.params)


def test_metrics_by_hand():
    logits = jnp.log(jnp.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]))
    weights = {'conv': {'kernel': jnp.array([3.0, 4.0]), 'bias': jnp.array([100.0])}}
    found = TASK.metrics(weights, logits, jnp.array([3, 2, 0]))
    np.testing.assert_allclose(found['cross_entropy'], -np.log([0.4, 0.2, 0.1]), rtol=1e-6)
    np.testing.assert_allclose(found['loss'], found['cross_entropy'] + 1e-4 * 25, rtol=1e-6)
    np.testing.assert_array_equal(found['accuracy'], [1, 0, 0])
    np.testing.assert_array_equal(found['top3'], [1, 1, 0])
    np.testing.assert_array_equal(found['lag_error'], [0, 2, 3])


def test_the_penalty_moves_kernels_alone():
    weights = params()['params']
    grads = jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(squared_kernels))(weights))
    kinds = {}
    for (path, grad), weight in zip(grads, jax.tree.leaves(weights), strict=True):
        kinds.setdefault(path[-1].key, []).append(bool(np.any(weight)))
        expected = 2 * weight if path[-1].key == 'kernel' else np.zeros_like(weight)
        np.testing.assert_allclose(grad, expected, rtol=1e-6)
    assert set(kinds) == {'kernel', 'bias', 'scale'}
    assert all(map(any, kinds.values()))  # there was something to move


def test_the_statistics_are_those_of_both_patches_in_one_batch():
    # firsts around -3, seconds around 3: the stem's input to BN is that of both together
    first, second = (np.full((4, 32, 32, 2), level, 'f4') for level in (-3, 3))
    variables = TASK.inference_params(start(TASK))

    def apply(first, second):
        return TASK.network.apply(variables, first, second, train=True, mutable=['batch_stats'])[1]['batch_stats']

    whole = parallel.sharded(apply, (parallel.SHARDED_ROWS, parallel.SHARDED_ROWS), parallel.REPLICATED)
    stem = variables['params']['encoder']['stem_conv']
    x = np.concatenate([first, second])
    mapped = jax.lax.conv_general_dilated(x, stem['kernel'], (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    mapped = np.asarray(mapped) + np.asarray(stem['bias'])
    found = whole(first, second)['encoder']['stem_norm']
    np.testing.assert_allclose(found['mean'], 0.1 * mapped.mean((0, 1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found['var'], 0.9 + 0.1 * mapped.var((0, 1, 2)), rtol=1e-3)


def test_each_patch_by_its_own_statistics_as_published():
    first, second = (np.full((4, 32, 32, 2), level, 'f4') for level in (-3, 3))
    task = replace(TASK, joint=False, encoder=TASK.encoder.clone(momentum=0.99))
    variables = task.inference_params(start(task))

    def apply(first, second):
        return task.network.apply(variables, first, second, train=True, mutable=['batch_stats'])[1]['batch_stats']

    whole = parallel.sharded(apply, (parallel.SHARDED_ROWS, parallel.SHARDED_ROWS), parallel.REPLICATED)
    stem, means = variables['params']['encoder']['stem_conv'], []
    for x in (first, second):
        mapped = jax.lax.conv_general_dilated(
            x, stem['kernel'], (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
        means.append((np.asarray(mapped) + np.asarray(stem['bias'])).mean((0, 1, 2)))
    found = whole(first, second)['encoder']['stem_norm']['mean']
    np.testing.assert_allclose(found, 0.99 * 0.01 * means[0] + 0.01 * means[1], rtol=1e-3, atol=1e-6)


def test_embeds_any_size():
    x = np.zeros((1, 48, 80, 2), 'f4')
    assert jax.eval_shape(lambda x: TASK.embed(params(), x, 2), x).shape == (1, 6, 10, 8)


def test_a_stage_that_is_not_there():
    with pytest.raises(UserError, match='stage=0: the encoder has stages 1 to 2'):
        TASK.embed(params(), example()['first'], 0)


if __name__ == '__main__':
    print(json.dumps(measure()))
