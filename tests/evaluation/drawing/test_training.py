"""Losses of the networks by step."""

import pytest

from downscale_jax.evaluation.drawing import style, training

pytestmark = pytest.mark.filterwarnings('error')


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


def test_training(tmp_path):
    rows = [{'task': 'regression', 'step': step, 'train/loss': 1 / (step + 1)} for step in range(30)]
    rows += [{'task': 'diffusion', 'step': step, 'train/loss': 0.5, 'validation/loss': 0.6} for step in (0, 10)]
    rows += [{'task': 'diffusion', 'step': 11, 'train/loss': float('nan')}, {'task': 'tail', 'step': 12}]
    figure = training.training(rows)
    assert titles(figure) == ['regression', 'diffusion', 'tail']
    regression, diffusion, _ = figure.axes
    assert regression.get_yscale() == 'log'
    assert [len(line.get_xdata()) for line in diffusion.lines] == [2, 2]
    style.save(figure, tmp_path / 'training.png')


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in 'ab':
        style.save(training.training([{'task': 'a', 'step': 1, 'train/loss': 1.0}]), tmp_path / name)
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_losses_of_a_work_directory(tmp_path):
    assert titles(training.losses(tmp_path, 'none').drawing) == ['training']
    (tmp_path / 'metrics.jsonl').write_text('{"task": "regression", "step": 1, "train/loss": 1.0}\n')
    assert titles(training.losses(tmp_path, 'one').drawing) == ['regression']
