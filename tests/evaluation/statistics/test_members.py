"""The cells of an ensemble in chunks."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import members as module
from downscale_jax.evaluation.statistics.members import chunks, require_finite


def ensemble(members=12, shape=(7, 9)):
    return np.random.default_rng(0).normal(2, 1, (members, *shape)).astype(np.float32)


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
    with pytest.raises(ValueError, match='1 of 63 valid cells are not finite'):
        list(chunks(fields, counted))
    counted[4, 4] = False
    assert sum(cells.size for cells, _ in chunks(fields, counted)) == 62


def test_only_cells_that_count_must_be_finite():
    fields, counted = ensemble(3), np.ones((7, 9), bool)
    require_finite(fields, counted)
    fields[0, 0, 0] = fields[2, 0, 0] = fields[1, 3, 3] = np.inf
    with pytest.raises(ValueError, match='2 of 63 valid cells'):
        require_finite(fields, counted)
    with pytest.raises(ValueError, match='1 of 63 valid cells'):
        require_finite(fields[1], counted)
    counted[0, 0] = counted[3, 3] = False
    require_finite(fields, counted)
