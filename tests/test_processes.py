"""1, 4 or 8 devices in 1 or 2 processes: the same training to rounding, one stop for all, no process left waiting."""

import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.peers import LINE
from downscale_jax.runtime.signals import Interrupted
from downscale_jax.training.log import read
from tests.forked import Forked, coordinated, flags_of

TOY = Path(__file__).parent / 'training' / 'train_toy.py'
SETTINGS = ('steps=50', 'sgd=1')  # Adam would hide gradients that are wrong by a factor


def start(workdir, devices, *settings, env=None):
    """One process with so many simulated devices."""
    env = {'XLA_FLAGS': flags_of(devices), **(env or {})}
    errors = workdir.with_suffix(f'.{env.get("JAX_PROCESS_ID", 0)}.err')
    errors.unlink(missing_ok=True)
    return Forked(TOY, workdir, *SETTINGS, *settings, env=env, stderr=errors), errors


def start_two(workdir, devices, *settings):
    """Two processes with so many devices each."""
    return [start(workdir, devices, *settings, env=env) for env in coordinated()]


def finish(started):
    for process, errors in started:
        assert process.wait(timeout=200) == 0, errors.read_text()


@pytest.fixture(scope='module')
def finals(tmp_path_factory):
    """{how: (arrays of the last checkpoint, rows of metrics.jsonl)}; `two` is done by two processes of two devices,
    `moved` begun by them, stopped by a SIGTERM to one, and ended by one process of one device."""
    root = tmp_path_factory.mktemp('processes')
    stopped = start_two(root / 'moved', 2, 'pause=0.05')
    while not (root / 'moved' / 'checkpoints' / '20').exists():
        assert all(process.poll() is None for process, _ in stopped), [e.read_text() for _, e in stopped]
        time.sleep(0.01)
    stopped[1][0].send_signal(signal.SIGTERM)
    codes = [process.wait(timeout=200) for process, _ in stopped]
    told = [errors.read_text() for _, errors in stopped]
    step = Checkpoints(root / 'moved' / 'checkpoints', read_only=True).latest()
    finish([start(root / str(devices), devices) for devices in (1, 8)])
    finish([*start_two(root / 'two', 2), start(root / 'moved', 1)])
    found = {name: contents(root / name) for name in ('1', '8', 'two', 'moved')}
    return {**found, 'stop': (codes, told, step)}


def contents(workdir):
    with np.load(workdir / 'final.npz') as final:
        return dict(final), read(workdir / 'metrics.jsonl')


@pytest.mark.parametrize('how', ['8', 'two', 'moved'])
def test_the_split_over_devices_and_processes_does_not_matter(finals, how):
    (expected, rows), (found, found_rows) = finals['1'], finals[how]
    assert set(found) == set(expected)
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
    assert len(found_rows) == len(rows) > 20
    for row, found_row in zip(rows, found_rows, strict=True):
        for name, value in row.items():
            assert found_row[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5)), row


def test_a_stop_told_to_one_process_stops_all_at_the_same_step(finals):
    codes, told, step = finals['stop']
    assert codes == [143, 143]
    assert step in (30, 40, 50)  # the next at which they ask each other
    assert f'saved at step {step} of toy' in told[0]
    assert 'saved at step' not in told[1]


def check_survivor(process, errors):
    """It ends in one line, which comes from the reader of messages in C++, a little later than the process."""
    assert process.wait(timeout=60) != 0
    for _ in range(100):
        lines = [line for line in errors.read_text().splitlines() if 'validation loss' not in line]
        if lines:
            break
        time.sleep(0.05)
    assert lines == [LINE]


@pytest.mark.parametrize('victim', [0, 1])
def test_when_one_process_dies_the_other_ends_in_one_line_and_the_same_command_goes_on(tmp_path, victim):
    workdir = tmp_path / 'run'
    started = start_two(workdir, 1, 'pause=0.03')
    while not (workdir / 'checkpoints' / '8').exists():
        assert all(process.poll() is None for process, _ in started), [e.read_text() for _, e in started]
        time.sleep(0.01)
    started[victim][0].kill()
    assert started[victim][0].wait() == -signal.SIGKILL
    check_survivor(*started[1 - victim])
    if victim:
        finish([start(workdir, 2)])
        assert (workdir / 'checkpoints' / '60').exists()


def test_the_end_of_the_process_that_prepares_data(tmp_path):
    started = start_two(tmp_path / 'run', 1, 'prepare=100')
    while len(list(tmp_path.glob('run/*.preparing'))) < 2:
        assert all(process.poll() is None for process, _ in started), [e.read_text() for _, e in started]
        time.sleep(0.01)
    (process, errors), waiting = started
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert errors.read_text().splitlines() == [str(Interrupted(signal.SIGINT))]
    check_survivor(*waiting)


def test_a_mistake_in_one_process_does_not_leave_the_other_waiting(tmp_path):
    (first, told), (second, _) = start_two(tmp_path / 'run', 1, 'fail=6')
    assert first.wait(timeout=100) == 2
    ended = time.monotonic()
    assert told.read_text().splitlines()[-1] == 'error: asked to fail'
    assert second.wait(timeout=60) != 0
    assert time.monotonic() - ended < 30


def test_an_interrupt_while_the_others_have_not_started(tmp_path):
    """JAX waits for them in C++, for up to five minutes."""
    with socket.socket() as coordinator:
        coordinator.bind(('127.0.0.1', 0))
        coordinator.listen()
        coordinator.settimeout(200)
        address = f'127.0.0.1:{coordinator.getsockname()[1]}'
        env = {'JAX_COORDINATOR_ADDRESS': address, 'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '1'}
        arguments = '--config=configs/diffusion_sit.py:smoke', f'--workdir={tmp_path / "run"}'
        waiting = Forked('main.py', *arguments, cwd=Path(__file__).parents[1], env=env, stderr=tmp_path / 'errors')
        with coordinator.accept()[0]:
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(timeout=60) == 130
    assert (tmp_path / 'errors').read_text().splitlines() == ['stopped by SIGINT: run the same command to resume']
    assert not (tmp_path / 'run').exists()
