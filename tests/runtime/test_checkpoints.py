import logging
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import absl.logging
import jax
import numpy as np
import pytest

from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints, silence_write_errors
from downscale_jax.runtime.errors import UserError


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


def test_arrays_of_another_network_are_named(saved):
    checkpoints, other = Checkpoints(saved, read_only=True), parallel.abstract(trees(0)[0])
    for state, part in (
        ({**other, 'w': parallel.abstract(np.zeros((3, 4), np.float32))}, r'w: \(3, 2\), now \(3, 4\)'),
        ({**other, 'v': other['w']}, r'v: no array, now \(3, 2\)'),
        ({'step': other['step']}, r'w: \(3, 2\), now no array'),
    ):
        with pytest.raises(UserError, match=f'was saved by another network .*{part}.*config.json') as error:
            checkpoints.restore_state(5, state)
        assert 'partial_restore' not in str(error.value)


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


def cut(folder):
    """Cuts a file that holds arrays."""
    path = next(folder.glob('state/ocdbt*/d/*'))
    path.write_bytes(path.read_bytes()[:-1])


def lose_mark(folder):
    (folder / 'whole.json').unlink()


damages = pytest.mark.parametrize('damage', [cut, lose_mark])


@damages
def test_a_damaged_best_gives_way_to_the_next_best(saved, caplog, damage):
    damage(saved / '2')
    names = sorted(path.name for path in saved.iterdir())
    # losses: 1 at step 2, none at step 4, 3 at step 5
    assert Checkpoints(saved, read_only=True).best() == 5
    assert caplog.messages == [f'the checkpoint of step 2 in {saved} is damaged: using step 5']
    assert sorted(path.name for path in saved.iterdir()) == names


@damages
def test_a_damaged_newest_is_put_aside_until_its_step_is_saved_again(saved, caplog, damage):
    damage(saved / '5')
    assert Checkpoints(saved, read_only=True).latest() == 4
    assert (saved / '5').is_dir()
    checkpoints = Checkpoints(saved, keep=1)
    assert checkpoints.latest() == 4
    assert len(caplog.messages) == 2
    caplog.clear()
    assert (saved / '5.damaged').is_dir()
    checkpoints.save(5, *trees(5), 3.0)
    checkpoints.close()
    assert sorted(path.name for path in saved.iterdir()) == ['2', '5']
    found = Checkpoints(saved, read_only=True)
    assert found.latest() == 5
    assert not caplog.messages
    assert int(found.restore_state(5, parallel.abstract(trees(0)[0]))['step']) == 5


@damages
def test_a_damaged_best_does_not_drive_out_the_best_that_is_whole(tmp_path, caplog, damage):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, loss in ((2, 1.0), (4, 1.5)):
        checkpoints.save(step, *trees(step), loss)
    checkpoints.close()
    damage(tmp_path / '2')
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.latest() == 4
    assert caplog.messages == [f'the checkpoint of step 2 in {tmp_path} is damaged: using step 4']
    caplog.clear()
    for step in (5, 6):
        checkpoints.save(step, *trees(step), 3.0)
    checkpoints.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['2.damaged', '4', '6']
    assert Checkpoints(tmp_path, read_only=True).best() == 4
    assert not caplog.messages


def test_a_kill_while_an_old_step_is_removed_is_no_damage(saved, monkeypatch, caplog):
    remove = shutil.rmtree

    def killed(folder, **options):
        if not (Path(folder) / 'whole.json').exists():
            return remove(folder, **options)
        lose_mark(Path(folder))
        raise KeyboardInterrupt

    checkpoints = Checkpoints(saved, keep=1)
    checkpoints.save(6, *trees(6), 2.0)
    monkeypatch.setattr(shutil, 'rmtree', killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.wait()
    monkeypatch.undo()
    checkpoints.close()
    checkpoints = Checkpoints(saved, keep=1)
    assert checkpoints.latest() == 6
    checkpoints.close()
    assert sorted(path.name for path in saved.iterdir()) == ['2', '6']
    assert not caplog.messages


@damages
def test_all_damaged_is_not_the_same_as_nothing_saved(saved, damage):
    for step in (2, 4, 5):
        damage(saved / str(step))
    names = sorted(path.name for path in saved.iterdir())
    with pytest.raises(UserError, match=r'every checkpoint in .*/task is damaged: restore a copy, or remove'):
        Checkpoints(saved, keep=2).latest()
    assert Checkpoints(saved, read_only=True).best() is None
    assert sorted(path.name for path in saved.iterdir()) == names


@pytest.mark.parametrize('text', ['', '{"validation/loss": 1.0', '[]', '5'])
def test_a_mark_that_cannot_be_read(saved, text):
    (saved / '2' / 'whole.json').write_text(text)
    checkpoints = Checkpoints(saved, read_only=True)
    assert checkpoints.loss(2) == np.inf
    assert checkpoints.best() == 5


def test_nothing_there(tmp_path):
    checkpoints = Checkpoints(tmp_path, read_only=True)
    assert checkpoints.latest() is None
    assert checkpoints.best() is None


def test_a_program_hushes_the_loop_that_orbax_closed_and_nothing_else(monkeypatch):
    told = []
    monkeypatch.setattr(sys, 'unraisablehook', told.append)
    asyncio = logging.getLogger('asyncio')
    levels = asyncio.level, absl.logging.get_verbosity()
    try:
        silence_write_errors()
        found = [SimpleNamespace(exc_value=RuntimeError(words)) for words in ('Event loop is closed', 'another')]
        for each in found:
            sys.unraisablehook(each)
        assert told == found[1:]
    finally:
        asyncio.setLevel(levels[0])
        absl.logging.set_verbosity(levels[1])


def test_a_process_that_waits_for_another_one_has_no_disk_error(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / 'task', keep=2)
    checkpoints.save(1, *trees(1), 1.0)
    checkpoints.wait()

    def time_out():
        raise TimeoutError('Timed out while waiting for async_commit_complete barrier.')

    writer = checkpoints._writer
    monkeypatch.setattr(writer, 'save', lambda *args, **kwargs: None)
    monkeypatch.setattr(writer, 'wait_until_finished', time_out)
    checkpoints.save(2, *trees(2), 1.0)
    with pytest.raises(TimeoutError):
        checkpoints.wait()
    checkpoints.close()  # without waiting again
    monkeypatch.undo()
    writer.close()
