"""Curves above their ratio to those of the truth."""

from io import BytesIO

import numpy as np
import pytest

from downscale_jax.evaluation.drawing.ratios import Curves, spectra, variograms

pytestmark = pytest.mark.filterwarnings('error')
LINE = np.stack([np.geomspace(1, 0.1, 8), np.geomspace(0.9, 0.08, 8), np.geomspace(1.1, 0.2, 8)], -1)
TRUTH, WAVELENGTH = np.geomspace(1e-9, 1e-12, 8), np.geomspace(8000, 100, 8)


def curves(name, ratios=LINE, truth=TRUTH):
    return Curves(name, 'K²', truth, {'bicubic': ratios, 'gan_mse': ratios})


@pytest.mark.parametrize('count', [1, 2])
def test_spectra(count):
    figure = spectra(WAVELENGTH, [curves(name) for name in 'ab'[:count]], 'title', 'subtitle')
    figure.savefig(BytesIO(), dpi=30)
    assert len(figure.axes) == 2 * count
    above = figure.axes[:count]
    assert [panel.get_title('left') for panel in above] == ['a, K²', 'b, K²'][:count]
    np.testing.assert_allclose([line.get_ydata() for line in above[-1].lines], [TRUTH, *[LINE[:, 0] * TRUTH] * 2])
    assert all(panel.get_xlim() == pytest.approx((8000, 100)) for panel in figure.axes)


def test_semivariograms():
    kilometres = np.array([50.0, 100, 200])
    panels = [Curves(name, '1', np.array([0.1, 0.3, 0.8]), {'gan': LINE[:3]}) for name in 'ab']
    figure = variograms(kilometres, panels, 'title', 'subtitle')
    figure.savefig(BytesIO(), dpi=30)
    assert [panel.get_title('left') for panel in figure.axes[:2]] == ['a', 'b']
    assert [label.get_text() for label in figure.axes[3].get_xticklabels()] == ['50', '100', '200']


def test_missing_ratios_and_missing_intervals():
    alone = np.full((8, 3), np.nan)
    alone[:, 0] = LINE[:, 0]
    for ratios in (np.full((8, 3), np.nan), alone, np.zeros((8, 3))):
        spectra(WAVELENGTH, [curves('a', ratios)], 'title', 'subtitle').savefig(BytesIO(), dpi=30)


def test_no_line_leaves_its_panel():
    figure = spectra(WAVELENGTH, [curves('a'), curves('b', LINE / 5)], 'title', 'subtitle')
    low, high = figure.axes[2].get_ylim()
    assert low <= LINE[:, 0].min() / 5 < LINE[:, 0].max() <= high
