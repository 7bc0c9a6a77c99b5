"""The benchmark's SRGAN in PyTorch has the same outputs and gradients as ours."""

from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.configs import read_config

ROOT = Path(__file__).parents[3]
torch = pytest.importorskip('torch')
benchmark = pytest.importorskip('experiments.benchmarks.pytorch.srgan')
networks_of_pytorch = pytest.importorskip('experiments.benchmarks.pytorch.srgan_network')


@pytest.fixture(scope='module')
def case():
    """(task, state, batch of two patches, the same networks in PyTorch), none of the biases zero."""
    config = read_config(f'{ROOT}/configs/srgan.py:smoke')
    task = benchmark.alternating(config)
    batch = benchmark.random_batch(2, config['data']['patch'], task.network)
    state = jax.device_get(task.init(jax.random.key(0), batch))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: (x + 0.1 * rng.normal(size=x.shape)).astype('f4'), state.params)
    return task, state.replace(params=params), batch, benchmark.in_torch(task, params, config['data']['patch'])


def test_fields_logits_and_gradients_are_the_same(case):
    benchmark.check_outputs(*case)
    benchmark.check_gradients(*case)


def test_another_kernel_is_noticed(case):
    task, state, batch, others = case
    kernel = state.params['generator']['params']['upsampling1']['conv']['kernel'].copy()
    kernel[..., [0, 1]] = kernel[..., [1, 0]]
    changed = jax.tree_util.tree_map_with_path(
        lambda path, x: kernel if [key.key for key in path[-3:]] == ['upsampling1', 'conv', 'kernel'] else x,
        state.params,
    )
    for check in ('check_outputs', 'check_gradients'):
        with pytest.raises(AssertionError, match='Not equal to tolerance'):
            getattr(benchmark, check)(task, state.replace(params=changed), batch, others)


def test_channels_in_the_order_of_a_pixel_shuffle():
    # two channels, 2 x 2 cells: ours are [row, column, channel], PyTorch's [channel, row, column]
    params = {'params': {'upsampling0': {'conv': {'bias': np.arange(8)}}, 'out_conv': {'bias': np.arange(2)}}}
    turned = networks_of_pytorch.for_pixel_shuffle(params, (2,))['params']
    np.testing.assert_array_equal(turned['upsampling0']['conv']['bias'], [0, 2, 4, 6, 1, 3, 5, 7])
    np.testing.assert_array_equal(turned['out_conv']['bias'], [0, 1])
