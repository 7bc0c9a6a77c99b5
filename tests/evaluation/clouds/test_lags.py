"""The rival that learns time lags, on series whose times can be read off the images."""

import numpy as np
import pytest

from downscale_jax.evaluation.clouds import lags
from downscale_jax.evaluation.statistics.energy import between

CONFIG = {
    'seed': 3,
    'model': {'widths': (4, 8)},
    'training': {'batch_size': 8, 'phases': ('main',), 'main': {'steps': 60, 'learning_rate': 1e-3}},
}


def brightening(members=6, times=4, side=16):
    """[M, T, H, W, 1] images whose mean grows by one per time, in weak noise."""
    noise = np.random.default_rng(0).normal(size=(members, times, side, side, 1))
    return (np.arange(times)[:, None, None, None] + 0.05 * noise).astype(np.float32)


def test_pairs_are_of_one_member_and_as_far_apart_as_their_lag():
    images = np.arange(5 * 4, dtype=np.float32).reshape(5, 4, 1, 1, 1)  # 4 * member + time
    pairs = lags.Pairs(images, seed=0)
    assert pairs.count == 20
    epochs, indices = np.repeat(np.arange(30), 20), np.tile(np.arange(20), 30)
    batch = pairs.batch(epochs, indices)
    first, second = batch['first'].ravel(), batch['second'].ravel()
    np.testing.assert_array_equal(first // 4, indices // 4)
    np.testing.assert_array_equal(second // 4, indices // 4)
    np.testing.assert_array_equal(second - first, batch['lag'] + 1)
    assert batch['lag'].dtype == np.int32
    assert np.bincount(batch['lag']) / 600 == pytest.approx(np.full(3, 1 / 3), abs=0.06)
    assert np.bincount((first % 4).astype(int)[batch['lag'] == 0]) / 200 == pytest.approx(np.full(3, 1 / 3), abs=0.12)
    again = pairs.batch(epochs[7:9], indices[7:9])
    np.testing.assert_array_equal(again['second'], batch['second'][7:9])


def test_codes_follow_time_and_repeat_themselves():
    images = brightening()
    codes = lags.fitted(images, CONFIG)
    held_out = brightening(members=8)[6:].reshape(-1, *images.shape[2:])
    found = codes(held_out)
    assert found.shape == (8, 8 * 4 * 4)
    apart = between(found)
    same_time, next_time = apart[:4, 4:].diagonal(), apart[:4, 4:].diagonal(1)
    assert same_time.max() < next_time.min()
    np.testing.assert_array_equal(lags.fitted(images, CONFIG)(held_out), found)
