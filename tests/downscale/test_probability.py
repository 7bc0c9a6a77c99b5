"""Probability maps of a segmentation: orientations, blocks, and what is skipped."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.downscale import probability
from downscale_jax.downscale.probability import Mapper

SAMPLING = {'tile': 16, 'overlap': 4, 'orientations': 1}


class Lopsided:
    """A "network" whose value is that of the cell to the east."""

    network = SimpleNamespace(stride=2)

    def probability(self, variables, tiles):
        return jnp.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 0)))[:, :, 1:, :1]


class Local:
    """A "network" that doubles every cell."""

    network = SimpleNamespace(stride=2)

    def probability(self, variables, tiles):
        return 2 * tiles[..., :1]


@pytest.fixture
def image():
    return np.random.default_rng(0).random((12, 12, 2)).astype(np.float32)


EVERYWHERE = np.ones((12, 12), bool)


def test_the_mean_over_eight_orientations_has_no_direction(image):
    mapper = Mapper(Lopsided(), {}, {**SAMPLING, 'orientations': 8})
    result = mapper.probability(image, EVERYWHERE)
    padded = np.pad(image[..., 0], 1)
    neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    np.testing.assert_allclose(result, neighbours / 4, rtol=1e-6)
    one = Mapper(Lopsided(), {}, SAMPLING).probability(image, EVERYWHERE)
    np.testing.assert_allclose(one, padded[1:-1, 2:], rtol=1e-6)


def test_blocks_give_what_the_whole_gives(monkeypatch):
    large = np.random.default_rng(0).random((40, 52, 1)).astype(np.float32)
    needed = np.ones((40, 52), bool)
    whole = Mapper(Local(), {}, SAMPLING).probability(large, needed)
    np.testing.assert_allclose(whole, 2 * large[..., 0], rtol=1e-5)
    monkeypatch.setattr(probability, 'BLOCK', 16)
    np.testing.assert_allclose(Mapper(Local(), {}, SAMPLING).probability(large, needed), whole, rtol=1e-5)


def test_blocks_that_are_not_needed_are_skipped(monkeypatch):
    monkeypatch.setattr(probability, 'BLOCK', 16)
    image, needed = np.ones((32, 48, 1), np.float32), np.zeros((32, 48), bool)
    needed[20, 40] = True
    result = Mapper(Local(), {}, SAMPLING).probability(image, needed)
    assert np.isfinite(result).sum() == 16 * 16
    assert np.isfinite(result[16:, 32:]).all()
