"""Checks of settings against the machine and the grid, before anything is written or trained."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from downscale_jax.runtime import memory, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.checks import check_batch, check_extra, check_grid, check_multiple

SHAPES = {
    'target': jax.ShapeDtypeStruct((32, 32, 1), np.float32),
    'mask': jax.ShapeDtypeStruct((32, 32, 1), bool),
}


def training(batch_size, accumulate=1):
    return {'training': {'batch_size': batch_size, 'accumulate': accumulate}, 'data': {'patch': 32}}


def test_a_batch_that_memory_does_not_hold(monkeypatch):
    """A patch has 32^2 cells of 4 + 1 bytes."""
    monkeypatch.setattr(memory, 'available', lambda: 8 * 32**2 * 5)
    check_batch(training(8), SHAPES)
    with pytest.raises(UserError, match=r'training\.batch_size=9 with data\.patch=32 needs .* of memory'):
        check_batch(training(9), SHAPES)


def test_microbatches_divide_the_rows_of_a_device():
    check_batch(training(8, 4), SHAPES)
    with pytest.raises(UserError, match=r'training\.accumulate=3 does not divide the 8 rows'):
        check_batch(training(8, 3), SHAPES)


def test_windows_fit_the_grid():
    prepared = SimpleNamespace(mask=np.ones((33, 64), bool))
    check_grid({'evaluation': {'measures': ('scales',), 'window': 32}}, prepared)
    check_grid({'evaluation': {'measures': ('pointwise',), 'window': 40}}, prepared)
    check_grid({'evaluation': {'pairs': 10}}, prepared)  # AtmoDist has neither
    with pytest.raises(UserError, match=r'evaluation\.window=40 .* 33 x 64 cells: choose at most 32'):
        check_grid({'evaluation': {'measures': ('scales',), 'window': 40}}, prepared)


def test_the_nearest_multiples_are_named():
    check_multiple('data.patch', 64, 16, 'the stride')
    with pytest.raises(UserError, match=r'data\.patch=60 is not a multiple of 16, the stride: use 48 or 64'):
        check_multiple('data.patch', 60, 16, 'the stride')


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, (None, None)),
        ({'JAX_NUM_PROCESSES': '2'}, (2, None)),
        ({'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '1'}, (2, 1)),
    ],
)
def test_processes_of_the_environment(environment, expected):
    assert parallel.processes_of(environment) == expected


@pytest.mark.parametrize(
    ('environment', 'message'),
    [
        ({'JAX_NUM_PROCESSES': 'two'}, 'JAX_NUM_PROCESSES=two: must be a whole number'),
        ({'JAX_NUM_PROCESSES': '0'}, 'JAX_NUM_PROCESSES=0: at least one'),
        ({'JAX_PROCESS_ID': '-1'}, 'JAX_PROCESS_ID=-1: must be a whole number'),
        ({'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '2'}, 'JAX_PROCESS_ID=2 with JAX_NUM_PROCESSES=2'),
    ],
)
def test_processes_that_cannot_be(environment, message):
    with pytest.raises(UserError, match=message):
        parallel.processes_of(environment)


def test_a_missing_extra_is_named():
    check_extra('crystals', ('json',))
    with pytest.raises(UserError, match=r"no_such_module not installed: run pip install 'downscale_jax\[crystals\]'"):
        check_extra('crystals', ('json', 'no_such_module'))
