import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create

RULE = create(Phase('main', 10, 0.1, schedule='constant', clip=0.0, optimizer='sgd'))
START = {'w': jnp.array([0.1, 1e8, -0.3])}
GRADS = {'w': jnp.array([0.7, -3.0, 1e-4])}
apply_gradients = jax.jit(states.apply_gradients, static_argnames=('optimizer', 'ema_decay'))


def test_without_decay_the_average_is_the_parameters():
    state = states.create(START, RULE)
    for _ in range(3):
        state = apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.0)
        np.testing.assert_array_equal(state.ema_params['w'], state.params['w'])
    assert state.step == 3


def test_the_decay_warms_up():
    state = states.create(START, RULE)
    after = apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.999)
    # step 0: decay 1 / 10
    np.testing.assert_allclose(after.ema_params['w'], 0.1 * START['w'] + 0.9 * after.params['w'], rtol=1e-6)
    then = apply_gradients(after, GRADS, jnp.ones(()), RULE, ema_decay=0.15)
    np.testing.assert_allclose(then.ema_params['w'], 0.15 * after.ema_params['w'] + 0.85 * then.params['w'], rtol=1e-6)


def test_a_new_phase_keeps_the_statistics():
    stats = {'mean': jnp.ones(2)}
    state = states.create(START, RULE, stats=stats)
    state = apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.0)
    entered = states.enter_phase(state, 1, RULE)
    assert entered.phase == 1
    assert entered.step == 1
    assert entered.stats is state.stats
    np.testing.assert_array_equal(entered.stats['mean'], stats['mean'])
    assert states.create(START, RULE).stats is None


@pytest.mark.parametrize('optimizer', ['sgd', 'adamw', 'muon'])
@pytest.mark.parametrize('keep', [False, True])
def test_moments_across_phases(optimizer, keep):
    """Kept moments move the parameters although the gradient is zero; the schedule starts anew."""
    second = create(Phase('second', 10, 0.1, warmup=1, plateau_every=5, optimizer=optimizer, per_network=True))
    params = {'net': {**START, 'kernel': jnp.ones((3, 2))}}
    grads = {'net': {**GRADS, 'kernel': jnp.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.1]])}}
    first = create(Phase('first', 10, 0.1, schedule='constant', optimizer=optimizer, per_network=True))
    state = apply_gradients(states.create(params, first), grads, jnp.ones(()), first, ema_decay=0.0)
    entered = states.enter_phase(state, 1, second, keep)
    assert jax.tree.structure(entered.opt_state) == jax.tree.structure(second.init(params))
    zero = jax.tree.map(jnp.zeros_like, grads)
    for _ in range(2):  # the rate of the first step of a warm-up is zero
        entered = apply_gradients(entered, zero, jnp.ones(()), second, ema_decay=0.0)
    moved = jax.tree.map(lambda new, old: np.asarray(new != old), entered.params['net'], state.params['net'])
    assert moved['w'][[0, 2]].all() == moved['w'].any() == keep
    assert moved['kernel'].all() == moved['kernel'].any() == keep
