"""Files and terminal table of a publication."""

import json
import logging
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from downscale_jax.evaluation.report.publish import plain, publish, text_table
from downscale_jax.evaluation.results import LOWER, Definition, Figure, Publication, Table, certain

NAN = float('nan')
DEFINITIONS = {
    'rmse': Definition('RMSE', LOWER, 'm', 'Accuracy', 'Root mean squared error.'),
    'crps': Definition('CRPS', LOWER, 'm', 'Accuracy', ''),
    'spread': Definition('Spread', 'for information', 'm', 'Ensemble', ''),
}


class Ranks(NamedTuple):
    frequency: np.ndarray
    members: int


@pytest.fixture
def published(tmp_path, caplog):
    drawing = Drawing(figsize=(2, 1))
    drawing.subplots().plot([0, 1])
    publication = Publication(
        title='A title',
        lead='A lead.',
        scores={
            'coarse': {'crps': np.array([0.5, 0.4, 0.6]), 'rmse': certain(1 / 3), 'spread': certain(NAN)},
            'diffusion': {'spread': certain(np.float32(0.25))},
        },
        definitions=DEFINITIONS,
        details={'ranks': {'diffusion': Ranks(np.array([0.5, NAN]), 4)}, 'days': 3},
        facts={'a fact': '0.75'},
        tables=[Table('A table', 'Class', ['CRPS'], {'DJF': [certain(0.5)]})],
        figures=[Figure('lines', 'A caption.', drawing)],
        notes=['A note.'],
        config={'seed': 0, 'system': 'diffusion', 'data': {'path': 'fields.nc'}},
    )
    caplog.set_level(logging.INFO, 'downscale_jax')
    return publish(publication, tmp_path), tmp_path, caplog.messages


def test_scores(published):
    table, folder, _ = published
    assert table == {'coarse': {'rmse': 1 / 3, 'crps': 0.5}, 'diffusion': {'spread': 0.25}}  # nothing undefined
    assert list(table['coarse']) == ['rmse', 'crps']  # as defined
    stored = json.loads((folder / 'scores.json').read_text())
    assert stored == table
    assert list(stored['coarse']) == ['crps', 'rmse']  # by name: a comparison of two files shows what changed


def test_details(published):
    _, folder, _ = published
    assert json.loads((folder / 'details.json').read_text()) == {
        'scores': {
            'coarse': {'crps': [0.5, 0.4, 0.6], 'rmse': [1 / 3, None, None], 'spread': [None, None, None]},
            'diffusion': {'spread': [0.25, None, None]},
        },
        'ranks': {'diffusion': {'frequency': [0.5, None], 'members': 4}},
        'days': 3,
    }


def test_figures_and_report(published):
    _, folder, _ = published
    assert [path.name for path in (folder / 'figures').iterdir()] == ['lines.png']
    assert (folder / 'figures' / 'lines.png').read_bytes().startswith(b'\x89PNG')
    page = (folder / 'report.html').read_text()
    for text in ('A title', 'A lead.', 'a fact', '0.75', 'A table', 'DJF', 'A caption.', 'A note.', 'data:image/png'):
        assert text in page


def test_the_table_on_the_terminal(published):
    table, workdir, (message, place) = published
    assert str(workdir / 'report.html') in place
    assert message == text_table(table, DEFINITIONS)
    head, *rows = message.strip('\n').splitlines()
    assert head.split() == ['coarse', 'diffusion']
    assert [row.split() for row in rows] == [['rmse', '0.3333'], ['crps', '0.5'], ['spread', '0.25']]
    assert [len(row) for row in rows] == [28 + 2 * 17] * 3
    assert rows[2].index('0.25') > 28 + 17  # under its method


def test_the_table_leaves_out_scores_of_no_method():
    assert 'spread' not in text_table({'coarse': {'rmse': 1.0}}, DEFINITIONS)


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([[1.0, np.inf]]), [[1.0, None]]),
        ((1, 'a', None), [1, 'a', None]),
        ({1: NAN, 'b': True}, {'1': None, 'b': True}),
        (Ranks(np.zeros(1), 2), {'frequency': [0.0], 'members': 2}),
    ],
)
def test_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected
