"""The page of scores in the documentation is that of the definitions."""

import runpy
from pathlib import Path

from downscale_jax.evaluation import fields
from downscale_jax.evaluation.glaciers import scores as glaciers
from downscale_jax.evaluation.lags import scores as lags

DOCS = Path(__file__).parents[1] / 'docs'
markdown = runpy.run_path(str(DOCS / 'make_scores.py'))['markdown']


def test_the_page_is_up_to_date():
    assert (DOCS / 'scores.md').read_text() == markdown(), 'python docs/make_scores.py > docs/scores.md'


def test_every_score_has_a_row():
    rows = [line for line in markdown().splitlines() if line.startswith('| `')]
    assert len(rows) == sum(len(module.DEFINITIONS) for module in (fields, lags, glaciers))
    assert all(line.count(' | ') == 4 for line in rows)
