"""The report is one well-formed file with everything in it and nothing from outside."""

import base64
import re
import resource
from html.parser import HTMLParser

import numpy as np
import pytest

from downscale_jax.evaluation.report import html
from downscale_jax.evaluation.results import HIGHER, LOWER, ONE, ZERO, Definition, Figure, Publication, Table
from downscale_jax.runtime.errors import UserError

NAN = float('nan')
VOID = {'meta', 'img'}


class Checker(HTMLParser):
    """Asserts that tags nest; collects attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.words = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def estimate(value, low=NAN, high=NAN):
    return np.array([value, low, high])


DEFINITIONS = {
    'crps': Definition('CRPS', LOWER, 'm', 'Accuracy', ''),
    'rmse': Definition('RMSE', LOWER, 'm', 'Accuracy', 'Root of the mean squared "error" & more.'),
    'bias': Definition('Bias', ZERO, 'm', 'Accuracy', 'Mean error.'),
    'spread_skill': Definition('Spread / skill', ONE, '1', 'Ensemble and texture', 'Ratio.'),
    'spread': Definition('Spread', 'for information', 'm', 'Ensemble and texture', 'Deviation.'),
    'absent': Definition('Absent', LOWER, '1', 'Nothing', 'No method has it.'),
}
SCORES = {
    'coarse': {'crps': estimate(0.3, 0.28, 0.32), 'rmse': estimate(0.4), 'bias': estimate(-0.02)},
    'regression': {'crps': estimate(0.2), 'rmse': estimate(0.25), 'bias': estimate(0.01)},
    '<diffusion>': {
        'crps': estimate(0.1234567),
        'rmse': estimate(0.25),
        'bias': estimate(NAN),
        'spread_skill': estimate(1.1),
        'spread': estimate(7.0),
    },
    'persistence': {'rmse': estimate(3.0)},
}
EMPTY = Publication('nothing', '', {}, {}, {}, {}, (), (), (), {})


@pytest.fixture
def page(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'\x89PNG picture')
    table = Table(
        'By <regime>',
        'Regime',
        ['CRPS & co'],
        {'thin <ice>': [estimate(0.5, 0.4, 0.6)], 'open': [estimate(NAN)]},
        'a <note>',
    )
    publication = EMPTY._replace(
        title='A & <b>',
        lead='l < m',
        scores=SCORES,
        definitions=DEFINITIONS,
        facts={'Days <': 30, 'Cells': 3853953, 'x': 0.00001, 'CRPS / MAE': '0.75'},
        tables=[table],
        figures=[Figure('a', 'maps "of" <day>', None)],
        notes=['not <observed>'],
        config={'path': '<script>alert(1)</script>', 'widths': (1, 2)},
    )
    html.write(tmp_path / 'report.html', publication, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {'a.png', 'report.html'}
    return (tmp_path / 'report.html').read_text()


def test_page_is_well_formed_and_escaped(page):
    checker = Checker(page)
    text = ' '.join(checker.words)
    for words in (
        'A & <b>',
        'l < m',
        'Days <',
        '3\u202f853\u202f953',
        '1.00e−05',
        'not <observed>',
        '<diffusion>',
        'By <regime>',
        'CRPS & co',
        'thin <ice>',
        'a <note>',
    ):
        assert words in text
    assert '<script' not in page
    assert ('img', 'alt', 'maps "of" <day>') in checker.attributes


def test_page_needs_nothing_from_outside(page):
    checker = Checker(page)
    sources = [value for _, name, value in checker.attributes if name in ('src', 'href')]
    assert sources == ['data:image/png;base64,' + base64.b64encode(b'\x89PNG picture').decode()]
    assert 'http:' not in page
    assert 'https:' not in page
    assert 'url(' not in page
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert ('meta', 'content', policy) in checker.attributes
    assert 'prefers-color-scheme: dark' in page
    assert '@media print' in page


def test_best_values_are_bold(page):
    # equal digits are equally good; no best in a column of one, nor where nothing is better
    assert re.findall('<b>(.*?)</b>', page) == ['0.250', '0.0100', '0.123', '0.250']
    assert '0.280…0.320' in page
    assert '<td>0.500<small>0.400…0.600</small></td>' in page
    assert '<td>–</td>' in page
    assert 'nan' not in page.split('</style>')[1]


@pytest.mark.parametrize(
    ('direction', 'values', 'winners'),
    [
        (ZERO, [-0.1, 0.1, 0.2], 'ab'),
        (ONE, [0.5, 2.0, 3.0], 'ab'),
        (ONE, [0.8, 1.25, 1.26], 'ab'),
        (LOWER, [-0.1, 0.1, -0.1000001], 'ac'),
        (HIGHER, [1234.4, 1234.3, 1230.0], 'ab'),
        ('for information', [1.0, 2.0, 3.0], ''),
    ],
)
def test_equally_good_values(direction, values, winners):
    definition = Definition('', direction, '1', '', '')
    assert html.best(dict(zip('abc', values, strict=True)), definition) == set(winners)


def test_page_without_anything(tmp_path):
    html.write(tmp_path / 'empty.html', EMPTY, tmp_path)
    Checker((tmp_path / 'empty.html').read_text())


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (0.0, '0'),
        (-0.01234, '−0.0123'),
        (1.0, '1.00'),
        (123.4, '123'),
        (45678.9, '45679'),
        (8, '8'),
        (1e-7, '1.00e−07'),
    ],
)
def test_numbers(value, text):
    assert html.text(value) == text


def test_accuracy_and_ensemble_stand_in_tables_of_their_own(page):
    accuracy, ensemble = (page.index(f'<h2>{heading}</h2>') for heading in ('Accuracy', 'Ensemble and texture'))
    assert accuracy < page.index('>RMSE<') < ensemble < page.index('>Spread / skill<') < page.index('By &lt;regime&gt;')
    assert page.count('<table>') == 3
    assert 'Nothing' not in page  # a group without a score


def test_a_method_without_a_score_of_a_group_is_left_out(page):
    accuracy, ensemble = page.split('<h2>')[1:3]
    assert '>persistence<' in accuracy
    assert '>persistence<' not in ensemble


def test_headings_and_definitions(page):
    checker = Checker(page)
    hints = [value for tag, name, value in checker.attributes if (tag, name) == ('th', 'title')]
    assert hints[1] == 'Root of the mean squared "error" & more. (lower is better)'
    assert hints[0] == 'lower is better'
    arrows = re.findall('<span class="direction" aria-label=".*?">(.*?)</span>', page)
    assert arrows == ['↓', '↓', '→ 0', '→ 1', '\u00a0']
    assert re.findall('<span class="unit">(.*?)</span>', page) == ['m', 'm', 'm', '\u00a0', 'm']
    assert re.findall('<dt>(.*?)</dt><dd>.*?</dd>\n', page.split('Definitions')[1]) == [
        *('RMSE', 'Bias', 'Spread / skill', 'Spread')
    ]


def test_variables_share_the_definitions(tmp_path):
    scores = {'a': {f'rmse_{v}': estimate(1.0) for v in 'xyz'}}
    definitions = {f'rmse_{v}': DEFINITIONS['rmse']._replace(group=v) for v in 'xyz'}
    html.write(tmp_path / 'report.html', EMPTY._replace(scores=scores, definitions=definitions), tmp_path)
    page = (tmp_path / 'report.html').read_text()
    assert page.count('<table>') == 3
    assert page.count('<dt>RMSE</dt>') == 1
    assert '<b>' not in page  # a single method is not the best
    assert 'interval' not in page


def test_a_report_that_the_disk_refuses_leaves_the_one_before(tmp_path):
    path, limits = tmp_path / 'report.html', resource.getrlimit(resource.RLIMIT_FSIZE)
    html.write(path, EMPTY, tmp_path)
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # Python ignores the signal
    try:
        with pytest.raises(UserError, match=r'cannot write .*report.html: File too large'):
            html.write(path, EMPTY._replace(title='after'), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_utf_8_or_html_cannot_hold(tmp_path):
    name = '<script>\x00\x1b\udcff' + 'x' * 5000
    publication = Publication(name, name, {}, {}, {}, {name: name}, (), (), [name], {name: name})
    html.write(tmp_path / 'report.html', publication, tmp_path)
    page = (tmp_path / 'report.html').read_text()
    assert '<script>' not in page
    assert not set(page) & {'\x00', '\x1b'}
    Checker(page)
