"""All folds together: the runs, and scores of the joined glaciers."""

import json

import numpy as np
import pytest

from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.outcome import Outcome, all_scores, per_glacier
from downscale_jax.evaluation.report.publish import plain
from downscale_jax.runtime.errors import UserError
from experiments import glacier_folds


def fold(hits, missed, first, later):
    """Two test glaciers among three."""
    chosen = np.array([True, True, False])
    zeros = np.zeros(3)
    counts = {'hits': np.array([*hits, 0]), 'false': zeros, 'missed': np.array([*missed, 0]), 'rejected': zeros + 9,
              'distance': zeros, 'edge': zeros}  # fmt: skip
    areas = [np.array([*values, np.nan]) for values in (first, first, later)]
    change = Change(*areas, areas[2], np.zeros(3), np.zeros(3, bool), 8.0, areas[1], areas[2])
    clouds = np.zeros((2, 3))
    return Outcome({'network': counts}, {}, change, chosen, np.ones(3), 0.01, clouds, clouds)


def test_glaciers_of_two_folds_are_scored_as_those_of_one():
    given = fold((6, 8), (2, 0), (1.0, 2.0), (0.9, np.nan)), fold((3, 5), (3, 5), (4.0, 1.0), (3.5, 1.0))
    read = [
        glacier_folds.outcome({'glaciers': json.loads(json.dumps(plain(per_glacier(outcome))))}, np.array([0.2, size]))
        for outcome, size in zip(given, (0.3, 2.0), strict=True)
    ]
    scores = all_scores(glacier_folds.together(read))
    assert scores['network']['iou'][0] == pytest.approx(22 / 32)
    # the glacier that was not observed is left out of all rates
    assert scores['network']['rate'][0] == pytest.approx(100 * (-0.6 / 8) / 6)
    assert scores['truth']['rate'][0] == pytest.approx(scores['network']['rate'][0])
    assert all_scores(read[0])['network']['iou'][0] == pytest.approx(14 / 16)
    (row,) = [row for row in glacier_folds.rows('all', scores) if row['method'] == 'network']
    assert row['fold'] == 'all'
    assert row['iou'] == pytest.approx(22 / 32)
    small, large = glacier_folds.class_rows(glacier_folds.together(read))
    assert (small['by'], small['glaciers'], large['glaciers']) == ('size', 3, 1)
    assert small['network'] == pytest.approx(17 / 22)
    assert large['network'] == pytest.approx(5 / 10)


def test_one_run_per_fold():
    runs = glacier_folds.arms('configs/glaciers.py:smoke', {'training.main.steps': 5})
    assert [run.overrides['data.fold'] for run in runs] == [0, 1, 2]
    assert {run.overrides['training.main.steps'] for run in runs} == {5}
    with pytest.raises(UserError, match=r'data\.fold=1: all folds are run'):
        glacier_folds.arms('configs/glaciers.py:smoke', {'data.fold': 1})
