"""Fields without seams, with steps at borders, and with gradients that are uneven by nature."""

import numpy as np
import pytest
from scipy import ndimage

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation.measures.seams import borders, day_sums, own_share, summarise
from downscale_jax.evaluation.statistics.bootstrap import bootstrap, total

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


def scored(fields, others, lines=LINES, weight=ONES):
    return summarise(day_sums(fields, others, weight, *lines))


def own_lines(axis):
    return np.setdiff1d(LINES[0][axis], LINES[1][axis])


def test_own_share():
    both = (np.array([4, 8, 12]), np.array([5])), (np.array([8, 9]), np.array([], int))
    assert own_share(*both) == 3 / 4
    assert own_share(*both[::-1]) == 1 / 2
    assert own_share(NOWHERE, both[0]) == 0


@pytest.mark.parametrize('sigma', [0, 2])
def test_the_same_field_twice_has_no_seam(sigma):
    field = noise(1, sigma)[0]
    found = scored(field, field)
    assert found['seam'] == pytest.approx(1, rel=1e-12)
    assert found['step'] == 0


@pytest.mark.parametrize('sigma', [0, 2])
def test_other_fields_of_the_same_kind(sigma):
    """No seam; their gradients differ by the root of two."""
    times = [day_sums(*pair, ONES, *LINES) for pair in zip(noise(40, sigma), noise(40, sigma, seed=1), strict=True)]
    each = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})
    error = each['seam'].std(0, ddof=1) / np.sqrt(40)
    assert error < 0.015
    found = summarise(total(times))
    assert abs(found['seam'] - 1) < 4 * error
    assert found['step'] == pytest.approx(np.sqrt(2), rel=0.05)


def test_steps_at_borders():
    clean = noise(4, 2)
    clean /= clean.std()
    found, elsewhere = (scored(clean + 0.5 * steps(tiling), clean) for tiling in (HARD, FUSED))
    assert found['seam'] > 1.2
    assert found['step'] > 1
    # what the control shows is not counted as this one's
    assert elsewhere['seam'] == pytest.approx(1, abs=0.1)
    assert elsewhere['step'] < 0.2 * found['step']


def test_a_known_step():
    # slopes of 1 down and 2 across, steps of 3 more down across every border
    rows, columns = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    jumps = np.searchsorted(LINES[0][0], rows, side='right')
    found = scored(rows + 3 * jumps + 2 * columns, rows + 2 * columns)
    weights = own_lines(0).size * SHAPE[1], own_lines(1).size * SHAPE[0]
    assert found['seam'] == pytest.approx((4 * weights[0] + weights[1]) / sum(weights))
    assert found['step'] == pytest.approx(3 * np.sqrt(weights[0] / (weights[0] + 4 * weights[1])))


def test_what_steepens_and_what_smooths_cancels_in_one_only():
    """Half of the borders between rows have twice the gradient, half have none."""
    rows = np.arange(SHAPE[0])[:, None] + np.zeros(SHAPE)
    lines, change = own_lines(0), np.zeros(SHAPE[0])
    change[lines[: lines.size // 2 * 2]] = np.tile([1.0, -1.0], lines.size // 2)
    found = scored(rows + np.cumsum(change)[:, None], rows, ((lines[: lines.size // 2 * 2], NOWHERE[1]), NOWHERE))
    assert (found['seam'], found['step']) == pytest.approx((1, 1))


def test_what_both_share_does_not_count():
    # three more at every border of the control, which has all those between rows
    control = np.union1d(LINES[0][0], LINES[1][0]), LINES[1][1]
    plain = np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1]))
    field = plain + 3.0 * np.searchsorted(LINES[0][0], np.arange(SHAPE[0])[:, None], side='right')
    found = scored(field, plain, (LINES[0], control))
    assert (found['seam'], found['step']) == pytest.approx((1, 0))
    assert scored(field, plain)['seam'] > 1.5


def test_uneven_gradients_are_no_seam():
    # a ridge along every border, three times as steep as the rest
    steep = np.isin(np.arange(SHAPE[0]), LINES[0][0])
    field = np.add.outer(np.cumsum(np.where(steep, 3.0, 1.0)), np.arange(SHAPE[1]))
    assert scored(field, field)['seam'] == pytest.approx(1)
    assert scored(field, 5 * field)['seam'] == pytest.approx(1)


def test_masked_cells_do_not_count():
    (field, other), weight = noise(2, 1), np.random.default_rng(1).uniform(0.5, 2, SHAPE)
    weight[:, :70] = 0
    expected = day_sums(field, other, weight, *LINES)
    for missing in (np.nan, np.inf, 1e6):
        found = day_sums(np.where(weight > 0, field, missing), other, weight, *LINES)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    pairs = np.minimum(weight[:, 71:], weight[:, 70:-1]).sum(0)
    counted = ~np.isin(np.arange(71, SHAPE[1]), LINES[1][1])
    assert expected['gradient_weight'][1].sum() == pytest.approx(pairs[counted].sum())
    # a cell that one of the fields lacks counts in neither
    gap = np.where(weight > 0, field, 0)
    gap[90:100, 100:110] = np.nan
    expected = day_sums(np.nan_to_num(gap), other, np.where(np.isnan(gap), 0, weight), *LINES)
    for name, value in day_sums(gap, other, weight, *LINES).items():
        np.testing.assert_array_equal(value, expected[name])


def test_members_are_averaged():
    fields, others = (noise(6, 1, seed).reshape(2, 3, *SHAPE) for seed in (0, 1))
    found = day_sums(fields, others, ONES, *LINES)
    pairs = zip(fields.reshape(6, *SHAPE), others.reshape(6, *SHAPE), strict=True)
    each = [day_sums(*pair, ONES, *LINES) for pair in pairs]
    for name in ('gradient', 'squares'):
        np.testing.assert_allclose(found[name], np.mean([one[name] for one in each], 0))
    np.testing.assert_array_equal(found['gradient_weight'], each[0]['gradient_weight'])


def test_one_tile_has_no_seam():
    whole = borders_of(Tiling(SHAPE, 2, 256, 16))
    assert not np.concatenate(whole).size
    field, other = noise(2, 1)
    assert np.isfinite(scored(field, other, (LINES[0], whole))['seam'])
    assert all(np.isnan(value) for value in scored(field, other, (whole, LINES[0])).values())
    strip = borders_of(Tiling((30, 202), 2, 48, 12))  # a single row of tiles
    assert not strip[0].size
    assert np.isfinite(scored(field[:30], other[:30], (strip, NOWHERE), ONES[:30])['seam'])


def test_leading_axes():
    times = [day_sums(*pair, ONES, *LINES) for pair in zip(noise(6, 1), noise(6, 1, seed=1), strict=True)]
    assert {value.shape for value in bootstrap(times, summarise, samples=20).values()} == {(2,)}
    for pair in ((noise(1, 1)[0, 1:], noise(1, 1)[0]), (noise(1, 1)[0, 1:], noise(1, 1)[0, 1:])):
        with pytest.raises(ValueError, match='weight'):
            day_sums(*pair, ONES, *LINES)
