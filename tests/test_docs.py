"""Documents and docstrings name only files that are in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = 'configs|data_prep|docs|downscale_jax|experiments|tests'
DOCUMENTS = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')])
SOURCES = sorted(path for folder in FOLDERS.split('|') for path in ROOT.glob(f'{folder}/**/*.py'))


def relative(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize('document', DOCUMENTS, ids=relative(DOCUMENTS))
def test_links_and_figures_exist(document):
    targets = re.findall(r'\]\(([^)\s#]+)', document.read_text())
    local = [target for target in targets if '://' not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize('document', DOCUMENTS, ids=relative(DOCUMENTS))
def test_files_named_in_documents_exist(document):
    named = re.findall(rf'(?<![\w./-])(?:{FOLDERS})/[\w./-]*\w', document.read_text())
    assert [name for name in named if 'NAME' not in name and not (ROOT / name).exists()] == []


def test_every_figure_is_shown_in_a_document():
    texts = ''.join(document.read_text() for document in DOCUMENTS)
    figures = [path.name for path in ROOT.glob('docs/figures/*.png')]
    assert [name for name in figures if f'figures/{name})' not in texts] == []


def test_every_page_is_linked_from_the_index():
    index = (ROOT / 'docs/index.md').read_text()
    pages = [path.relative_to(ROOT / 'docs').as_posix() for path in ROOT.glob('docs/**/*.md')]
    assert [page for page in pages if page != 'index.md' and f'({page})' not in index] == []


def test_documents_named_in_sources_exist():
    missing = [
        (str(path.relative_to(ROOT)), name)
        for path in [ROOT / 'main.py', *SOURCES]
        for name in re.findall(r'docs/[\w/]+\.md|\b[A-Z]{4,}\.md', path.read_text())
        if not (ROOT / name).exists()
    ]
    assert missing == []
