"""Claims on work units: each by one living process; those of dead processes are taken over."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from downscale_jax.downscale.output import claims
from downscale_jax.downscale.output.claims import Claims

HOLDER = """
import sys, time
from pathlib import Path
from downscale_jax.downscale.output.claims import Claims
with Claims(Path(sys.argv[1])) as held:
    print(held.take('0.0'), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'out.zarr'


@pytest.fixture
def holder(path):
    """Another process that claims the unit 0.0 and lives."""
    command = [sys.executable, '-c', HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'True\n'
        yield process
        process.kill()


def test_a_unit_is_claimed_once(path):
    with Claims(path) as one, Claims(path) as other:
        assert one.take('0.0')
        assert not other.take('0.0')
        assert other.take('0.1')
        assert one.others()
        one.release('0.0')
        assert other.take('0.0')


def test_a_lease_does_not_outlive_its_process(path, holder):
    with Claims(path) as own:
        assert not own.take('0.0')
        assert own.others()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert not own.others()
        assert own.take('0.0')
        with Claims(path) as later:
            assert not later.take('0.0')


def test_a_process_that_failed_gives_back_its_claims(path):
    with Claims(path) as failed:
        assert failed.take('0.0')
    with Claims(path) as own:
        assert own.take('0.0')


def test_a_claim_that_was_copied_as_a_file_is_free(path):
    with Claims(path) as own:
        (own.folder / '0.0').touch()
        assert own.take('0.0')
        with Claims(path) as later:
            assert not later.take('0.0')


def test_a_claim_that_is_released_while_it_is_looked_at(path, monkeypatch):
    with Claims(path) as owner, Claims(path) as own:
        assert owner.take('0.0')

        @contextmanager
        def late():
            owner.release('0.0')
            yield

        monkeypatch.setattr(own, '_alone_taking_over', late)
        assert not own.take('0.0')


def test_a_folder_that_is_removed_while_a_process_starts(path, monkeypatch):
    open_file = os.open

    def late(name, flags):
        monkeypatch.undo()
        name.parent.rmdir()
        return open_file(name, flags)

    monkeypatch.setattr(claims.os, 'open', late)
    with Claims(path) as own:
        assert own.take('0.0')


def test_another_host_is_dead_after_silence(path, monkeypatch):
    with Claims(path) as own:
        monkeypatch.setattr(claims.platform, 'node', lambda: 'elsewhere')
        with Claims(path) as remote:
            assert remote.take('0.0')
            assert not own.take('0.0')
            long_ago = time.time() - claims.SILENCE - 1
            os.utime(remote._lease, (long_ago, long_ago))
            assert own.take('0.0')
            assert not own.others()


def test_a_living_process_renews_its_lease(path, monkeypatch):
    monkeypatch.setattr(claims, 'RENEWAL', 0.01)
    with Claims(path) as own:
        os.utime(own._lease, (0, 0))
        deadline = time.monotonic() + 10
        while own._lease.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert own._lease.stat().st_mtime > 0


def test_a_full_store_has_no_claims(path):
    with Claims(path) as own:
        own.remove()
        assert not own.take('0.0')
    assert not path.with_name('.out.zarr.claims').exists()
