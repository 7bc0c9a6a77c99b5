"""Scores of outlines and of area change: hand-counted cells, and systematic errors that cancel."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.glaciers import change, scores
from downscale_jax.evaluation.glaciers.outcome import MAIN, NAIVE, TRUTH, rates
from downscale_jax.evaluation.glaciers.report import classes_of
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.fields.rasters.grid import RasterGrid

SHAPE = (40, 60)
GRID = RasterGrid('EPSG:32632', 0.0, 0.0, 30.0, SHAPE)
EXACT = {'buffer': 0.0, 'outlier': 5.0}  # counts inside the outlines


def block(row, column, height, width):
    cells = np.zeros(SHAPE, bool)
    cells[row : row + height, column : column + width] = True
    return cells


def view(prediction, outline, ice=None, debris=None, valid=True):
    """Glaciers 0 and 1 in the western and the eastern half."""
    owner = np.repeat((np.arange(60) >= 30).astype(int)[None], 40, 0)
    image = np.zeros((*SHAPE, 2), np.float32)
    everywhere = np.broadcast_to(valid, SHAPE)
    return View(image, everywhere, prediction.astype(np.float32), outline, outline, owner, ice, debris, GRID)


def test_counts_by_glacier():
    truth = block(5, 5, 10, 10) | block(5, 40, 10, 10)
    prediction = block(5, 7, 10, 10)
    counts = scores.count(prediction, view(prediction, truth), 2)
    assert counts['hits'].tolist() == [80, 0]
    assert counts['false'].tolist() == [20, 0]
    assert counts['missed'].tolist() == [20, 100]
    assert counts['rejected'].tolist() == [1200 - 120, 1100]
    result = scores.scores(counts, np.array([True, False]))
    expected = {'iou': 80 / 120, 'f1': 0.8, 'precision': 0.8, 'recall': 0.8, 'accuracy': 1160 / 1200}
    for name, value in expected.items():
        assert result[name][0] == pytest.approx(value)
    assert scores.scores(counts, np.array([False, True]))['iou'][0] == 0


def test_the_distance_of_a_boundary_that_is_moved():
    """A square that is a cell larger on all sides is a cell away, at its corners the root of two."""
    truth, prediction = block(10, 10, 12, 12), block(9, 9, 14, 14)
    counts = scores.count(prediction, view(prediction, truth), 2)
    edges = 44 + 52
    assert counts['edge'][0] == edges
    assert counts['distance'][0] == pytest.approx(30 * (44 + 48 + 4 * np.sqrt(2)))


def test_clouds_are_not_scored():
    truth, hidden = block(5, 5, 10, 10), block(5, 5, 10, 5)
    counts = scores.count(~truth, view(truth, truth, valid=~hidden), 2)
    assert counts['missed'].tolist() == [50, 0]


def test_recall_of_debris():
    truth = block(5, 5, 10, 10)
    debris = block(5, 5, 4, 10).astype(float)
    prediction = block(7, 5, 8, 10)
    counts = scores.count(prediction, view(prediction, truth, ice=truth, debris=debris), 2)
    assert scores.scores(counts, np.array([True, False]))['debris_recall'][0] == pytest.approx(0.5)


def test_what_is_always_missed_cancels_in_the_rate():
    """The network misses a strip of both glaciers at both dates; the inventory includes it."""
    outline = block(5, 5, 20, 10) | block(5, 40, 20, 10)
    strip = block(5, 5, 4, 10) | block(5, 40, 4, 10)
    later = block(5, 5, 16, 10) | block(5, 40, 18, 10)
    views = view(outline & ~strip, outline, ice=outline), view(later & ~strip, outline, ice=later)
    found = change.change(*views, np.ones(2, bool), 8.0, 0.01, EXACT)
    cell = 0.0009
    np.testing.assert_allclose(found.rate, [-40 * cell / 8, -20 * cell / 8])
    np.testing.assert_allclose(found.true, found.rate)
    np.testing.assert_allclose(found.naive, [-80 * cell / 8, -60 * cell / 8])
    # perimeter 60 faces of 30 m, times pi / 4; both areas are uncertain
    np.testing.assert_allclose(found.sigma, np.sqrt(2) * 0.01 * np.pi / 4 * 1.8 / 8)
    rate = change.regional(found.rate, found.first, found.used)
    assert rate[0] == pytest.approx(-100 * 60 / (320 * 8))


def test_areas_are_compared_where_both_dates_are_clear():
    outline = block(5, 5, 20, 10)
    half = ~block(5, 5, 10, 10)
    views = view(outline, outline, valid=half), view(outline, outline)
    found = change.change(*views, np.array([True, False]), 8.0, 0.01, EXACT)
    assert np.isnan(found.rate[0])  # half of it is not enough
    views = view(outline, outline, valid=~block(5, 5, 4, 10)), view(block(5, 5, 16, 10), outline)
    found = change.change(*views, np.array([True, False]), 8.0, 0.01, EXACT)
    assert found.first[0] == pytest.approx(200 * 0.0009)
    assert found.later[0] == pytest.approx(200 * 0.0009 * 120 / 160)


def test_a_buffer_holds_the_losses_outside_of_an_outline_that_was_drawn_too_small():
    """The glacier loses two rows of ten cells, the first of which lies outside of the outline."""
    outline, ice, later = block(6, 5, 18, 10), block(5, 5, 20, 10), block(7, 5, 18, 10)
    views = view(ice, outline), view(later, outline)
    rates = {}
    for buffer in (0.0, 30.0, 60.0):
        found = change.change(*views, np.array([True, False]), 8.0, 0.01, {**EXACT, 'buffer': buffer})
        rates[buffer] = found.rate[0] * 8 / 0.0009
        assert found.naive[0] * 8 / 0.0009 == pytest.approx(-10)
    assert rates == pytest.approx({0.0: -10, 30.0: -20, 60.0: -20})


def test_outliers():
    values = np.array([-1.0, -1.1, -0.9, -1.2, -0.8, 9.0, np.nan])
    assert change.outliers(values, 5.0).tolist() == [False] * 5 + [True, False]
    assert not change.outliers(np.zeros(4), 5.0).any()


def test_the_displacement_that_explains_the_differences():
    outline = block(5, 5, 20, 10) | block(5, 40, 20, 10)
    prediction = block(6, 6, 18, 8) | outline & block(0, 30, 40, 30)
    width = change.displacement(view(prediction, outline), 2)
    residual = 56 * 0.0009 / (np.pi / 4 * 1.8)  # of one glacier; the other has none
    assert width == pytest.approx(change.ROBUST * residual / 2)


def test_a_glacier_clouded_inside_but_clear_around_it_is_left_out_of_the_naive_rate():
    """Its rate within the buffer is known, that inside of the outline is not."""
    outline = block(5, 5, 4, 4) | block(5, 40, 20, 10)
    clouded = block(5, 5, 4, 4) & ~block(5, 5, 1, 4)
    views = view(outline, outline, ice=outline), view(outline & ~block(5, 40, 2, 10), outline, ice=outline)
    views = views[0]._replace(valid=~clouded), views[1]
    found = change.change(*views, np.ones(2, bool), 8.0, 0.01, {**EXACT, 'buffer': 60.0})
    assert np.isfinite(found.rate).all()
    assert np.isnan(found.naive).tolist() == [True, False]
    table = rates(found)
    for method in (MAIN, NAIVE, TRUTH):
        assert np.isfinite(table[method]['rate'][0])
    assert table[NAIVE]['rate'][0] == pytest.approx(-100 * 20 / (200 * 8))
    assert table[NAIVE]['rate_error'][0] == pytest.approx(-100 * 20 / (200 * 8))


def test_classes_of_size():
    """The first has no lower edge; those without a test glacier are left out."""
    area, chosen = np.array([0.05, 0.3, 3.0, 9.0, 0.7]), np.array([True, True, True, True, False])
    hits, missed, none = np.array([1.0, 3, 5, 7, 9]), np.array([3.0, 1, 5, 0, 0]), np.zeros(5)
    counts = {MAIN: {'hits': hits, 'missed': missed, 'false': none, 'rejected': none, 'distance': none, 'edge': none}}
    outcome = SimpleNamespace(area=area, chosen=chosen, debris=None, counts=counts)
    ((title, glaciers, iou),) = classes_of(outcome)
    assert (title, glaciers) == ('size', {'under 0.5 km²': 2, '1–5 km²': 1, 'over 5 km²': 1})
    assert {name: row[MAIN][0] for name, row in iou.items()} == {
        'under 0.5 km²': 0.5,
        '1–5 km²': 0.5,
        'over 5 km²': 1,
    }
