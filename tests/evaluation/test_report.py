"""The report is one well-formed file with everything in it and nothing from outside."""

import base64
import re
import resource
from html.parser import HTMLParser

import pytest

from downscale_jax.evaluation.report import html as report
from downscale_jax.runtime.errors import UserError

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


@pytest.fixture
def page(tmp_path):
    png = tmp_path / 'a.png'
    png.write_bytes(b'\x89PNG picture')
    scores = {
        'coarse': {'crps': 0.3, 'rmse': 0.4, 'bias': -0.02, 'new': 7.0},
        'regression': {'crps': 0.2, 'rmse': 0.25, 'bias': 0.01, 'new': None},
        '<diffusion>': {'crps': 0.1234567, 'rmse': 0.25, 'bias': float('nan'), 'spread_skill': 1.1},
    }
    intervals = {'coarse': {'crps': (0.28, 0.32), 'rmse': (float('nan'), float('nan'))}}
    nan = float('nan')
    tables = [
        report.Table(
            'By <regime>',
            'Regime',
            ['CRPS & co'],
            {'thin <ice>': [(0.5, 0.4, 0.6)], 'open': [(nan, nan, nan)]},
            'a <note>',
        )
    ]
    path = tmp_path / 'report.html'
    report.write(
        path, 'A & <b>', {'Days <': 30, 'Cells': 3853953, 'x': 0.00001}, scores, intervals, tables,
        {'maps "of" <day>': png}, {'path': '<script>alert(1)</script>', 'widths': (1, 2)}, ['not <observed>'],
        lead='l < m', unit='m',
    )  # fmt: skip
    assert {file.name for file in tmp_path.iterdir()} == {'a.png', 'report.html'}
    return path.read_text()


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


def test_best_values_are_bold(page):
    # equal digits are equally good; no best in a column of one, nor where nothing is better
    assert re.findall('<b>(.*?)</b>', page) == ['0.250', '0.0100', '0.123', '0.250']
    assert '0.280…0.320' in page
    assert '<td>0.500<small>0.400…0.600</small></td>' in page
    assert '<td>–</td>' in page
    assert 'nan' not in page.split('</style>')[1]


def test_page_without_anything(tmp_path):
    report.write(tmp_path / 'empty.html', 'nothing', {}, {}, None, [], {}, {}, [])
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
    assert report._text(value) == text


def test_accuracy_and_ensemble_stand_in_tables_of_their_own(page):
    accuracy, ensemble = (page.index(f'<h2>{heading}</h2>') for heading in ('Accuracy', 'Ensemble and texture'))
    assert accuracy < page.index('>RMSE<') < ensemble < page.index('>Spread / skill<') < page.index('By &lt;regime&gt;')
    assert page.count('<table>') == 3


def test_a_report_that_the_disk_refuses_leaves_the_one_before(tmp_path):
    path, limits = tmp_path / 'report.html', resource.getrlimit(resource.RLIMIT_FSIZE)
    report.write(path, 'before', {}, {}, None, [], {}, {}, [])
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # Python ignores the signal
    try:
        with pytest.raises(UserError, match=r'cannot write .*report.html: File too large'):
            report.write(path, 'after', {}, {}, None, [], {}, {}, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
