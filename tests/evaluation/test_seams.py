"""Fields without seams, with steps at borders, and with gradients that are uneven by nature."""

import numpy as np
import pytest
from scipy import ndimage

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation.bootstrap import bootstrap, total
from downscale_jax.evaluation.seams import borders, day_sums, summarise

SHAPE = (150, 202)
HARD, FUSED = Tiling(SHAPE, 2, 32, 0), Tiling(SHAPE, 2, 48, 12)
ONES, NOWHERE = np.ones(SHAPE), (np.zeros(0, int), np.zeros(0, int))


def borders_of(tiling):
    return borders(tiling.shape, tiling.origins, tiling.sizes)


LINES = borders_of(HARD), borders_of(FUSED)


def noise(count, sigma, seed=0):
    fields = np.random.default_rng(seed).normal(size=(count, *SHAPE))
    return ndimage.gaussian_filter(fields, (0, sigma, sigma), mode='wrap') if sigma else fields


def steps(tiling, seed=0):
    """A constant of its own on each tile, the later one where they overlap."""
    field, rng = np.zeros(SHAPE), np.random.default_rng(seed)
    for row, column in tiling.origins:
        field[row : row + tiling.sizes[0], column : column + tiling.sizes[1]] = rng.normal()
    return field


def test_borders_by_hand():
    found = borders((20, 23), np.array([[r, c] for r in (0, 12) for c in (0, 8, 16)]), (14, 8))
    # rows: tiles 0-14 and 12-26 overlap between 12 and 14; columns: 0-8, 8-16, 16-24 do not
    np.testing.assert_array_equal(found[0], [12, 13, 14])
    np.testing.assert_array_equal(found[1], [8, 16])


def test_an_odd_overlap_has_two_middles():
    assert borders((20, 4), np.array([[0, 0], [7, 0]]), (10, 4))[0].tolist() == [7, 8, 9, 10]


def test_tiles_that_begin_before_the_domain():
    found = borders((8, 20), np.array([[0, -6], [0, 3], [0, 12]]), (8, 12))
    assert [one.tolist() for one in found] == [[], [3, 4, 5, 6, 12, 13, 14, 15]]


@pytest.mark.parametrize('sigma', [0, 2])
def test_the_same_field_twice_has_no_seam(sigma):
    field = noise(1, sigma)[0]
    np.testing.assert_allclose(summarise(day_sums((field, field), ONES, LINES)), 1, rtol=1e-12)


@pytest.mark.parametrize('sigma', [0, 2])
def test_other_fields_of_the_same_kind_have_none(sigma):
    times = [day_sums(pair, ONES, LINES) for pair in zip(noise(40, sigma), noise(40, sigma, seed=1), strict=True)]
    each = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})
    error = each.std(0, ddof=1) / np.sqrt(40)
    assert (error < 0.015).all()
    assert (np.abs(summarise(total(times)) - 1) < 4 * error).all()


@pytest.mark.parametrize('which', [0, 1])
def test_steps_at_borders_of_one_tiling(which):
    clean = noise(4, 2)
    clean /= clean.std()
    stepped = clean + 0.5 * steps((HARD, FUSED)[which])
    pair = (stepped, clean) if which == 0 else (clean, stepped)
    found = summarise(day_sums(pair, ONES, LINES))
    assert found[which] > 1.2
    assert found[1 - which] == pytest.approx(1, abs=0.1)


def test_a_known_step():
    # slopes of 1 down and 2 across, steps of 3 more down across every border of the first tiling
    rows, columns = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    jumps = np.searchsorted(LINES[0][0], rows, side='right')
    found = summarise(day_sums((rows + 3 * jumps + 2 * columns, rows + 2 * columns), ONES, LINES))
    only = [np.setdiff1d(*pair).size for pair in zip(*LINES, strict=True)]
    weights = only[0] * SHAPE[1], only[1] * SHAPE[0]
    np.testing.assert_allclose(found, [(4 * weights[0] + weights[1]) / sum(weights), 1])


def test_what_both_share_does_not_count():
    # three more at every border of the second tiling, which has all those of the first between rows
    second = np.union1d(LINES[0][0], LINES[1][0]), LINES[1][1]
    plain = np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1]))
    field = plain + 3.0 * np.searchsorted(LINES[0][0], np.arange(SHAPE[0])[:, None], side='right')
    np.testing.assert_allclose(summarise(day_sums((field, plain), ONES, (LINES[0], second))), 1)
    assert summarise(day_sums((field, plain), ONES, LINES))[0] > 1.5


def test_uneven_gradients_are_no_seam():
    # a ridge along every border of the first tiling, three times as steep as the rest
    steep = np.isin(np.arange(SHAPE[0]), LINES[0][0])
    field = np.add.outer(np.cumsum(np.where(steep, 3.0, 1.0)), np.arange(SHAPE[1]))
    np.testing.assert_allclose(summarise(day_sums((field, field), ONES, LINES)), 1)
    np.testing.assert_allclose(summarise(day_sums((field, 5 * field), ONES, LINES)), 1)


def test_masked_cells_do_not_count():
    (field, other), weight = noise(2, 1), np.random.default_rng(1).uniform(0.5, 2, SHAPE)
    weight[:, :70] = 0
    expected = day_sums((field, other), weight, LINES)
    for missing in (np.nan, np.inf, 1e6):
        found = day_sums((np.where(weight > 0, field, missing), other), weight, LINES)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    pairs = np.minimum(weight[:, 71:], weight[:, 70:-1]).sum(0)
    shared = np.isin(np.arange(71, SHAPE[1]), np.intersect1d(LINES[0][1], LINES[1][1]))
    assert expected['gradient_weight'][1].sum() == pytest.approx(pairs[~shared].sum())
    # a cell that one of the fields lacks counts in neither
    gap = np.where(weight > 0, field, 0)
    gap[90:100, 100:110] = np.nan
    expected = day_sums((np.nan_to_num(gap), other), np.where(np.isnan(gap), 0, weight), LINES)
    for name, value in day_sums((gap, other), weight, LINES).items():
        np.testing.assert_array_equal(value, expected[name])


def test_members_are_averaged():
    fields, others = (noise(6, 1, seed).reshape(2, 3, *SHAPE) for seed in (0, 1))
    found = day_sums((fields, others), ONES, LINES)
    pairs = zip(fields.reshape(6, *SHAPE), others.reshape(6, *SHAPE), strict=True)
    each = [day_sums(pair, ONES, LINES) for pair in pairs]
    np.testing.assert_allclose(found['gradient'], np.mean([one['gradient'] for one in each], 0))
    np.testing.assert_array_equal(found['gradient_weight'], each[0]['gradient_weight'])


def test_one_tile_has_no_seam():
    whole = borders_of(Tiling(SHAPE, 2, 256, 16))
    assert not np.concatenate(whole).size
    field, other = noise(2, 1)
    found = summarise(day_sums((field, other), ONES, (LINES[0], whole)))
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    strip = borders_of(Tiling((30, 202), 2, 48, 12))  # a single row of tiles
    assert not strip[0].size
    found = summarise(day_sums((field[:30], other[:30]), ONES[:30], (strip, NOWHERE)))
    assert np.isfinite(found[0])


def test_leading_axes():
    times = [day_sums(pair, ONES, LINES) for pair in zip(noise(6, 1), noise(6, 1, seed=1), strict=True)]
    found = bootstrap(times, lambda sums: {'seam': summarise(sums)}, samples=20)
    assert found['seam'].shape == (2, 2)
    with pytest.raises(ValueError, match='weight'):
        day_sums((noise(1, 1)[0, 1:], noise(1, 1)[0]), ONES, LINES)
