"""The model card: data, splits, versions, scores and notes as Markdown."""

import numpy as np
from markdown_it import MarkdownIt

from downscale_jax.evaluation.report import card, html
from downscale_jax.evaluation.results import LOWER, Definition, Publication

PUBLICATION = Publication(
    title='Rain | snow',
    lead='a beside b.',
    scores={'a': {'crps': np.array([1.0, 0.9, 1.1])}, 'b': {'crps': np.array([2.0, np.nan, np.nan])}},
    definitions={'crps': Definition('CRPS', LOWER, 'mm', 'accuracy', '')},
    details={},
    facts={},
    tables=(),
    figures=(),
    notes=['Scored over\n land.'],
    config={
        'system': 'pairs',
        'seed': 3,
        'data': {
            'coarse': 'c|1.nc',
            'fine': 'f.nc',
            'path': '',
            'targets': ('t2m', 'tp'),
            'train': (('1981', '1990'), ('1992', '1993')),
            'test': ('1994', '1995-06'),
        },
    },
)


def tables(text):
    """The cells of all tables of a Markdown text, by a parser of it, as rows of strings."""
    rows, is_cell = [], False
    for token in MarkdownIt('commonmark').enable('table').parse(text):
        if token.type == 'tr_open':
            rows.append([])
        elif token.type == 'inline' and is_cell:
            rows[-1].append(token.content)
        is_cell = token.type in ('td_open', 'th_open')
    return rows


def written(folder, publication):
    card.write(folder / 'card.md', publication, html.score_grids(publication))
    return (folder / 'card.md').read_text()


def test_tables_and_notes(tmp_path):
    text = written(tmp_path, PUBLICATION)
    rows = {row[0]: row[1:] for row in tables(text)}
    assert rows['training data'] == ['c|1.nc, f.nc']
    assert rows['targets'] == ['t2m, tp']
    assert rows['train split'] == ['1981 to 1990, 1992 to 1993']
    assert rows['test split'] == ['1994 to 1995-06']  # a single pair
    assert rows['Accuracy'] == ['CRPS, mm ↓']
    assert rows['a'] == ['1.00 (0.900…1.10)']
    assert rows['b'] == ['2.00']
    assert '- Scored over land.' in text
    assert card.SIMULATED not in text


def test_simulated_data_are_a_limit(tmp_path):
    data = {**PUBLICATION.config['data'], 'coarse': '', 'fine': ''}
    text = written(tmp_path, PUBLICATION._replace(config={**PUBLICATION.config, 'data': data}, notes=()))
    assert card.SIMULATED in text
    assert 'validation' not in text
