"""kill -9 or a full disk at any moment, the same command again: the same bits as if nothing had happened."""

import random
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.forked import Forked

TOY = Path(__file__).parent / 'training' / 'train_toy.py'
SETTINGS = ('steps=8', 'pause=0.03')
SEEDS = (0, 1)  # killed in training, killed while it starts


def start(workdir, *settings):
    errors = workdir.with_suffix('.err')
    errors.unlink(missing_ok=True)
    return Forked(TOY, workdir, *(settings or SETTINGS), stdout=errors, stderr=errors)


def kill_when(process, ready) -> bool:
    """Kills the process as soon as `ready()`; False if it had done its work before."""
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        if process.poll() is not None:
            assert process.returncode == 0
            return False
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return True


def after(seconds, ready=lambda: True):
    """Ready `seconds` after `ready` was."""
    since = []

    def later():
        if not since and ready():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() > since[0] + seconds

    return later


def boards(workdir) -> int:
    """Grows by one at the first row that a process writes."""
    return len(list(workdir.glob('tensorboard/*')))


def kept(workdir) -> dict:
    """All that a training leaves, TensorBoard's times aside."""
    with np.load(workdir / 'final.npz') as final:
        arrays = {name: (final[name].dtype.str, final[name].tobytes()) for name in final}
    return {
        **arrays,
        'metrics.jsonl': (workdir / 'metrics.jsonl').read_bytes(),
        'folders': sorted(str(path.relative_to(workdir)) for path in workdir.glob('checkpoints/*')),
        'losses': [(path / 'whole.json').read_text()[:60] for path in sorted(workdir.glob('checkpoints/*'))],
    }


def finish(workdir, *settings):
    assert start(workdir, *settings).wait() == 0, workdir.with_suffix('.err').read_text()
    return workdir


def killed_at_random(workdir, seed) -> int:
    """Kills somewhere while it starts or trains and while it saves; returns how often it was in time."""
    rng, kills = random.Random(seed), 0
    for moment, shortest, longest in (rng.choice((('start', 0.1, 1.0), ('training', 0, 0.4))), ('saving', 0, 0.03)):
        process, before = start(workdir), boards(workdir)

        def reached(moment=moment, before=before):
            if moment == 'start' or boards(workdir) == before:
                return moment == 'start'
            return moment == 'training' or bool(list(workdir.glob('checkpoints/*tmp*')))

        kills += kill_when(process, after(rng.uniform(shortest, longest), reached))
    finish(workdir)
    return kills


def killed_in_saves(workdir) -> int:
    """Kills before a save has its mark, between mark and renaming, and when the folder has just been renamed."""
    settings = (*SETTINGS, 'slow=0.3')
    (workdir / 'checkpoints').mkdir(parents=True)

    def names(pattern):
        return set(workdir.glob(f'checkpoints/{pattern}'))

    kills = 0
    for pattern in ('*tmp*', '*tmp*/whole.json', '[0-9]/whole.json', '*tmp*/state*/*'):
        process, before = start(workdir, *settings), names(pattern)
        kills += kill_when(process, lambda pattern=pattern, before=before: names(pattern) - before)
    finish(workdir)
    return kills


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """{name: (work directory, kills)}; `whole` was left alone."""
    root = tmp_path_factory.mktemp('kill')
    with ThreadPoolExecutor(2) as pool:
        saves = pool.submit(killed_in_saves, root / 'saves')
        whole = pool.submit(finish, root / 'whole')
        kills = {f'random{seed}': pool.submit(killed_at_random, root / f'random{seed}', seed) for seed in SEEDS}
        whole.result()
        return {name: (root / name, run.result()) for name, run in {'saves': saves, **kills}.items()} | {
            'whole': (root / 'whole', 0)
        }


@pytest.mark.parametrize(('name', 'least'), [('saves', 4), *((f'random{seed}', 1) for seed in SEEDS)])
def test_a_killed_training_ends_with_the_same_bits(runs, name, least):
    workdir, kills = runs[name]
    assert kills >= least  # of 4 or 2; late ones may find the work done
    assert kept(workdir) == kept(runs['whole'][0])


def test_what_is_compared_is_a_training(runs):
    found = kept(runs['whole'][0])
    assert any('opt_state' in name and 'mu' in name for name in found)
    assert found[".params['in']"] != found[".ema_params['in']"]
    assert found['.step'][1] == np.int32(18).tobytes()
    assert len(found['folders']) >= 2
    assert found['metrics.jsonl'].count(b'"train/loss"') == 9


def test_what_the_disk_refuses_is_told_in_one_line_and_goes_on_later(runs, tmp_path):
    workdir, whole = tmp_path / 'run', runs['whole'][0]
    process = start(workdir)
    while not list(workdir.glob('checkpoints/*/whole.json')):
        assert process.poll() is None
        time.sleep(0.003)
    # more than the rows of the log need, less than a checkpoint
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8000, 8000))
    assert process.wait() == 2
    lines = [line for line in workdir.with_suffix('.err').read_text().splitlines() if 'validation loss' not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith('error: cannot write checkpoint of step ')
    assert 'File too large; the checkpoint of step ' in lines[0]
    assert lines[0].endswith(' is kept')
    finish(workdir)
    assert kept(workdir) == kept(whole)
