"""Calibration by rank and class, and the error by size of the ensemble."""

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import calibration, style

pytestmark = pytest.mark.filterwarnings('error')


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


def estimate(value):
    """[n, 3]: value, low, high."""
    value = np.asarray(value, float)
    return np.stack([value, 0.9 * value, 1.1 * value], -1)


@pytest.mark.parametrize('ensembles', [['diffusion'], ['diffusion', 'calibrated']])
def test_calibration(tmp_path, ensembles):
    ranks = {name: estimate(np.linspace(0.8, 1.2, 5 + i)) for i, name in enumerate(ensembles)}
    reliability = {
        name: (np.arange(1, 5 + i) / (5 + i), estimate(np.linspace(0.2, 0.9, 4 + i)))
        for i, name in enumerate(ensembles)
    }
    by_class = {'below 1': estimate(0.1), 'over 1': estimate(0.5), 'JJA': np.array([0.3, np.nan, np.nan])}
    crps = {name: by_class for name in ('coarse', 'regression', *ensembles)}
    figure = calibration.calibration(
        ranks,
        reliability,
        dict.fromkeys(ensembles, by_class),
        crps,
        [['below 1', 'over 1'], ['JJA']],
        'm',
        'title',
        'subtitle',
    )
    _, curve, _, error = figure.axes
    assert titles(figure) == ['rank histogram', 'reliability', 'spread / skill', 'CRPS (m)']
    main = curve.lines[-1]
    np.testing.assert_allclose(
        main.get_xydata().T, (reliability[ensembles[-1]][0], reliability[ensembles[-1]][1][:, 0])
    )
    assert main.get_color() == style.LINES['member']['color']
    assert [label.get_text() for label in error.get_xticklabels()] == ['below 1', 'over 1', 'JJA']
    assert len(error.lines) == len(crps)
    assert [text.get_text() for text in figure.legends[0].texts] == list(crps)
    style.save(figure, tmp_path / 'calibration.png')


@pytest.mark.parametrize('interval', [(0.9, 1.1), (np.nan, np.nan)], ids=['interval', 'none'])
@pytest.mark.parametrize('numbers', [(1, 2), (1, 5, 10, 33)])
def test_error_by_size(tmp_path, numbers, interval):
    curve = {n: (1 + 1 / n) * np.array([1, *interval]) for n in numbers}
    units = {'a': 'K', 'b': 'm'}
    figure = calibration.by_size(dict.fromkeys(units, curve), dict.fromkeys(units, 0.5), units, 'title', 'subtitle')
    style.save(figure, tmp_path / 'size.png')
    assert [panel.get_ylabel() for panel in figure.axes] == ['RMSE (K)', 'RMSE (m)']
    for panel in figure.axes:
        value, perfect = (line.get_ydata() for line in panel.lines)
        np.testing.assert_allclose(value, 1 + 1 / np.array(numbers))
        np.testing.assert_allclose(perfect, 0.5 * np.sqrt(1 + 1 / np.array(numbers)))
        assert [label.get_text() for label in panel.get_xticklabels()] == [str(n) for n in numbers]
        assert panel.get_ylim()[1] > max(*value, *perfect)
