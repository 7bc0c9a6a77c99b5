import json

import numpy as np
import pytest

from downscale_jax.runtime.errors import UserError
from experiments import curriculum

CONFIG = 'configs/atmodist.py'


def test_both_arms_take_as_many_steps():
    direct, few_first = curriculum.arms(CONFIG, {'training.main.steps': 900, 'data.lags': 12}, 300)
    assert direct.overrides == {'training.main.steps': 900, 'data.lags': 12, 'training.phases': ('main',)}
    assert few_first.overrides == {
        'training.main.steps': 600, 'training.few.steps': 300, 'training.phases': ('few', 'main'), 'data.lags': 12,
    }  # fmt: skip


@pytest.mark.parametrize('few', [0, 900, 901])
def test_a_first_phase_that_leaves_nothing(few):
    with pytest.raises(UserError, match=rf'--few-steps={few}: between 1 and training\.main\.steps=900'):
        curriculum.arms(CONFIG, {'training.main.steps': 900}, few)


def test_the_plateau_ends_where_the_loss_stays_below_it():
    steps = np.array([50, 100, 150, 200, 250])
    assert curriculum.start(steps, np.array([1.1, 0.97, 1.0, 0.97, 0.5]), 1.0) == 200  # not 100: it came back
    assert curriculum.start(steps, np.array([0.9, 0.8, 0.8, 0.7, 0.5]), 1.0) == 50
    assert np.isnan(curriculum.start(steps, np.full(5, 0.99), 1.0))
    assert np.isnan(curriculum.start(steps, np.array([0.5, 0.5, 0.5, 0.5, np.nan]), 1.0))


def test_the_curve_is_that_of_the_lags_in_training(tmp_path):
    rows = [
        {'task': 'untrained', 'step': 50, 'train/cross_entropy': 9.0},
        {'task': 'lags', 'step': 50, 'train/cross_entropy': 2.5},
        {'task': 'lags', 'step': 50, 'validation/cross_entropy': 7.0},
        {'task': 'lags', 'step': 100, 'train/cross_entropy': 2.0},
    ]
    (tmp_path / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    steps, loss = curriculum.curve(tmp_path)
    np.testing.assert_array_equal(steps, [50, 100])
    np.testing.assert_array_equal(loss, [2.5, 2.0])
    path = tmp_path / 'curves.png'
    curriculum.draw({'direct': (steps, loss), 'curriculum': (steps, loss - 0.5)}, np.log(12), 60, 'made up', path)
    assert path.read_bytes().startswith(b'\x89PNG')
