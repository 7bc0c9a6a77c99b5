"""Curves draw every case without a warning and show what they were given."""

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import curves
from downscale_jax.evaluation.drawing import style as look

pytestmark = pytest.mark.filterwarnings('error')


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


def estimate(value):
    """[n, 3]: value, low, high."""
    value = np.asarray(value, float)
    return np.stack([value, 0.9 * value, 1.1 * value], -1)


def test_spectra(tmp_path):
    wavelength = 128.0 / np.arange(1, 17)
    truth = wavelength**2
    powers = {'truth': truth, 'coarse': truth * 1e-3, 'member': truth * 0.9, 'mean': truth * 0.1, 'another': truth}
    anomaly = {**powers, 'coarse': truth * 0}
    figure = curves.spectra(wavelength, powers, anomaly, 'm', {'kernel': 84, '4 cells': 16, 'too long': 900})
    ratio = figure.axes[2].lines[1]  # after coarse; the truth itself is not among the ratios
    np.testing.assert_allclose(ratio.get_ydata(), 0.9)
    words = [text.get_text() for text in figure.axes[1].texts]
    assert 'ensemble mean' in words
    assert 'another' in words
    assert 'coarse' not in words  # its anomaly is zero
    assert 'kernel\n84 km' in words
    assert not any('too long' in word for word in words)
    look.save(figure, tmp_path / 'spectra.png')


def test_nothing_without_a_window(tmp_path):
    wavelength, marks = np.array([8.0, 4.0]), {'kernel': 84}
    for figure in (
        curves.spectra(wavelength, {}, {}, 'm', marks),
        curves.scales(wavelength, {}, {}, np.nan, marks),
    ):
        assert any('No window' in text.get_text() for text in figure.texts)
        look.save(figure, tmp_path / 'nothing.png')


@pytest.mark.parametrize('beaten', [32.0, np.nan])
def test_scales(tmp_path, beaten):
    wavelength = 128.0 / np.arange(1, 17)
    error = {'regression': estimate(np.linspace(0.2, 1, 16)), 'mean': estimate(np.linspace(0.3, 1.1, 16))}
    correlation = {name: 1 - values for name, values in error.items()}
    correlation['mean'][:, 1:] = np.nan  # too few days for an interval
    figure = curves.scales(wavelength, error, correlation, beaten, {'kernel': 84, '4 cells': 16})
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), error['mean'][:, 0])
    np.testing.assert_allclose(right.lines[0].get_ydata(), correlation['regression'][:, 0])
    assert [text.get_text() for text in figure.legends[0].texts] == ['regression', 'ensemble mean', 'coarse']
    shaded = [patch.get_extents() for patch in left.patches]
    assert len(shaded) == np.isfinite(beaten)
    look.save(figure, tmp_path / 'scales.png')


@pytest.mark.parametrize('ensembles', [['diffusion'], ['diffusion', 'calibrated']])
def test_calibration(tmp_path, ensembles):
    ranks = {name: estimate(np.linspace(0.8, 1.2, 5 + i)) for i, name in enumerate(ensembles)}
    reliability = {
        name: (np.arange(1, 5 + i) / (5 + i), estimate(np.linspace(0.2, 0.9, 4 + i)))
        for i, name in enumerate(ensembles)
    }
    by_class = {'below 1': estimate(0.1), 'over 1': estimate(0.5), 'JJA': np.array([0.3, np.nan, np.nan])}
    crps = {name: by_class for name in ('coarse', 'regression', *ensembles)}
    figure = curves.calibration(
        ranks, reliability, dict.fromkeys(ensembles, by_class), crps, [['below 1', 'over 1'], ['JJA']], 'm', 'title'
    )
    _, curve, _, error = figure.axes
    assert titles(figure) == ['rank histogram', 'reliability', 'spread / skill', 'CRPS (m)']
    main = curve.lines[-1]
    np.testing.assert_allclose(
        main.get_xydata().T, (reliability[ensembles[-1]][0], reliability[ensembles[-1]][1][:, 0])
    )
    assert main.get_color() == look.LINES['member']['color']
    assert [label.get_text() for label in error.get_xticklabels()] == ['below 1', 'over 1', 'JJA']
    assert len(error.lines) == len(crps)
    assert [text.get_text() for text in figure.legends[0].texts] == list(crps)
    look.save(figure, tmp_path / 'calibration.png')


def test_training(tmp_path):
    rows = [{'task': 'regression', 'step': step, 'train/loss': 1 / (step + 1)} for step in range(30)]
    rows += [{'task': 'diffusion', 'step': step, 'train/loss': 0.5, 'validation/loss': 0.6} for step in (0, 10)]
    rows += [{'task': 'diffusion', 'step': 11, 'train/loss': float('nan')}, {'step': 12, 'seconds': 3}]
    figure = curves.training(rows)
    assert titles(figure) == ['regression', 'diffusion', 'training']
    regression, diffusion, _ = figure.axes
    assert regression.get_yscale() == 'log'
    assert [len(line.get_xdata()) for line in diffusion.lines] == [2, 2]
    look.save(figure, tmp_path / 'training.png')


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in 'ab':
        look.save(curves.training([{'step': 1, 'train/loss': 1.0}]), tmp_path / name)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
