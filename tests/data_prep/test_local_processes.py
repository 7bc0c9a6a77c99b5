"""Processes that prepare data: one that is killed is noticed, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep import local_processes
from data_prep.local_processes import LostProcessError

PARENT = """
import os, time
from data_prep import local_processes
if __name__ == '__main__':
    with local_processes.pool(1, abs) as executor:
        assert executor.submit(local_processes.run, -3).result() == 3
        print(*executor._processes, flush=True)
        time.sleep(60)
"""


def test_a_killed_process_is_named_with_a_remedy():
    with pytest.raises(LostProcessError, match='DASK_NUM_WORKERS=2'), local_processes.pool(4, os._exit) as executor:
        executor.submit(local_processes.run, 1).result()


def test_processes_end_with_their_parent(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(PARENT)
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        os.kill(worker, signal.SIGTERM)  # for the parent to handle
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f'/proc/{worker}').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f'/proc/{worker}').exists()
