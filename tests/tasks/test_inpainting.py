from functools import cache

import jax
import numpy as np

from downscale_jax.models.atmodist import Decoder, Encoder, Tail, part
from downscale_jax.runtime import parallel
from downscale_jax.tasks.inpainting import Inpainting
from downscale_jax.tasks.lags import Lags
from downscale_jax.training.optimizer import Phase

PHASE = Phase('main', 40, 0.05, schedule='constant', clip=5.0, optimizer='sgd')
ENCODER = Encoder((6, 8), blocks=1, stem=4)
TASK = Inpainting(ENCODER, Decoder(2, (8, 8)), (PHASE,))
LAGS = Lags(ENCODER, Tail(3, 8), (PHASE,))
KEY = jax.random.key(0, impl='unsafe_rbg')


def example():
    """Plane waves: the surroundings tell the centre."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    phase = rng.uniform(0, 2 * np.pi, (8, 1, 1))
    first = np.stack([np.sin(2 * np.pi * x / 32 + phase), np.cos(2 * np.pi * y / 32 + phase)], -1).astype('f4')
    return {'first': first, 'second': first[::-1].copy(), 'lag': np.zeros(8, 'i4')}


@cache
def drawn():
    return parallel.replicate(jax.jit(TASK.init)(KEY, example()))


def test_learns_the_centre_it_does_not_see():
    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    step = parallel.sharded(lambda s, b: TASK.train_step(s, b, KEY, PHASE), (whole, rows), (whole, whole))
    state, batch, losses = drawn(), parallel.split_rows(example()), []
    for _ in range(PHASE.steps):
        state, metrics = step(state, batch)
        losses.append(metrics['loss'])
    losses = jax.device_get(losses)
    assert losses[-1] < losses[0] / 4
    # 12 to 20 of 32 cells are hidden, and nothing but these
    params, x, inpaint = TASK.inference_params(state), example()['first'], jax.jit(TASK.inpaint)
    found = inpaint(params, x)
    assert found.shape == (8, 8, 8, 2)
    hidden, seen = x.copy(), x.copy()
    hidden[:, 12:20, 12:20] = np.nan
    seen[:, 11, 11] += 1
    np.testing.assert_array_equal(inpaint(params, hidden), found)
    assert np.abs(inpaint(params, seen) - found).max() > 1e-4
    evaluate = parallel.sharded(lambda s, b: TASK.eval_step(s, b, KEY), (whole, rows), rows)
    expected = np.square(found - x[:, 12:20, 12:20]).mean((1, 2, 3))
    np.testing.assert_allclose(evaluate(state, batch)['loss'], expected, rtol=1e-5)


def test_an_encoder_moves_between_the_tasks():
    moved = part(TASK.inference_params(drawn()), 'encoder')
    lags = jax.jit(LAGS.init)(KEY, example(), moved)
    back = jax.jit(TASK.init)(KEY, example(), part(LAGS.inference_params(lags), 'encoder'))
    for task, state in ((LAGS, lags), (TASK, back)):
        jax.tree.map(np.testing.assert_array_equal, part(task.inference_params(state), 'encoder'), moved)
    assert jax.tree.structure(back) == jax.tree.structure(drawn())
    # and the other task's network is its own
    assert lags.params['tail']['classes']['kernel'].shape == (2 * 2 * 8, 3)
