"""Labels from users' files: TeX, HTML, control characters and endless names do not fail, and are shortened."""

import numpy as np
import pytest
from matplotlib.text import Text

from downscale_jax.evaluation.drawing import ratios, style
from downscale_jax.evaluation.drawing.ratios import Curves
from downscale_jax.evaluation.labels import LONGEST, shortened
from downscale_jax.evaluation.setting import label

pytestmark = pytest.mark.filterwarnings('error')
NAMES = ('$', '$\frac{a}$', '\x00\x1b[31m', 'x' * 5000, 'a\nb\nc\nd\ne', '<b>&', '\u6c34\u6df1', '\udcff', '')


@pytest.mark.parametrize('name', NAMES, ids=range(len(NAMES)))
def test_any_name_can_be_drawn(tmp_path, name):
    figure = style.blank(2.0, name, name)
    left, right = figure.subplots(1, 2)
    left.set(title=name, xlabel=name, ylabel=f'{name} (m)')
    left.plot([1, 2], [1, 2], label=name or 'b')
    left.legend()
    style.ticks(right, [0, 1], [name[:LONGEST], 'b'])
    style.label_ends(right, {name: (0.5, '#000000')})
    style.save(figure, tmp_path / 'a.png')
    assert (tmp_path / 'a.png').stat().st_size > 1000
    assert max(len(line) for text in figure.findobj(Text) for line in text.get_text().split('\n')) <= LONGEST


def test_a_logarithmic_axis_has_plain_labels(tmp_path):
    truth = np.array([1e-2, 1e-5, 1e-8])
    curves = Curves('$power', 'm2', truth, {'member': np.ones((3, 3))})
    figure = ratios.spectra(np.array([300.0, 100.0, 30.0]), [curves], 'title', 'subtitle')
    style.save(figure, tmp_path / 'a.png')
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert '10⁻⁴' in labels
    assert not [text for text in labels if '$' in text]
    assert [style.Powers()(value) for value in (1.0, 100.0, 1e-7)] == ['10⁰', '10²', '10⁻⁷']
    spanning = style.Powers()
    spanning.create_dummy_axis(minpos=0)
    spanning.axis.set_view_interval(0.2, 3)
    assert [spanning(value) for value in (0.6, 3.0, 0.03)] == ['0.6', '3', '3×10⁻²']


def test_the_main_method_looks_like_a_member_and_leaves_the_others_their_looks():
    names = ('a', 'b', 'main', 'mean', 'c_1')
    found, without = style.looks(names, 'main'), style.looks([name for name in names if name != 'main'])
    assert found == {**without, 'main': style.LINES['member']}


def test_shortened():
    assert shortened('  a\n\tb\x00c ') == 'a b c'
    assert shortened('1\u202f000') == '1\u202f000'
    assert shortened('x' * 100, 10) == 'xxxxxxxxx…'
    assert label('sit', {'long_name': 'thick_ness\n' * 1000}).startswith('thick ness thick ness')
    assert len(label('sit', {'long_name': 'thickness ' * 1000})) <= LONGEST
