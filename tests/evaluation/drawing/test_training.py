"""Losses of the networks by step."""

import pytest

from downscale_jax.evaluation.drawing import style, training

pytestmark = pytest.mark.filterwarnings('error')


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


def test_training(tmp_path):
    rows = [{'task': 'regression', 'step': step, 'train/loss': 1 / (step + 1)} for step in range(30)]
    rows += [{'task': 'diffusion', 'step': step, 'train/loss': 0.5, 'validation/loss': 0.6} for step in (0, 10)]
    rows += [{'task': 'diffusion', 'step': 11, 'train/loss': float('nan')}, {'step': 12, 'seconds': 3}]
    figure = training.training(rows)
    assert titles(figure) == ['regression', 'diffusion', 'training']
    regression, diffusion, _ = figure.axes
    assert regression.get_yscale() == 'log'
    assert [len(line.get_xdata()) for line in diffusion.lines] == [2, 2]
    style.save(figure, tmp_path / 'training.png')


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in 'ab':
        style.save(training.training([{'step': 1, 'train/loss': 1.0}]), tmp_path / name)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
