"""Experiments on crystals: arms, neighbours, and what is refused."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from downscale_jax.evaluation.statistics.energy import between
from downscale_jax.runtime.errors import UserError
from experiments.benchmarks.crystals import silhouettes
from experiments.crystals import hidden_arms, real_and_simulated, rosettes
from experiments.many_runs import resolve


def test_every_variant_is_a_config():
    for group in rosettes.GROUPS:
        runs = rosettes.group_runs(group, {'seed': 3})
        settings = [resolve(rosettes.CONFIG, run.overrides) for run in runs]
        assert all(found['seed'] == 3 for found in settings)
        assert len({str(found) for found in settings}) == len(runs)


def test_nearest_neighbours_of_groups_apart_and_together():
    rng = np.random.default_rng(0)
    real = np.arange(60) < 20
    apart = between((rng.normal(size=(60, 2)) + 9.0 * real[:, None])[:, None])
    assert real_and_simulated.nearest_share(apart, real) == 1
    together = between(rng.normal(size=(60, 1, 2)))
    assert real_and_simulated.nearest_share(together, real) < 0.7


def test_what_is_refused(tmp_path):
    np.savez(tmp_path / 'a.npz', images=np.eye(8)[None].repeat(3, 0), labels=['plate', 'plate', 'column'])
    assert real_and_simulated.photographs(tmp_path / 'a.npz', 'plate').shape == (2, 8, 8)
    with pytest.raises(UserError, match=r"--label=colum: .* has 0 such images: did you mean 'column'"):
        real_and_simulated.photographs(tmp_path / 'a.npz', 'colum')


def test_arms_behind_others_are_hidden():
    from data_prep.simulators.crystals.habits import Rosette

    one = np.ones(3)
    rosette = Rosette(10.0, 40.0, 1.0, 1.0, 1.0, one, one, np.array([[1.0, 0, 0], [0, 0, 1], [0, 0, -1]]), 0 * one)
    along_z = [Rotation.identity(1)]
    across = [Rotation.from_euler('x', 90, degrees=True) * Rotation.identity(1)]
    seen, turned = (hidden_arms.visible_areas(rosette, view, 48)[:, 0, 0] for view in (along_z, across))
    assert seen[0] > 50
    assert seen[1:].max() < 5  # one behind the other, except for the corners of the hexagons
    assert turned.min() > 50


def test_an_observer_confuses_what_looks_alike():
    numbers = np.arange(4, 11)
    all_seen = hidden_arms.Observed(numbers, numbers)
    assert hidden_arms.balanced_accuracy(all_seen) == 1
    one_hidden = hidden_arms.Observed(np.repeat(numbers, 2), np.concatenate([[n, n - 1] for n in numbers]))
    assert hidden_arms.balanced_accuracy(one_hidden) == pytest.approx(8 * 0.5 / 7)


def test_the_benchmark_counts_silhouettes():
    from data_prep.simulators.crystals.rosettes import draw_mesh

    mesh = silhouettes.outline(draw_mesh(4, np.random.default_rng(0))[1])
    wall, cpu = silhouettes.rates([mesh], 16, 1, 1)
    assert wall > 0
    assert cpu > 0
