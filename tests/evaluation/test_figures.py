"""Figures draw every case without a warning and show what they were given."""

import numpy as np
import pytest

from downscale_jax.evaluation import figures

pytestmark = pytest.mark.filterwarnings('error')
PNG = b'\x89PNG'


def day(members=3, shape=(24, 30)):
    rng = np.random.default_rng(0)
    truth = rng.normal(1, 1, shape)
    ocean = np.ones(shape, bool)
    ocean[:6, :6] = False
    truth[~ocean] = truth[12, 12] = np.nan
    return rng.normal(1, 0.1, shape), rng.normal(1, 1, (members, *shape)), truth, ocean


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


@pytest.mark.parametrize(
    ('members', 'options', 'expected'),
    [
        (1, {}, ['coarse input', 'prediction', 'truth', 'error']),
        (2, {'y_up': False}, ['ensemble mean', 'spread of the members', 'error of the mean']),
        (3, {'zoom': (8, 10, 8)}, ['ensemble mean', 'member 3', 'spread of the members', 'error of the mean']),
        (3, {'regression': np.ones((24, 30))}, ['regression', 'spread of the members', 'error of the mean']),
    ],
)
def test_maps(tmp_path, members, options, expected):
    figure = figures.maps(*day(members), 4.0, 'thickness', 'm', 'title', 'subtitle', **options)
    assert titles(figure)[-len(expected) :] == expected
    figures.save(figure, tmp_path / 'maps.png')
    assert (tmp_path / 'maps.png').read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ['maps.png']


def test_maps_share_the_scale_of_the_truth():
    coarse, members, truth, ocean = day()
    figure = figures.maps(coarse, members, truth, ocean, 4.0, 'thickness', 'm')
    limits = {axes.get_title('left'): axes.images[1].get_clim() for axes in figure.axes if axes.get_title('left')}
    scale = tuple(np.quantile(truth[np.isfinite(truth)], (0.01, 0.99)))
    assert limits['coarse input'] == limits['member 1'] == limits['truth'] == limits['ensemble mean'] == scale
    low, high = limits['error of the mean']
    assert low == -high


def test_maps_of_a_day_without_truth():
    coarse, members, truth, ocean = day()
    figures.maps(coarse, members, np.full_like(truth, np.nan), ocean, 4.0, 'thickness', 'm').canvas.draw()


def test_spectra(tmp_path):
    wavelength = 128.0 / np.arange(1, 17)
    truth = wavelength**2
    powers = {'truth': truth, 'coarse': truth * 1e-3, 'member': truth * 0.9, 'mean': truth * 0.1, 'another': truth}
    anomaly = {**powers, 'coarse': truth * 0}
    figure = figures.spectra(wavelength, powers, anomaly, 'm', {'kernel': 84, '4 cells': 16, 'too long': 900})
    ratio = figure.axes[2].lines[1]  # after coarse; the truth itself is not among the ratios
    np.testing.assert_allclose(ratio.get_ydata(), 0.9)
    words = [text.get_text() for text in figure.axes[1].texts]
    assert 'ensemble mean' in words
    assert 'another' in words
    assert 'coarse' not in words  # its anomaly is zero
    assert 'kernel\n84 km' in words
    assert not any('too long' in word for word in words)
    figures.save(figure, tmp_path / 'spectra.png')


@pytest.mark.parametrize('nothing', [None, {}])
def test_spectra_without_a_window(tmp_path, nothing):
    figure = figures.spectra(np.array([8.0, 4.0]), nothing, nothing, 'm', {'kernel': 84})
    assert any('No window' in text.get_text() for text in figure.texts)
    figures.save(figure, tmp_path / 'spectra.png')


def test_training(tmp_path):
    rows = [{'task': 'regression', 'step': step, 'train/loss': 1 / (step + 1)} for step in range(30)]
    rows += [{'task': 'diffusion', 'step': step, 'train/loss': 0.5, 'validation/loss': 0.6} for step in (0, 10)]
    rows += [{'task': 'diffusion', 'step': 11, 'train/loss': float('nan')}, {'step': 12, 'seconds': 3}]
    figure = figures.training(rows)
    assert titles(figure) == ['regression', 'diffusion', 'training']
    regression, diffusion, _ = figure.axes
    assert regression.get_yscale() == 'log'
    assert [len(line.get_xdata()) for line in diffusion.lines] == [2, 2]
    figures.save(figure, tmp_path / 'training.png')


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in 'ab':
        figures.save(figures.training([{'step': 1, 'train/loss': 1.0}]), tmp_path / name)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
