"""The page of scores in the documentation is that of the definitions."""

from pathlib import Path

from downscale_jax.evaluation import fields
from downscale_jax.evaluation.lags import scores as lags
from downscale_jax.evaluation.report.score_table import markdown

PAGE = Path(__file__).parents[3] / 'docs' / 'scores.md'


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == markdown(), 'python -m downscale_jax.evaluation.report.score_table > docs/scores.md'


def test_every_score_has_a_row():
    rows = [line for line in markdown().splitlines() if line.startswith('| `')]
    assert len(rows) == len(fields.DEFINITIONS) + len(lags.DEFINITIONS)
    assert all(line.count(' | ') == 4 for line in rows)
