"""Muon by one small polynomial per kernel, against optax, which multiplies the kernel in every round."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downscale_jax.training.muon import muon, orthogonalised

SHAPES = {'convolution': (3, 3, 16, 8), 'tall': (40, 6), 'wide': (6, 40), 'square': (8, 8), 'bias': (8,)}
DECAY, BETA2 = 0.1, 0.98


def by_optax(rate):
    def matrices(params):
        return jax.tree.map(
            lambda p: optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1) if p.ndim > 1 else None,
            params,
        )

    return optax.contrib.muon(
        rate, weight_decay=DECAY, adam_b2=BETA2, adam_weight_decay=DECAY, muon_weight_dimension_numbers=matrices,
        consistent_rms=0.2,
    )  # fmt: skip


def trees(count):
    rng = np.random.default_rng(0)
    return [{name: jnp.asarray(rng.normal(size=s), jnp.float32) for name, s in SHAPES.items()} for _ in range(count)]


def test_updates_and_states_are_those_of_optax():
    rate = optax.linear_schedule(0.1, 0.0, 10)
    params, *gradients = trees(4)
    ours, theirs = muon(rate, DECAY, BETA2), by_optax(rate)
    state, expected = ours.init(params), theirs.init(params)
    update, update_theirs = jax.jit(ours.update), jax.jit(theirs.update)
    for gradient in gradients:
        found, state = update(gradient, state, params)
        wanted, expected = update_theirs(gradient, expected, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max()), found, wanted)
        # a checkpoint of either can be continued by the other
        assert jax.tree.structure(state) == jax.tree.structure(expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, expected)


@pytest.mark.parametrize('rank', [1, 3])
def test_a_kernel_of_low_rank_keeps_its_directions(rank):
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for n in (90, 12))
    kernel = jnp.asarray(left @ right.T / rank**0.5, jnp.float32).reshape(3, 3, 10, 12)
    found = np.asarray(orthogonalised(kernel)).reshape(90, 12)
    inside = left.T @ found @ right
    np.testing.assert_allclose(np.diag(inside), 1, atol=0.35)
    np.testing.assert_allclose(left @ inside @ right.T, found, atol=1e-3)


def test_accelerators_multiply_in_full_precision():
    (called,) = jax.make_jaxpr(orthogonalised)(jnp.zeros((3, 3, 4, 5))).eqns
    products = [e for e in called.params['jaxpr'].eqns if e.primitive.name == 'dot_general']
    highest = jax.lax.Precision.HIGHEST
    assert len(products) > 10
    assert all(product.params['precision'] == (highest, highest) for product in products)


def test_a_kernel_of_zeros_stays_zero():
    np.testing.assert_array_equal(orthogonalised(jnp.zeros((3, 3, 4, 5))), 0)


def test_a_long_kernel_takes_less_than_half_of_the_operations():
    params = {'kernel': jnp.zeros((3, 3, 128, 64))}

    def operations(rule):
        program = jax.jit(rule.update).lower(params, rule.init(params), params).compile()
        return program.cost_analysis()['flops']

    assert operations(muon(optax.constant_schedule(0.1), 0.0, 0.99)) < 0.5 * operations(by_optax(0.1))
