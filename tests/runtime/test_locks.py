"""One holder of a lock at a time; a lock ends with its process."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from downscale_jax.runtime import messages
from downscale_jax.runtime.locks import alone

HOLDER = """
import sys, time
from pathlib import Path
from downscale_jax.runtime.locks import alone
with alone(Path(sys.argv[1]), ''):
    print('locked', flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path):
    path, inside, most = tmp_path / 'lock', [], []

    def enter(number):
        with alone(path, 'waiting'):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(enter, range(100))) == list(range(100))
    assert most == [1] * 100
    assert list(tmp_path.iterdir()) == []


def test_the_second_says_that_it_waits(tmp_path, monkeypatch):
    path, said, waits = tmp_path / 'lock', [], Event()
    monkeypatch.setattr(messages, 'info', lambda text: (said.append(text), waits.set()))

    def enter():
        with alone(path, 'waiting for the first'):
            return path.exists()

    with ThreadPoolExecutor(1) as pool:
        with alone(path, 'no'):
            second = pool.submit(enter)
            assert waits.wait(60)
            assert not second.done()
        assert second.result(60)
    assert said == ['waiting for the first']
    assert not path.exists()


def test_an_error_ends_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), alone(tmp_path / 'lock', ''):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / 'lock'
    with subprocess.Popen([sys.executable, '-c', HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b'locked\n'
        holder.kill()
    assert path.exists()
    with alone(path, ''):
        pass
    assert not path.exists()
