"""Schedules, and the rate that falls where the loss stays on a plateau."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step, phases

PLATEAU = Phase(
    'main',
    100,
    0.1,
    schedule='constant',
    clip=0.0,
    optimizer='sgd',
    plateau_every=2,
    plateau_patience=2,
    plateau_floor=2e-3,
)


def rates(phase, losses):
    """The learning rate of each step: with a gradient only in the first one, momentum leaves 0.9^n of it."""
    rule = create(phase)
    update = jax.jit(rule.update)
    state, found = rule.init(jnp.ones(())), []
    for n, loss in enumerate(losses):
        updates, state = update(jnp.float32(n == 0), state, jnp.ones(()), value=jnp.float32(loss))
        found.append(-float(updates) / 0.9**n)
    return found


def test_plateau_by_hand():
    # averages over two steps: 3, 2.5, then 2.47 and 2.48, less than 0.04 below 2.5: the rate falls with the second,
    # counting begins anew; 2.4 is a new lowest; 2.4 twice: to a hundredth, which the floor of 0.02 stops
    means = [3, 2.5, 2.47, 2.48, 2.4, 2.4, 2.4, 2.4, 2.4]
    losses = [mean + sign * 0.2 for mean in means for sign in (-1, 1)]
    expected = [0.1] * 7 + [0.01] * 6 + [0.002] * 5
    np.testing.assert_allclose(rates(PLATEAU, losses), expected, rtol=1e-5)


def test_any_improvement_counts_with_delta_zero():
    phase = Phase('main', 10, 1.0, schedule='constant', clip=0.0, optimizer='sgd', plateau_every=1, plateau_patience=1)
    falling = [1.0, 0.999, 0.998, 0.998]
    assert rates(phase, falling)[1] == pytest.approx(0.1)
    np.testing.assert_allclose(
        rates(Phase(**{**vars(phase), 'plateau_delta': 0.0}), falling), [1, 1, 1, 0.1], rtol=1e-5
    )


def test_constant_rate_after_the_warm_up():
    phase = Phase('main', 10, 0.5, warmup=4, schedule='constant', clip=0.0, optimizer='sgd')
    # the gradient of the first step meets a rate of zero; its momentum those that follow
    np.testing.assert_allclose(rates(phase, [1.0] * 7), [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5], rtol=1e-5)
    assert rates(Phase(**{**vars(phase), 'warmup': 0}), [1.0])[0] == pytest.approx(0.5)


def test_cosine_is_the_default():
    phase = Phase('main', 4, 1.0, clip=0.0, optimizer='sgd')
    np.testing.assert_allclose(rates(phase, [1.0] * 4), 0.5 + 0.5 * np.cos(np.pi * np.arange(4) / 4), rtol=1e-5)
    # nothing of the plateau is in the state of a phase without
    assert 'best_value' not in str(jax.eval_shape(create(phase).init, jnp.ones(())))


def test_gradients_are_clipped_before_momentum():
    phase = Phase('main', 4, 0.1, schedule='constant', clip=5.0, optimizer='sgd')
    rule, start = create(phase), {'a': jnp.zeros(2), 'b': jnp.zeros(1)}
    grads = {'a': jnp.array([30.0, 40.0]), 'b': jnp.array([0.0])}
    state, update = rule.init(start), jax.jit(rule.update)
    updates, state = update(grads, state, start, value=1.0)
    np.testing.assert_allclose(updates['a'], [-0.3, -0.4], rtol=1e-6)
    updates, state = update(grads, state, start, value=1.0)
    np.testing.assert_allclose(updates['a'], [-0.57, -0.76], rtol=1e-6)


def test_each_tensor_is_clipped_by_its_own_norm():
    phase = Phase('main', 4, 1.0, schedule='constant', clip=5.0, clip_each=True, optimizer='sgd')
    rule, start = create(phase), {'a': jnp.zeros((1, 2)), 'b': jnp.zeros(1), 'c': jnp.zeros(2)}
    grads = {'a': jnp.array([[30.0, 40.0]]), 'b': jnp.array([0.5]), 'c': jnp.zeros(2)}
    updates, _ = jax.jit(rule.update)(grads, rule.init(start), start, value=1.0)
    np.testing.assert_allclose(updates['a'], [[-3.0, -4.0]], rtol=1e-6)
    np.testing.assert_allclose(updates['b'], [-0.5], rtol=1e-6)
    np.testing.assert_array_equal(updates['c'], [0, 0])


def test_cosine_ends_at_the_final_rate():
    phase = Phase('main', 4, 1.0, clip=0.0, optimizer='sgd', final_rate=0.2)
    expected = 0.6 + 0.4 * np.cos(np.pi * np.array([0, 1, 2, 3, 4, 4]) / 4)
    np.testing.assert_allclose(rates(phase, [1.0] * 6), expected, rtol=1e-5)


@pytest.mark.parametrize('beta2', [0.99, 0.999])
def test_decay_of_second_moments(beta2):
    # two gradients, 1 and 2: moments with bias correction by hand
    rule = create(Phase('main', 4, 0.1, schedule='constant', clip=0.0, beta2=beta2))
    state, start, update = rule.init(jnp.zeros(())), jnp.zeros(()), jax.jit(rule.update)
    for gradient in (1.0, 2.0):
        updates, state = update(jnp.float32(gradient), state, start, value=1.0)
    first = (0.9 * 0.1 + 0.1 * 2) / (1 - 0.9**2)
    second = (beta2 * (1 - beta2) + (1 - beta2) * 4) / (1 - beta2**2)
    np.testing.assert_allclose(updates, -0.1 * first / np.sqrt(second), rtol=1e-4)


def test_muon_learns_all_directions_of_a_kernel_equally():
    # singular values of the gradient: 1, 0.1 and 0.01; those of the update are alike, its root mean square is 0.2
    left, right = (
        np.linalg.qr(np.random.default_rng(n).standard_normal((size, 3)))[0] for n, size in ((0, 36), (1, 3))
    )
    gradient = {'kernel': (left * [1, 0.1, 0.01] @ right.T).reshape(3, 3, 4, 3), 'bias': np.array([1.0, -2.0, 3.0])}
    params = jax.tree.map(jnp.zeros_like, gradient)
    rule = create(Phase('main', 4, 0.1, schedule='constant', clip=0.0, optimizer='muon'))
    update = jax.jit(rule.update)
    updates, _ = update(jax.tree.map(jnp.float32, gradient), rule.init(params), params, value=1.0)
    kernel = np.array(updates['kernel']).reshape(36, 3)
    directions = np.diag(left.T @ kernel @ right) / np.sqrt(36)
    np.testing.assert_allclose(directions, -0.1 * 0.2, rtol=0.35)  # five Newton-Schulz iterations
    others = optax.nadamw(0.1, b2=0.99)
    expected, _ = jax.jit(others.update)(jnp.float32(gradient['bias']), others.init(params['bias']), params['bias'])
    np.testing.assert_allclose(updates['bias'], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ('phase', 'before'),
    [
        ({'optimizer': 'sgd', 'keep_moments': True}, {}),
        ({'optimizer': 'sgd', 'keep_moments': True}, {'optimizer': 'adamw'}),
    ],
)
def test_moments_of_another_optimiser_are_refused(phase, before):
    common = {'steps': 2, 'learning_rate': 0.1}
    training = {'first': {**common, **before}, 'second': {**common, **phase}}
    training['phases'] = ('first', 'second') if before else ('second',)
    with pytest.raises(UserError, match=r'training\.second\.keep_moments=True.*sgd'):
        phases(training)


def step_on(phase):
    """(state, rows) -> state, with the loss that the rows tell and a gradient of one."""

    def losses(params, rows):
        return params['w'] + rows['loss'], {'loss': rows['loss']}

    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    return parallel.sharded(lambda s, b: gradient_step(losses, s, b, phase, 1, 0.0)[0], (whole, rows), whole)


def test_a_resumed_run_counts_on(tmp_path):
    step = step_on(PLATEAU)
    values = [3, 3, 2.99, 3.01, 2.99, 3.01, 3, 3]  # the rate falls with the sixth
    whole = states.create({'w': jnp.ones(())}, create(PLATEAU))
    checkpoints = Checkpoints(tmp_path)
    for n, value in enumerate(values, 1):
        whole = step(whole, {'loss': np.full(8, value, 'f4')})
        if n == 5:  # in the middle of an average, one of the two that are waited for behind it
            checkpoints.save(n, whole, {'loss': jnp.zeros(())}, None)
    checkpoints.close()
    resumed = Checkpoints(tmp_path, read_only=True).restore_state(5, parallel.abstract(whole))
    for value in values[5:]:
        resumed = step(resumed, {'loss': np.full(8, value, 'f4')})
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    np.testing.assert_allclose(optax.tree.get(resumed.opt_state, 'scale'), 0.1, rtol=1e-6)


def test_batch_statistics_are_averaged_over_microbatches():
    phase = Phase('main', 4, 0.1, schedule='constant', clip=0.0, optimizer='sgd')

    def losses(params, rows):
        loss = params['w'] * rows['x']
        return loss, {'loss': loss}, {'mean': rows['x'].mean()}

    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    x = np.arange(8, dtype='f4')
    for accumulate in (1, 2, 4):
        state = states.create({'w': jnp.ones(())}, create(phase), stats={'mean': jnp.zeros(())})
        step = parallel.sharded(
            lambda s, b, a=accumulate: gradient_step(losses, s, b, phase, a, 0.0), (whole, rows), (whole, whole)
        )
        state, metrics = step(state, {'x': x})
        np.testing.assert_allclose(state.stats['mean'], 3.5)
        np.testing.assert_allclose(state.params['w'], 1 - 0.35, rtol=1e-6)
        assert set(metrics) == {'loss', 'gradient_norm'}
