"""The loop on a toy: a line fitted to noisy rows, in two phases with different optimisers."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.training import state as states
from downscale_jax.training.log import Log, read
from downscale_jax.training.loop import LoopSettings, TrainingData, abstract_state, fit, train, weights_key
from downscale_jax.training.optimizer import Phase, create, gradient_step

SEED = 5
ONE = (Phase('main', 4, 0.1),)
TWO = (Phase('first', 3, 0.1, optimizer='sgd'), Phase('second', 3, 0.05, warmup=1))
TRUTH = np.array([1.0, -2.0, 0.5], np.float32)
START = np.array([0.5, 1.0, -0.5], np.float32)


@dataclass(frozen=True)
class Line:
    phases: tuple[Phase, ...]

    def init(self, key, batch):
        return states.create({'w': jnp.asarray(START)}, create(self.phases[0]))

    def losses(self, params, rows):
        loss = jnp.square(rows['x'] @ params['w'] + 0.1 * rows['noise'] - rows['y'])
        return loss, {'loss': loss}

    def train_step(self, state, batch, key, phase):
        rows = {**batch, 'noise': parallel.row_normals(key, batch['y'].shape)}
        return gradient_step(self.losses, state, rows, phase, 1, 0.9)

    def eval_step(self, state, batch, key):
        return self.losses(state.ema_params, {**batch, 'noise': jnp.zeros_like(batch['y'])})[1]


def batch_of(step):
    x = np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)
    return {'x': x, 'y': x @ TRUTH}


def run(workdir, phases, fetched=lambda step: None, change=lambda step, batch: batch, settings=None):
    """Trains in `workdir`; `fetched(step)` is called before the batch of a step is handed out."""

    def batches(start, limit=0):
        step = start
        while True:
            fetched(step)
            yield change(step, batch_of(step))
            step += 1

    workdir.mkdir(exist_ok=True)
    log = Log(workdir)
    try:
        train(
            Line(phases),
            'line',
            init=Line(phases).init,
            data=TrainingData(batches, validation=lambda: [batch_of(1000), batch_of(1001)]),
            settings=settings or LoopSettings(log_every=1, validate_every=2, keep=2, seed=SEED),
            directory=workdir / 'checkpoints',
            log=log,
        )
    finally:
        log.close()


def final_state(workdir, phases):
    total = sum(phase.steps for phase in phases)
    saved = Checkpoints(workdir / 'checkpoints', read_only=True)
    assert saved.latest() == total
    task = Line(phases)
    return saved.restore_state(total, abstract_state(task, task.init, batch_of(0), total))


def assert_same_end(one, other, phases):
    jax.tree.map(np.testing.assert_array_equal, final_state(one, phases), final_state(other, phases))
    assert (one / 'metrics.jsonl').read_bytes() == (other / 'metrics.jsonl').read_bytes()


class KilledError(Exception):
    pass


def kill_at(step, workdir, saved):
    """Raises when the batch of `step` is fetched, once the checkpoint of step `saved` is written."""

    def fetched(current):
        if current == step:
            end = time.monotonic() + 30
            while not (workdir / 'checkpoints' / str(saved)).exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            raise KilledError

    return fetched


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """{phases: work directory} of uninterrupted runs."""
    folders = {phases: tmp_path_factory.mktemp('whole') for phases in (ONE, TWO)}
    for phases, folder in folders.items():
        run(folder, phases)
    return folders


def test_a_fit_ends_where_training_ends(whole):
    task = Line(ONE)
    state = parallel.replicate(task.init(weights_key(SEED), batch_of(0)))
    state = fit(task, state, map(batch_of, count()), SEED)
    jax.tree.map(np.testing.assert_array_equal, final_state(whole[ONE], ONE), jax.device_get(state))


def test_four_steps_equal_two_and_a_restart_and_two(whole, tmp_path):
    with pytest.raises(KilledError):
        run(tmp_path, ONE, kill_at(3, tmp_path, saved=2))
    # the row of a step that was not saved is cut off and written again
    assert [row['step'] for row in read(tmp_path / 'metrics.jsonl')] == [1, 2, 2]
    asked = []
    run(tmp_path, ONE, asked.append)
    assert asked == [2, 3]
    assert_same_end(tmp_path, whole[ONE], ONE)


@pytest.mark.parametrize(('step', 'saved'), [(4, 3), (5, 4)], ids=['at the boundary', 'inside the second'])
def test_resumes_in_the_second_phase(whole, tmp_path, step, saved):
    with pytest.raises(KilledError):
        run(tmp_path, TWO, kill_at(step, tmp_path, saved))
    run(tmp_path, TWO)
    assert_same_end(tmp_path, whole[TWO], TWO)
    assert int(final_state(tmp_path, TWO).phase) == 1


def test_rows_lost_between_checkpoints_are_summed_again(tmp_path):
    settings = LoopSettings(log_every=2, validate_every=2, keep=2, seed=SEED)
    run(tmp_path / 'whole', ONE, settings=settings)

    def stop(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    # saved at step 3, in the middle of a row of the log: its sums are part of the checkpoint
    with pytest.raises(SystemExit):
        run(tmp_path / 'cut', ONE, stop, settings=settings)
    assert Checkpoints(tmp_path / 'cut' / 'checkpoints', read_only=True).latest() == 3
    run(tmp_path / 'cut', ONE, settings=settings)
    assert_same_end(tmp_path / 'cut', tmp_path / 'whole', ONE)


def test_a_finished_run_does_nothing(whole):
    before = (whole[ONE] / 'metrics.jsonl').read_bytes()

    def refuse(step):
        raise AssertionError('a batch was asked for')

    run(whole[ONE], ONE, refuse)
    assert (whole[ONE] / 'metrics.jsonl').read_bytes() == before


def test_rows_of_the_log(whole):
    rows = read(whole[TWO] / 'metrics.jsonl')
    trained = [row for row in rows if 'train/loss' in row]
    validated = [row for row in rows if 'validation/loss' in row]
    assert all(set(row) == {'task', 'phase', 'step', 'train/loss', 'train/gradient_norm'} for row in trained)
    assert all(set(row) == {'task', 'phase', 'step', 'validation/loss'} for row in validated)
    assert [(row['phase'], row['step']) for row in trained] == [
        *(('first', step) for step in (1, 2, 3)),
        *(('second', step) for step in (4, 5, 6)),
    ]
    # every second step and the end of each phase
    assert [row['step'] for row in validated] == [2, 3, 4, 6]


def test_first_row_is_the_loss_before_the_first_step(whole):
    key = jax.random.key(5)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 0), i))(jnp.arange(8))
    noise = np.asarray(jax.vmap(jax.random.normal)(keys))
    batch = batch_of(0)
    expected = np.square(batch['x'] @ START + 0.1 * noise - batch['y']).mean()
    np.testing.assert_allclose(read(whole[ONE] / 'metrics.jsonl')[0]['train/loss'], expected, rtol=1e-5)


def test_validation_is_the_mean_over_all_batches_of_the_running_average(whole):
    state = final_state(whole[ONE], ONE)
    errors = [np.square(b['x'] @ np.asarray(state.ema_params['w']) - b['y']) for b in map(batch_of, (1000, 1001))]
    found = read(whole[ONE] / 'metrics.jsonl')[-1]['validation/loss']
    np.testing.assert_allclose(found, np.mean(errors), rtol=1e-5)
    assert Checkpoints(whole[ONE] / 'checkpoints', read_only=True).loss(4) == found


def test_best_and_newest_checkpoints_are_kept(tmp_path):
    # from the truth away: the first validation is the best, the newest two are others
    def away(step, batch):
        return {'x': batch['x'], 'y': batch['y'] + 10 * step}

    phases = (Phase('main', 8, 0.3, optimizer='sgd', clip=0.0),)
    run(tmp_path, phases, change=away, settings=LoopSettings(1, 1, keep=2, seed=SEED))
    losses = {row['step']: row['validation/loss'] for row in read(tmp_path / 'metrics.jsonl') if len(row) == 4}
    best = min(losses, key=losses.get)
    assert best < 7
    assert sorted(int(path.name) for path in (tmp_path / 'checkpoints').iterdir()) == [best, 7, 8]
    assert Checkpoints(tmp_path / 'checkpoints', read_only=True).best() == best


def poison(step, batch):
    return {'x': batch['x'], 'y': batch['y'] * np.float32(np.nan)} if step == 2 else batch


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path):
    with pytest.raises(UserError, match=r'training line: the loss is not finite at step 3 .*step 2 is kept'):
        run(tmp_path, ONE, change=poison)
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == ['2']
    assert max(row['step'] for row in read(tmp_path / 'metrics.jsonl')) == 2


def test_sigterm_does_not_save_what_is_not_finite(tmp_path):
    def stop(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    settings = LoopSettings(log_every=4, validate_every=4, keep=2, seed=SEED)
    with pytest.raises(UserError, match=r'not finite at step 3 .*no checkpoint was written'):
        run(tmp_path, ONE, stop, poison, settings)
    assert not any(path.name.isdigit() for path in (tmp_path / 'checkpoints').iterdir())


def test_sigterm_saves_and_the_same_command_goes_on(whole, tmp_path, caplog):
    def stop(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, ONE, stop)
    assert stopped.value.code == 143
    assert 'saved at step 3 of line' in caplog.text
    assert signal.getsignal(signal.SIGTERM) is before
    saved = Checkpoints(tmp_path / 'checkpoints', read_only=True)
    assert saved.latest() == 3
    # a step without validation is never the best
    assert saved.best() == 2
    run(tmp_path, ONE)
    assert_same_end(tmp_path, whole[ONE], ONE)


def test_a_signal_in_the_last_validation_is_not_lost(tmp_path):
    def batches(start, limit=0):
        yield from map(batch_of, range(start, 10**6))

    class Stopped(Exception):
        pass

    def stop(number, frame):
        raise Stopped

    def validation():  # needed once, after the last step
        yield batch_of(1000)
        os.kill(os.getpid(), signal.SIGTERM)

    before, log = signal.signal(signal.SIGTERM, stop), Log(tmp_path)
    try:
        with pytest.raises(Stopped):
            train(
                Line(ONE), 'line', init=Line(ONE).init, data=TrainingData(batches, validation),
                settings=LoopSettings(log_every=4, validate_every=4, keep=2, seed=SEED),
                directory=tmp_path / 'checkpoints', log=log,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
        log.close()
    assert Checkpoints(tmp_path / 'checkpoints', read_only=True).latest() == 4


def arrays_of(step_folder):
    """The files of a checkpoint that hold arrays, largest first."""
    return sorted((f for f in step_folder.glob('state/**/d/*')), key=lambda f: -f.stat().st_size)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ('damage', 'phases', 'newest', 'before'),
    [(cut, ONE, 3, 2), (Path.unlink, TWO, 4, 3), (flip, TWO, 6, 4)],
    ids=['cut', 'missing, in the first phase', 'a flipped bit, after the end'],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(whole, tmp_path, caplog, damage, phases, newest, before):
    if newest == 6:
        shutil.copytree(whole[phases], tmp_path, dirs_exist_ok=True)  # damaged after the end
    else:
        with pytest.raises(SystemExit):
            run(tmp_path, phases, lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == newest else None)
    rows = (tmp_path / 'metrics.jsonl').read_bytes()
    damage(arrays_of(tmp_path / 'checkpoints' / str(newest))[0])
    caplog.clear()

    def kill(step):
        assert step >= before
        raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path, phases, kill)
    (warning,) = caplog.messages
    assert warning.startswith(f'the checkpoint of step {newest} in')
    assert warning.endswith(f'is damaged: using step {before}')
    assert max(row['step'] for row in read(tmp_path / 'metrics.jsonl')) == before < newest
    # put aside, not thrown away, until its step is saved again
    aside = tmp_path / 'checkpoints' / f'{newest}.damaged'
    assert aside.is_dir()
    run(tmp_path, phases)
    assert aside.exists() == (newest == 3)  # a step of ONE at which only SIGTERM saves
    assert_same_end(tmp_path, whole[phases], phases)
    if newest == 6:
        assert (tmp_path / 'metrics.jsonl').read_bytes() == rows


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mounted = shutil.which('mount') and subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip('no file system can be mounted here: tests/test_restart.py limits the size of files')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '--lazy', folder], check=True)


# outside a program nothing silences the writes under way when one is refused
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_full_disk_loses_nothing(whole, disk):
    def filled(step):
        if step == 4:
            with pytest.raises(KilledError):
                saved(step)
            state = os.statvfs(disk)
            with (disk / 'others').open('wb') as file:
                os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_bsize)

    saved = kill_at(4, disk / 'run', saved=3)
    told = r'cannot write checkpoint of step 4 in .*: No space left on device; the checkpoint of step 3 is kept'
    with pytest.raises(UserError, match=told):
        run(disk / 'run', TWO, filled)
    assert not list((disk / 'run').glob('checkpoints/*tmp*'))
    rows = (disk / 'run' / 'metrics.jsonl').read_bytes()
    assert rows.endswith(b'\n')
    assert (whole[TWO] / 'metrics.jsonl').read_bytes().startswith(rows)
    saved = Checkpoints(disk / 'run' / 'checkpoints', read_only=True)
    layout = abstract_state(Line(TWO), Line(TWO).init, batch_of(0), 3)
    assert saved.latest() == 3
    assert int(saved.restore_state(3, layout).step) == 3
    (disk / 'others').unlink()
    run(disk / 'run', TWO)
    assert_same_end(disk / 'run', whole[TWO], TWO)
