"""Super-resolution alone and against a discriminator, on tiny networks, beside steps made by hand with optax.

This file runs itself on four simulated devices and compares what it prints with what one does here.
"""

import json
import math
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from downscale_jax.models.atmodist import Encoder
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.runtime import parallel
from downscale_jax.tasks.content import Content, Learned, spectral_distance
from downscale_jax.tasks.gan import CHANCE_MARGIN, DISCRIMINATOR, GENERATOR, GRACE, WON, Gan
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create
from tests.forked import measured_beside

RATE = 1e-3
ADAMW = Phase('gan', 10, RATE, schedule='constant', clip=0.0, per_network=True)
SGD = replace(ADAMW, learning_rate=0.03, optimizer='sgd')
RULE = optax.adamw(RATE, b2=0.99, weight_decay=0.0)  # that of ADAMW, from optax itself
ALONE = SuperResolution(GeneratorNetwork(2, (2,), width=4, blocks=1, kernel=3), (replace(ADAMW, per_network=False),))
TASK = Gan(ALONE, Discriminator((4,), 4), Content('mse'), (ADAMW,), adversarial=0.3)
ENCODED = replace(TASK, content=Content('atmodist', Encoder((4,), blocks=1, stem=3, pool=False), 1))
NEITHER, STRONG, WEAK = (-1.0, 1e3), (1e3, 2e3), (-2.0, -1.0)  # balances that any loss lies within, under, over


def example(batch=8):
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(batch, 4, 4, 2))
    fine = coarse.repeat(2, 1).repeat(2, 2)
    mask = np.ones((batch, 8, 8, 1), bool)
    return {
        'target': (fine + 0.3 * rng.normal(size=fine.shape)).astype('f4'),
        'condition': np.concatenate([fine, mask], -1).astype('f4'),
        'mask': mask,
    }


def draw(shapes, seed=0):
    """Random values in place of `init`, whose compilation takes longer than all that is tested here."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda s: (rng.normal(size=s.shape) / max(1, np.prod(s.shape[:-1])) ** 0.5).astype(s.dtype), shapes
    )


@cache
def start():
    """Parameters of both networks."""
    return draw(jax.eval_shape(TASK.init, jax.random.key(0), example()).params)


@cache
def learned():
    encoder = draw(jax.eval_shape(ENCODED.content.encoder.init, jax.random.key(0), example()['target']), seed=1)
    return Learned({**encoder, 'batch_stats': jax.tree.map(np.square, encoder['batch_stats'])}, np.float32(2))


def begin(phase=ADAMW, frozen=None):
    return parallel.replicate(states.create(start(), create(phase), frozen=frozen))


@cache  # a compilation takes seconds
def stepping(task, phase=ADAMW):
    """(state, batch, balance) -> (state, metrics)."""
    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS

    def step(state, batch, balance):
        return replace(task, balance=tuple(balance)).train_step(state, batch, jax.random.key(0), phase)

    return parallel.sharded(step, (whole, rows, whole), (whole, whole))


def taken(balance, steps=1, task=TASK, phase=ADAMW, frozen=None):
    state, metrics = begin(phase, frozen), []
    for _ in range(steps):
        state, found = stepping(task, phase)(state, parallel.split_rows(example()), np.float32(balance))
        metrics.append(found)
    return jax.device_get((state, metrics))


def loss_by_hand(name, own, other):
    """Of example(), with softplus: -ln sigmoid(x) = softplus(-x)."""
    generator, discriminator = (own, other) if name == GENERATOR else (other, own)
    batch = example()
    found = ALONE.network.apply(generator, batch['condition'][:, ::2, ::2, :2])
    opinion = TASK.discriminator.apply(discriminator, found)
    if name == GENERATOR:
        return jnp.square(found - batch['target']).mean() + 0.3 * jax.nn.softplus(-opinion).mean()
    of_truth = TASK.discriminator.apply(discriminator, batch['target'])
    return 0.5 * jax.nn.softplus(-of_truth).mean() + 0.5 * jax.nn.softplus(opinion).mean()


@cache
def graded(name):
    return jax.jit(jax.value_and_grad(lambda own, other: loss_by_hand(name, own, other)))


@jax.jit
def adam_step(grads, slots, params):
    updates, slots = RULE.update(grads, slots, params)
    return optax.apply_updates(params, updates), slots


def by_hand(*names):
    """(parameters, losses) of steps of the named networks, one after the other."""
    params = dict(start())
    slots, losses = {name: RULE.init(own) for name, own in params.items()}, []
    for name in names:
        other = params[DISCRIMINATOR if name == GENERATOR else GENERATOR]
        loss, grads = graded(name)(params[name], other)
        params[name], slots[name] = adam_step(grads, slots[name], params[name])
        losses.append(float(loss))
    return params, losses


def generated(batch):
    return jax.jit(ALONE.generate)(start()[GENERATOR], batch['condition'])


def assert_equal_trees(found, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


D, G = DISCRIMINATOR, GENERATOR


@pytest.mark.parametrize(
    ('balance', 'names', 'extra'),
    [(NEITHER, (D, G), (0, 0)), (STRONG, (D, G, G), (0, 1)), (WEAK, (D, G, D), (1, 0))],
    ids=['neither', 'strong', 'weak'],
)
def test_the_steps_of_both_networks(balance, names, extra):
    state, (metrics,) = taken(balance)
    expected, losses = by_hand(*names)
    # a step of Adam is one of the rate, whatever the gradient
    assert_equal_trees(state.params, expected, rtol=0, atol=0.01 * RATE)
    for name, parts in state.params.items():
        moved = [
            np.abs(a - b).max() for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(start()[name]), strict=True)
        ]
        np.testing.assert_allclose(moved, names.count(name) * RATE, rtol=0.5)
    assert_equal_trees(state.ema_params, state.params, rtol=0, atol=0)
    assert state.step == 1
    for name, own in state.opt_state.items():
        assert {int(count) for _, count in optax.tree.get_all_with_path(own, 'count')} == {names.count(name)}
    assert (metrics['extra_discriminator'], metrics['extra_generator']) == extra
    np.testing.assert_allclose([metrics['discriminator'], metrics['loss']], losses[:2], rtol=1e-5)
    np.testing.assert_allclose(metrics['content'] + 0.3 * metrics['adversarial'], metrics['loss'], rtol=1e-5)


def test_the_balance_is_that_of_the_discriminators_loss_before_its_step():
    loss = by_hand(D)[1][0]
    for balance, extra in (
        ((loss - 0.01, loss + 0.01), (0, 0)), ((loss + 0.01, 1e3), (0, 1)), ((-1, loss - 0.01), (1, 0)),
    ):  # fmt: skip
        _, (metrics,) = taken(balance)
        assert (metrics['extra_discriminator'], metrics['extra_generator']) == extra


def test_the_discriminator_learns_to_tell_and_the_generator_to_deceive():
    # each alone, the other as it is: its own loss falls
    for name, balance in ((DISCRIMINATOR, WEAK), (GENERATOR, STRONG)):
        state, _ = taken(balance, steps=3)
        other = start()[GENERATOR if name == DISCRIMINATOR else DISCRIMINATOR]
        assert graded(name)(state.params[name], other)[0] < graded(name)(start()[name], other)[0] - 1e-3


def test_microbatches_change_nothing():
    # the moments are sums of gradients and of their squares: a factor, which Adam's step hides, would show
    one, two = (taken(STRONG, 1, replace(TASK, accumulate=n)) for n in (1, 2))
    assert_equal_trees((two[0].opt_state, two[1]), (one[0].opt_state, one[1]), rtol=1e-4, atol=1e-7)
    assert_equal_trees(two[0].params, one[0].params, rtol=0, atol=0.01 * RATE)


def test_the_encoder_stays_as_it_is():
    state, (metrics,) = taken(STRONG, 1, ENCODED, ADAMW, learned())
    assert_equal_trees(state.frozen, learned(), rtol=0, atol=0)
    assert set(state.params) == set(state.opt_state) == {DISCRIMINATOR, GENERATOR}
    batch = example()
    encode = jax.jit(ENCODED.content.encoder.apply)
    # what the loss was is that of the generator before its step
    codes = [encode(learned().encoder, x)[0] for x in (generated(batch), batch['target'])]
    np.testing.assert_allclose(metrics['content'], 2 * np.square(codes[0] - codes[1]).mean(), rtol=1e-4)


def test_begins_from_the_generator_that_it_is_handed():
    given = start()[GENERATOR]
    state = jax.jit(TASK.init)(jax.random.key(0, impl='unsafe_rbg'), example(), given, learned())
    assert_equal_trees(state.params[GENERATOR], given, rtol=0, atol=0)
    assert_equal_trees(state.frozen, learned(), rtol=0, atol=0)
    assert jax.tree.map(jnp.shape, state.params) == jax.tree.map(jnp.shape, start())
    assert TASK.inference_params(state) is state.params[GENERATOR]


def test_evaluation_knows_each_example():
    batch = example()
    found = jax.jit(TASK.eval_step)(states.create(start(), create(ADAMW)), batch, jax.random.key(0))
    assert all(values.shape == (8,) for values in found.values())
    fine = generated(batch)
    spectra = jax.jit(spectral_distance)(fine, batch['target'])
    np.testing.assert_allclose(found['loss'], spectra, rtol=1e-4)
    np.testing.assert_allclose(found['mse'], np.square(fine - batch['target']).mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found['content'], found['mse'], rtol=1e-5)
    opinion = jax.jit(TASK.discriminator.apply)(start()[DISCRIMINATOR], fine)
    np.testing.assert_allclose(found['adversarial'], -np.log(jax.nn.sigmoid(opinion)), rtol=1e-4)


@pytest.mark.parametrize(
    ('step', 'loss', 'extra', 'message'),
    [
        (GRACE, WON / 2, 0.0, 'the discriminator has won'),
        (GRACE, 2 * WON, 0.0, ''),
        (GRACE - 1, WON / 2, 0.0, ''),
        (GRACE, math.log(2) + CHANCE_MARGIN / 2, 1.0, 'it has collapsed'),
        (GRACE, math.log(2) - CHANCE_MARGIN / 2, 0.95, 'it has collapsed'),
        (GRACE, math.log(2), 0.8, ''),
        (GRACE, math.log(2) + 2 * CHANCE_MARGIN, 1.0, ''),
        (GRACE - 1, math.log(2), 1.0, ''),
        (GRACE, 0.5, 0.0, ''),
    ],
)
def test_warnings(step, loss, extra, message):
    found = TASK.warn(step, {'train/discriminator': loss, 'train/extra_discriminator': extra})
    assert message in found
    assert bool(message) == bool(found)


class TestAlone:
    """The generator before there is a discriminator."""

    def test_sees_the_coarse_field_and_nothing_else(self):
        batch = example()
        coarse = ALONE.coarse(batch['condition'])
        assert coarse.shape == (8, 4, 4, 2)
        np.testing.assert_array_equal(coarse.repeat(2, 1).repeat(2, 2), batch['condition'][..., :2])
        fine = generated(batch)
        assert fine.shape == (8, 8, 8, 2)
        # neither the mask nor the cells of a block but its first
        other = example()['condition']
        other[..., 2], other[:, 1::2] = 0, np.nan
        np.testing.assert_array_equal(generated({'condition': other}), fine)

    def test_loss_and_sample(self):
        batch, params = example(), start()[GENERATOR]
        fine = np.asarray(generated(batch))
        loss, metrics = jax.jit(ALONE.losses)(params, batch)
        np.testing.assert_allclose(loss, np.square(fine - batch['target']).mean((1, 2, 3)), rtol=1e-5)
        np.testing.assert_array_equal(metrics['loss'], loss)
        assert not ALONE.draws
        assert not TASK.draws
        for task in (ALONE, TASK):
            # `apply` of a domain that is one tile
            sample = task.sample(params, batch['condition'], None, None, lambda network, x: jax.jit(network)(x), None)
            np.testing.assert_allclose(sample, fine, rtol=1e-5, atol=1e-6)

    def test_overfits_one_batch(self):
        phase, whole, rows = Phase('mse', 60, 1e-2, clip=0.0), parallel.REPLICATED, parallel.SHARDED_ROWS

        def step(state, batch):
            return ALONE.train_step(state, batch, jax.random.key(0), phase)

        step = parallel.sharded(step, (whole, rows), (whole, whole))
        state = parallel.replicate(states.create(start()[GENERATOR], create(phase)))
        batch, losses = parallel.split_rows(example()), []
        for _ in range(phase.steps):
            state, metrics = step(state, batch)
            losses.append(float(metrics['loss']))
        assert losses[-1] < losses[0] / 4
        assert_equal_trees(state.ema_params, state.params, rtol=0, atol=0)
        assert ALONE.inference_params(state) is state.params


def measure() -> dict:
    """Two steps of each branch on this number of devices, by SGD: Adam would hide gradients wrong by a factor."""
    results = {}
    for name, balance in (('neither', NEITHER), ('strong', STRONG), ('weak', WEAK)):
        state, metrics = taken(balance, 2, TASK, SGD)
        leaves = jax.tree.leaves((state.params, state.opt_state, metrics))
        results[name] = np.concatenate([np.ravel(x) for x in leaves]).tolist()
    return results


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """(of the devices that this process has, of four)."""
    return measured_beside(__file__, 4, tmp_path_factory.mktemp('measured'), measure)


@pytest.mark.parametrize('branch', ['neither', 'strong', 'weak'])
def test_four_devices_give_what_one_gives(measured, branch):
    one, four = (np.array(found[branch]) for found in measured)
    np.testing.assert_allclose(four, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())


if __name__ == '__main__':
    print(json.dumps(measure()))
