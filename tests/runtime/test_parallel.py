"""The same numbers on 1 and 4 simulated devices: this file runs itself once for each and compares what it prints."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from tests.forked import Forked, flags_of

BATCH, DEVICES = 8, (1, 4)
RATE = 0.125
X = np.random.default_rng(0).normal(size=(BATCH, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=BATCH).astype(np.float32)
START = np.array([0.5, -1.0, 2.0], np.float32)


def losses(params, rows):
    loss = jnp.square(rows['x'] @ params - rows['y'])
    return loss, {'loss': loss}


def measure() -> dict:
    """What this number of devices gives; run with XLA_FLAGS set."""
    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    phase = Phase('main', 10, RATE, clip=0.0, optimizer='sgd')

    def descend(accumulate):
        state = parallel.replicate(states.create(START, create(phase)))
        step = parallel.sharded(
            lambda s, b: gradient_step(losses, s, b, phase, accumulate, 0.9), (whole, rows), (whole, whole), (0,)
        )
        new, metrics = step(state, parallel.split_rows({'x': X, 'y': Y}))
        return {
            'params': np.asarray(new.params).tolist(),
            'loss': float(metrics['loss']),
            'donated': all(leaf.is_deleted() for leaf in jax.tree.leaves(state)),
            'copies': len(new.params.sharding.device_set),
        }

    share = BATCH // jax.device_count()
    key = jax.random.key(3)
    normals = parallel.sharded(lambda k: parallel.row_normals(k, (share, 2, 1)), (whole,), rows)(key)
    uniforms = parallel.sharded(lambda k: parallel.row_uniforms(k, share), (whole,), rows)(key)
    try:
        refused = str(parallel.local_rows(BATCH + 2) and '')
    except UserError as error:
        refused = str(error)
    return {
        'step': descend(1),
        'accumulated': descend(2),
        'normals': np.asarray(normals).ravel().tolist(),
        'uniforms': np.asarray(uniforms).tolist(),
        'rows': list(parallel.local_rows(BATCH)),
        'refused': refused,
    }


@pytest.fixture(scope='module')
def measured(tmp_path_factory) -> dict[int, dict]:
    folder, running = tmp_path_factory.mktemp('measured'), {}
    for devices in DEVICES:
        out, errors = (folder / f'{devices}.{name}' for name in ('out', 'err'))
        running[devices] = (
            Forked(__file__, env={'XLA_FLAGS': flags_of(devices)}, stdout=out, stderr=errors),
            out,
            errors,
        )
    results = {}
    for devices, (process, out, errors) in running.items():
        assert process.wait(timeout=120) == 0, errors.read_text()
        results[devices] = json.loads(out.read_text().splitlines()[-1])
    return results


@pytest.mark.parametrize('devices', DEVICES)
def test_gradient_is_the_mean_over_the_global_batch(measured, devices):
    # d/dw mean (x w - y)^2 = 2 x^T (x w - y) / B; without `varying` it would come out multiplied by the devices
    error = X.astype(np.float64) @ START - Y
    expected = START - RATE * 2 * X.T @ error / BATCH
    for way in ('step', 'accumulated'):
        found = measured[devices][way]
        np.testing.assert_allclose(found['params'], expected, rtol=1e-6)
        np.testing.assert_allclose(found['loss'], np.square(error).mean(), rtol=1e-6)


@pytest.mark.parametrize('devices', DEVICES)
def test_state_is_donated_and_lies_on_every_device(measured, devices):
    assert measured[devices]['step']['donated']
    assert measured[devices]['step']['copies'] == devices


@pytest.mark.parametrize('devices', DEVICES[1:])
def test_random_numbers_belong_to_the_row_not_to_the_device(measured, devices):
    assert measured[devices]['normals'] == measured[1]['normals']
    assert measured[devices]['uniforms'] == measured[1]['uniforms']


def test_random_rows_differ_and_uniforms_are_spread_evenly(measured):
    assert len(set(measured[1]['normals'])) == 2 * BATCH
    times = np.sort(measured[1]['uniforms'])
    assert times[0] >= 0
    assert times[-1] < 1
    np.testing.assert_allclose(np.diff(times), 1 / BATCH, atol=1e-6)


def test_batch_size_must_divide_over_the_devices(measured):
    assert measured[1]['refused'] == ''
    assert 'batch size 10' in measured[4]['refused']
    assert 'the 4 devices' in measured[4]['refused']
    # the multiples of 4 that are nearest to 10 are 8 and 12
    assert measured[4]['refused'].endswith('for example 8')
    assert measured[4]['rows'] == list(range(BATCH))


if __name__ == '__main__':
    print(json.dumps(measure()))
