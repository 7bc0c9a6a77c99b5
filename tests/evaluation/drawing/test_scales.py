"""Spectra over windows and predictable scales."""

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import scales, style

pytestmark = pytest.mark.filterwarnings('error')


def estimate(value):
    """[n, 3]: value, low, high."""
    value = np.asarray(value, float)
    return np.stack([value, 0.9 * value, 1.1 * value], -1)


def test_spectra(tmp_path):
    wavelength = 128.0 / np.arange(1, 17)
    truth = wavelength**2
    powers = {'truth': truth, 'coarse': truth * 1e-3, 'member': truth * 0.9, 'mean': truth * 0.1, 'another': truth}
    anomaly = {**powers, 'coarse': truth * 0}
    figure = scales.spectra(wavelength, powers, anomaly, 'm', {'kernel': 84, '4 cells': 16, 'too long': 900})
    ratio = figure.axes[2].lines[1]  # after coarse; the truth itself is not among the ratios
    np.testing.assert_allclose(ratio.get_ydata(), 0.9)
    words = [text.get_text() for text in figure.axes[1].texts]
    assert 'ensemble mean' in words
    assert 'another' in words
    assert 'coarse' not in words  # its anomaly is zero
    assert 'kernel\n84 km' in words
    assert not any('too long' in word for word in words)
    style.save(figure, tmp_path / 'spectra.png')


def test_nothing_without_a_window(tmp_path):
    wavelength, marks = np.array([8.0, 4.0]), {'kernel': 84}
    for figure in (
        scales.spectra(wavelength, {}, {}, 'm', marks),
        scales.scales(wavelength, {}, {}, np.nan, marks),
    ):
        assert scales.NO_WINDOW in [text.get_text() for text in figure.texts]
        style.save(figure, tmp_path / 'nothing.png')


@pytest.mark.parametrize('beaten', [32.0, np.nan])
def test_scales(tmp_path, beaten):
    wavelength = 128.0 / np.arange(1, 17)
    error = {'regression': estimate(np.linspace(0.2, 1, 16)), 'mean': estimate(np.linspace(0.3, 1.1, 16))}
    correlation = {name: 1 - values for name, values in error.items()}
    correlation['mean'][:, 1:] = np.nan  # too few days for an interval
    figure = scales.scales(wavelength, error, correlation, beaten, {'kernel': 84, '4 cells': 16})
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), error['mean'][:, 0])
    np.testing.assert_allclose(right.lines[0].get_ydata(), correlation['regression'][:, 0])
    assert [text.get_text() for text in figure.legends[0].texts] == ['regression', 'ensemble mean', 'coarse']
    shaded = [patch.get_extents() for patch in left.patches]
    assert len(shaded) == np.isfinite(beaten)
    style.save(figure, tmp_path / 'scales.png')
