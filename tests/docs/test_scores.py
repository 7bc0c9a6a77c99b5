"""The page of scores in the documentation is that of the definitions."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / 'docs'
page = runpy.run_path(str(DOCS / 'make_scores.py'))
markdown, TABLES = page['markdown'], page['TABLES']


def test_the_page_is_up_to_date():
    assert (DOCS / 'scores.md').read_text() == markdown(), 'python docs/make_scores.py > docs/scores.md'


def test_every_score_has_a_row():
    rows = [line for line in markdown().splitlines() if line.startswith('| `')]
    assert len(rows) == sum(map(len, TABLES.values()))
    assert all(line.count(' | ') == 4 for line in rows)
