"""The page of settings in the documentation is that of the descriptions."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / 'docs'
markdown = runpy.run_path(str(DOCS / 'make_settings.py'))['markdown']


def test_the_page_is_up_to_date():
    assert (DOCS / 'settings.md').read_text() == markdown(), 'python docs/make_settings.py > docs/settings.md'


def test_every_row_has_four_columns():
    rows = [line for line in markdown().splitlines() if line.startswith('| `')]
    assert len(rows) > 200
    assert {line.count(' | ') for line in rows} == {3}
