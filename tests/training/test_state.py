import jax.numpy as jnp
import numpy as np

from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create

RULE = create(Phase('main', 10, 0.1, schedule='constant', clip=0.0, optimizer='sgd'))
START = {'w': jnp.array([0.1, 1e8, -0.3])}
GRADS = {'w': jnp.array([0.7, -3.0, 1e-4])}


def test_without_decay_the_average_is_the_parameters():
    state = states.create(START, RULE)
    for _ in range(3):
        state = states.apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.0)
        np.testing.assert_array_equal(state.ema_params['w'], state.params['w'])
    assert state.step == 3


def test_the_decay_warms_up():
    state = states.create(START, RULE)
    after = states.apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.999)
    # step 0: decay 1 / 10
    np.testing.assert_allclose(after.ema_params['w'], 0.1 * START['w'] + 0.9 * after.params['w'], rtol=1e-6)
    then = states.apply_gradients(after, GRADS, jnp.ones(()), RULE, ema_decay=0.15)
    np.testing.assert_allclose(then.ema_params['w'], 0.15 * after.ema_params['w'] + 0.85 * then.params['w'], rtol=1e-6)


def test_a_new_phase_keeps_the_statistics():
    stats = {'mean': jnp.ones(2)}
    state = states.create(START, RULE, stats=stats)
    state = states.apply_gradients(state, GRADS, jnp.ones(()), RULE, ema_decay=0.0)
    entered = states.enter_phase(state, 1, RULE)
    assert entered.phase == 1
    assert entered.step == 1
    assert entered.stats is stats
    assert states.create(START, RULE).stats is None
