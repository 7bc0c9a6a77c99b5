"""Documents and docstrings name only files that are in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ('data_prep', 'downscale_jax')
FOLDERS = 'configs|data_prep|docs|downscale_jax|experiments|tests'
PAGES = sorted(ROOT.glob('docs/**/*.md'))
DOCUMENTS = sorted([*ROOT.glob('*.md'), *PAGES])
GALLERY = sorted(ROOT.glob('docs/gallery/*.*'))  # scripts, whose links Sphinx checks
SOURCES = sorted(path for folder in FOLDERS.split('|') for path in ROOT.glob(f'{folder}/**/*.py'))


def relative(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize('document', DOCUMENTS, ids=relative(DOCUMENTS))
def test_links_and_figures_exist(document):
    targets = re.findall(r'\]\(([^)\s#]+)', document.read_text())
    local = [target for target in targets if '://' not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize('document', [*DOCUMENTS, *GALLERY], ids=relative([*DOCUMENTS, *GALLERY]))
def test_files_named_in_documents_exist(document):
    named = re.findall(rf'(?<![\w./-])(?:{FOLDERS})/[\w./-]*\w', document.read_text())
    made = ('NAME', 'docs/_build')  # a placeholder, and what a command writes
    assert [name for name in named if not any(part in name for part in made) and not (ROOT / name).exists()] == []


def test_every_figure_is_shown_in_a_document():
    texts = ''.join(document.read_text() for document in DOCUMENTS)
    figures = [path.relative_to(ROOT / 'docs').as_posix() for path in ROOT.glob('docs/figures/**/*.png')]
    assert [name for name in figures if f'{name})' not in texts] == []


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for contents in re.findall(r'```{toctree}\n(.*?)```', page.read_text(), re.DOTALL):
            for entry in re.findall(r'^[^:\n].*$', contents, re.MULTILINE):
                name = re.sub(r'.*<(.*)>', r'\1', entry)  # `Title <name>` or `name`
                listed |= {path.resolve() for path in page.parent.glob(f'{name}.md')}
    assert set(PAGES) - listed == {ROOT / 'docs/index.md'}


def test_the_api_lists_every_package():
    api = (ROOT / 'docs/reference/api.md').read_text().split()
    folders = [path.parent for path in ROOT.glob('*/**/__init__.py') if path.parts[len(ROOT.parts)] in PACKAGES]
    packages = ['.'.join(path.relative_to(ROOT).parts) for path in folders if len(list(path.glob('*.py'))) > 1]
    assert set(packages) - set(api) == set()


def test_documents_named_in_sources_exist():
    missing = [
        (str(path.relative_to(ROOT)), name)
        for path in [ROOT / 'main.py', *SOURCES]
        for name in re.findall(r'docs/[\w/]+\.md|\b[A-Z]{4,}\.md', path.read_text())
        if not (ROOT / name).exists()
    ]
    assert missing == []
