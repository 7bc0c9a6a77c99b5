"""Batches of lag pairs: transformed patches and classes of the records that were asked for."""

from types import SimpleNamespace

import numpy as np

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.batches import batches
from downscale_jax.pipeline.lag_pairs import LagPairs

TRANSFORM = Standardisation(('a', 'b'), ('1', '1'), (1.0, 0.0), (2.0, 1.0), (0.0, 0.0), (1.0, 0.5))


class Prepared(SimpleNamespace):
    """Twelve records, the first patch of which holds their number, the second its negative."""

    def transform_as(self, kind):
        assert kind is Standardisation
        return TRANSFORM

    def split(self, name):
        assert name == 'train'
        return [
            {'first': np.full((4, 4, 2), i, 'f4'), 'second': np.full((4, 4, 2), -i, 'f4'), 'lag': np.int64(1 + i % 3)}
            for i in range(12)
        ]


def test_a_batch():
    source = LagPairs(Prepared(), 'train', 0)
    assert source.count == 12
    found = source.batch(np.array([0, 5, 9]), np.array([7, 2, 7]))
    assert {name: (x.shape, x.dtype) for name, x in found.items()} == {
        'first': ((3, 4, 4, 2), np.float32),
        'second': ((3, 4, 4, 2), np.float32),
        'lag': ((3,), np.int32),
    }
    np.testing.assert_array_equal(found['lag'], [1, 2, 1])  # classes: 0 for one step
    # (7 - 1)/2 = 3: ln 1.6; 7: ln 2.4 over 0.5
    np.testing.assert_allclose(found['first'][0, 0, 0], [np.log(1.6), 2 * np.log(2.4)], rtol=1e-6)
    np.testing.assert_allclose(found['second'][0, 0, 0], [-np.log(1.8), -2 * np.log(2.4)], rtol=1e-6)
    np.testing.assert_array_equal(found['first'][0], found['first'][2])  # the epoch changes nothing: no patch is cut


def test_an_epoch_holds_every_pair_once():
    feed = batches(LagPairs(Prepared(), 'train', 0), 4)
    seen = np.concatenate([TRANSFORM.decode(next(feed)['first'])[:, 0, 0, 0] for _ in range(3)])
    np.testing.assert_allclose(np.sort(seen), np.arange(12), atol=1e-5)
    assert (seen.round() != np.arange(12)).any()  # shuffled


def test_few_of_all_always_the_same_ones_and_not_the_first():
    def numbers(seed):
        feed = batches(LagPairs(Prepared(), 'train', seed), 4, limit=4)
        return [tuple(TRANSFORM.decode(next(feed)['first'])[:, 0, 0, 0].round().astype(int)) for _ in range(6)]

    epochs = numbers(0)
    assert len({frozenset(epoch) for epoch in epochs}) == 1
    assert len(set(epochs)) > 1  # in an order of their own
    assert {frozenset(numbers(seed)[0]) for seed in range(3)} - {frozenset(range(4))}
