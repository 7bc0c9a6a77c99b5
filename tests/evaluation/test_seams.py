"""Fields without seams, with steps at borders, and with gradients that are uneven by nature."""

import numpy as np
import pytest
from scipy import ndimage

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation.bootstrap import bootstrap, total
from downscale_jax.evaluation.seams import day_sums, lines, summarise

SHAPE = (150, 202)
HARD, FUSED = Tiling(SHAPE, 2, 32, 0), Tiling(SHAPE, 2, 48, 12)
ONES = np.ones(SHAPE)


def lines_of(tiling):
    return lines(tiling.shape, tiling.origins, tiling.sizes)


def noise(count, sigma, seed=0):
    fields = np.random.default_rng(seed).normal(size=(count, *SHAPE))
    return ndimage.gaussian_filter(fields, (0, sigma, sigma), mode='wrap') if sigma else fields


def steps(tiling, seed=0):
    """A constant of its own on each tile, the later one where they overlap."""
    field, rng = np.zeros(SHAPE), np.random.default_rng(seed)
    for row, column in tiling.origins:
        field[row : row + tiling.sizes[0], column : column + tiling.sizes[1]] = rng.normal()
    return field


def test_lines_by_hand():
    found = lines((20, 23), np.array([[r, c] for r in (0, 12) for c in (0, 8, 16)]), (14, 8))
    # rows: tiles 0-14 and 12-26 overlap between 12 and 14; columns: 0-8, 8-16, 16-24 do not
    np.testing.assert_array_equal(found.borders[0], [12, 13, 14])
    np.testing.assert_array_equal(found.borders[1], [8, 16])
    np.testing.assert_array_equal(found.controls[0], [6, 7, 8, 18, 19])
    np.testing.assert_array_equal(found.controls[1], [4, 12, 20])


def test_an_odd_overlap_has_two_middles():
    assert lines((20, 4), np.array([[0, 0], [7, 0]]), (10, 4)).borders[0].tolist() == [7, 8, 9, 10]


def test_tiles_that_begin_before_the_domain():
    found = lines((8, 20), np.array([[0, -6], [0, 3], [0, 12]]), (8, 12))
    assert [borders.tolist() for borders in found.borders] == [[], [3, 4, 5, 6, 12, 13, 14, 15]]


@pytest.mark.parametrize('tiling', [HARD, FUSED, Tiling((150, 202), 2, 24, 10)])
def test_borders_and_controls_share_no_line(tiling):
    found = lines_of(tiling)
    for n, borders, controls in zip(SHAPE, found.borders, found.controls, strict=True):
        assert borders.size >= 3
        assert controls.size >= 3
        assert not set(borders) & set(controls)
        for several in (borders, controls):
            assert several.min() > 0
            assert several.max() < n


@pytest.mark.parametrize('tiling', [HARD, FUSED])
@pytest.mark.parametrize('sigma', [0, 2])
def test_fields_without_seams(tiling, sigma):
    times = [day_sums(field, ONES, lines_of(tiling)) for field in noise(40, sigma)]
    each = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})
    pooled = summarise(total(times))
    for name in ('borders', 'controls', 'seams', 'seam'):
        error = each[name].std(0, ddof=1) / np.sqrt(40)
        assert (error < 0.015).all()
        assert (np.abs(pooled[name] - 1) < 4 * error).all()


@pytest.mark.parametrize('tiling', [HARD, FUSED])
def test_steps_at_borders(tiling):
    fields = noise(4, 2)
    fields /= fields.std()
    clean, stepped = (
        summarise(total([day_sums(field + seam, ONES, lines_of(tiling)) for field in fields]))
        for seam in (0, 0.5 * steps(tiling))
    )
    assert clean['seam'] == pytest.approx(1, abs=0.05)
    assert stepped['seam'] > 1.2
    assert (stepped['seams'] > 1.2).all()
    np.testing.assert_allclose(stepped['controls'], 1, atol=0.1)


def test_a_known_step():
    # slopes of 1 down and 2 across, steps of 3 more down across every border
    rows = np.arange(SHAPE[0])[:, None]
    jumps = np.searchsorted(lines_of(HARD).borders[0], rows, side='right')
    found = summarise(day_sums(rows + 3 * jumps + 2 * np.arange(SHAPE[1]), ONES, lines_of(HARD)))
    np.testing.assert_allclose(found['seams'], [4, 1])
    np.testing.assert_allclose(found['controls'], [1, 1])
    borders = [found_.size * other for found_, other in zip(lines_of(HARD).borders, SHAPE[::-1], strict=True)]
    assert found['seam'] == pytest.approx((4 * borders[0] + borders[1]) / sum(borders))


def test_a_step_at_controls():
    columns = np.arange(SHAPE[1])
    jumps = np.searchsorted(lines_of(FUSED).controls[1], columns, side='right')
    found = summarise(day_sums(np.add.outer(np.arange(SHAPE[0]), columns + jumps), ONES, lines_of(FUSED)))
    np.testing.assert_allclose(found['controls'], [1, 2])
    np.testing.assert_allclose(found['seams'], [1, 0.5])


def test_uneven_gradients_are_no_seam():
    # two tiles each way and a ridge along the middle: all borders lie on it, controls beside it in equal measure
    tiling = Tiling((128, 128), 2, 64, 0)
    distance = np.abs(np.arange(128) - 63.5)
    field = np.cumsum(np.where(distance < 50, 3.0, 1.0))
    found = summarise(day_sums(np.add.outer(field, field), np.ones((128, 128)), lines_of(tiling)))
    assert found['borders'][0] > 1.15
    np.testing.assert_allclose(found['seams'], 1)


def test_masked_cells_do_not_count():
    field, weight = noise(1, 1)[0], np.random.default_rng(1).uniform(0.5, 2, SHAPE)
    weight[:, :70] = 0
    expected = day_sums(np.where(weight > 0, field, 1e6), weight, lines_of(FUSED))
    for missing in (np.nan, np.inf):
        found = day_sums(np.where(weight > 0, field, missing), weight, lines_of(FUSED))
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert expected['gradient_weight'][1].sum() == pytest.approx(np.sum(np.minimum(weight[:, 71:], weight[:, 70:-1])))
    gap = np.where(weight > 0, field, 0)
    gap[90:100, 100:110] = np.nan
    weight = np.where(np.isnan(gap), 0, weight)
    for name, value in day_sums(gap, weight, lines_of(FUSED)).items():
        np.testing.assert_allclose(value, day_sums(np.nan_to_num(gap), weight, lines_of(FUSED))[name])


def test_members_are_averaged():
    fields = noise(6, 1).reshape(2, 3, *SHAPE)
    found = day_sums(fields, ONES, lines_of(HARD))
    each = [day_sums(field, ONES, lines_of(HARD)) for field in fields.reshape(6, *SHAPE)]
    np.testing.assert_allclose(found['gradient'], np.mean([one['gradient'] for one in each], 0))
    np.testing.assert_array_equal(found['gradient_weight'], each[0]['gradient_weight'])


def test_one_tile_has_no_seam():
    whole = Tiling(SHAPE, 2, 256, 16)
    found = summarise(day_sums(noise(1, 1)[0], ONES, lines_of(whole)))
    assert all(np.isnan(value).all() for value in found.values())
    strip = Tiling((30, 202), 2, 48, 12)  # a single row of tiles
    found = summarise(day_sums(noise(1, 1)[0, :30], ONES[:30], lines_of(strip)))
    assert np.isnan(found['seams'][0])
    assert found['seam'] == found['seams'][1]


def test_leading_axes():
    times = [day_sums(field, ONES, lines_of(HARD)) for field in noise(6, 1)]
    assert bootstrap(times, summarise, samples=20)['seam'].shape == (2,)
    with pytest.raises(ValueError, match='expected'):
        day_sums(noise(1, 1)[0, 1:], ONES, lines_of(HARD))
