import jax
import numpy as np
import pytest

from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints


def trees(step):
    state = {'w': np.full((3, 2), step, np.float32), 'step': np.int32(step)}
    return parallel.replicate(state), parallel.replicate({'loss': np.float32(step / 2)})


@pytest.fixture
def saved(tmp_path):
    """Steps 1 to 5 with these validation losses, the newest two and the best kept."""
    checkpoints = Checkpoints(tmp_path / 'task', keep=2)
    for step, loss in enumerate([5.0, 1.0, 4.0, None, 3.0], start=1):
        checkpoints.save(step, *trees(step), loss)
    checkpoints.close()
    return tmp_path / 'task'


def test_newest_two_and_best_are_kept(saved):
    steps = sorted(int(path.name) for path in saved.iterdir())
    assert steps == [2, 4, 5]
    checkpoints = Checkpoints(saved, read_only=True)
    assert checkpoints.latest() == 5
    assert checkpoints.best() == 2
    assert [checkpoints.loss(step) for step in steps] == [1.0, np.inf, 3.0]


def test_a_new_best_replaces_the_old_one(saved):
    checkpoints = Checkpoints(saved, keep=2)
    checkpoints.save(6, *trees(6), 0.5)
    checkpoints.save(7, *trees(7), 2.0)
    checkpoints.close()
    assert sorted(int(path.name) for path in saved.iterdir()) == [6, 7]
    assert Checkpoints(saved, read_only=True).best() == 6


def test_equal_losses_the_earlier_is_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, *trees(step), 1.0)
    checkpoints.close()
    assert Checkpoints(tmp_path, read_only=True).best() == 1


def test_restores_what_was_saved_in_the_layout_asked_for(saved):
    checkpoints = Checkpoints(saved, read_only=True)
    state, sums = trees(0)
    state, sums = checkpoints.restore(5, parallel.abstract(state), sums)
    np.testing.assert_array_equal(state['w'], np.full((3, 2), 5, np.float32))
    assert state['w'].dtype == np.float32
    assert state['w'].sharding == parallel.replicate(np.zeros(1)).sharding
    assert (int(state['step']), float(sums['loss'])) == (5, 2.5)
    assert int(checkpoints.restore_state(2, parallel.abstract(trees(0)[0]))['step']) == 2


def test_a_step_appears_only_when_it_is_complete(tmp_path):
    state = parallel.replicate({'w': np.zeros(2**22, np.float32)})
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, state, {'loss': parallel.replicate(np.float32(0))}, 1.0)
    # seen while it is being written: either nothing or the whole
    for _ in range(20):
        reader = Checkpoints(tmp_path, read_only=True)
        if reader.latest() is None:
            continue
        restored = reader.restore_state(1, parallel.abstract(state))
        assert jax.tree.map(np.shape, restored) == {'w': (2**22,)}
        break
    checkpoints.close()
    assert Checkpoints(tmp_path, read_only=True).latest() == 1


def test_leftovers_of_a_killed_save_are_ignored_and_overwritten(saved):
    # what orbax writes into before it renames
    (saved / '6.orbax-checkpoint-tmp' / 'state').mkdir(parents=True)
    assert Checkpoints(saved, read_only=True).latest() == 5
    checkpoints = Checkpoints(saved, keep=2)
    assert checkpoints.latest() == 5
    checkpoints.save(6, *trees(6), 0.25)
    checkpoints.close()
    assert Checkpoints(saved, read_only=True).best() == 6


def test_nothing_there(tmp_path):
    checkpoints = Checkpoints(tmp_path, read_only=True)
    assert checkpoints.latest() is None
    assert checkpoints.best() is None
