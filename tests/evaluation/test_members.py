"""The cells of an ensemble in pieces, and the numbers of members whose means are scored."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import members as module
from downscale_jax.evaluation.statistics.members import COUNTS, chunks, kept


def ensemble(members=12, shape=(7, 9)):
    return np.random.default_rng(0).normal(2, 1, (members, *shape)).astype(np.float32)


def test_counts_above_the_ensemble_are_left_out():
    assert kept(COUNTS, 100) == [1, 5, 10, 33, 100]
    assert kept(COUNTS, 33) == [1, 5, 10, 33]
    assert kept(COUNTS, 4) == [1]


@pytest.mark.parametrize('values', [1, 50, 1 << 22])
def test_pieces_together_are_all_counted_cells(monkeypatch, values):
    monkeypatch.setattr(module, '_VALUES', values)
    fields, counted = ensemble(), np.ones((7, 9), bool)
    counted[0, :3], fields[:, 0, :3] = False, np.nan
    found = list(chunks(fields, counted))
    np.testing.assert_array_equal(np.concatenate([cells for cells, _ in found]), np.flatnonzero(counted))
    together = np.concatenate([x for _, x in found], 1)
    assert together.dtype == np.float64
    np.testing.assert_array_equal(together, fields[:, counted])
    assert all(x.size <= max(values, len(fields)) for _, x in found)


def test_wrong_input():
    fields, counted = ensemble(), np.ones((7, 9), bool)
    with pytest.raises(ValueError, match='expected'):
        next(chunks(fields[:, 1:], counted))
    with pytest.raises(ValueError, match='expected'):
        next(chunks(fields[:0], counted))
    fields[3, 4, 4] = np.nan
    with pytest.raises(ValueError, match='1 of 63 valid cells are not finite in a member'):
        list(chunks(fields, counted))
