"""Figures of the glacier report without a glacier that was seen at both dates."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import style
from downscale_jax.evaluation.glaciers import report
from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.outcome import INVENTORY, MAIN, Outcome
from downscale_jax.evaluation.glaciers.scores import count
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.fields.rasters.grid import RasterGrid

SHAPE = (40, 60)
FOLD = SimpleNamespace(
    config={'data': {'path': '', 'bands': ['green', 'swir'], 'dates': ['2016-08-01', '2022-08-01']}},
    prepared=SimpleNamespace(meta={'idealised': True}),
)


@pytest.mark.parametrize(('later', 'names'), [(0.4, {'change'}), (np.nan, set())], ids=['seen', 'clouded'])
def test_figures(tmp_path, later, names):
    outline = np.zeros(SHAPE, bool)
    outline[5:25, 5:25] = outline[5:25, 40:50] = True
    owner = np.repeat((np.arange(60) >= 30).astype(int)[None], 40, 0)
    image = np.random.default_rng(0).uniform(0.1, 1, (*SHAPE, 2))
    grid = RasterGrid('EPSG:32632', 0.0, 0.0, 30.0, SHAPE)
    view = View(image, np.ones(SHAPE, bool), outline.astype(float), outline, outline, owner, None, None, grid)
    area = np.array([0.5, 0.3])
    nobody = np.zeros(2, bool)
    change = Change(area, area, np.array([later, later]), area, area, nobody, 6.0)
    counts = {MAIN: count(outline, view, 2), INVENTORY: count(outline, view, 2)}
    outcome = Outcome(counts, {}, change, ~nobody, area, 0.01, np.zeros((2, 2)), np.zeros((2, 2)))
    figures = report.figures(
        outcome, report.all_scores(outcome), report.classes_of(outcome), [view, view], FOLD, tmp_path
    )
    assert {figure.name for figure in figures} == {'map', 'classes', 'training'} | names
    for figure in figures:
        style.save(figure.drawing, tmp_path / figure.file)
