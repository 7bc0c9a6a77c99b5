"""The command line killed -9 in training and in evaluation: the same command ends with the same files."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOMENTS = (
    'checkpoints/diffusion/*tmp*/*',  # the regression is done, the diffusion writes its first checkpoint
    'ensembles/diffusion.zarr/clipped_share/c/*/0',  # the first members of the first day are in their store
)


def start(workdir):
    command = [sys.executable, 'main.py', '--config=configs/diffusion_sit.py:smoke', f'--workdir={workdir}']
    with workdir.with_suffix('.err').open('w') as errors:
        env = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=errors)


def finish(workdir):
    assert start(workdir).wait() == 0, workdir.with_suffix('.err').read_text()


def kill_and_finish(workdir):
    while not list(workdir.parent.glob('data/*/prepared.json')):  # which the other run makes
        time.sleep(0.1)
    for moment in MOMENTS:
        process = start(workdir)
        while not list(workdir.glob(moment)):
            assert process.poll() is None, workdir.with_suffix('.err').read_text()
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finish(workdir)


def contents(workdir):
    files = [workdir / 'scores.json', workdir / 'metrics.jsonl', workdir / 'config.json', workdir / 'describe.json']
    files += [path for path in (workdir / 'ensembles').rglob('*') if path.is_file()]
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


def test_killed_in_training_and_in_evaluation(tmp_path):
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(finish, tmp_path / 'whole')
        kill_and_finish(tmp_path / 'killed')
        whole.result()
    # the ensembles hold a digest of the parameters that they were drawn with
    assert contents(tmp_path / 'killed') == contents(tmp_path / 'whole')
    assert not (tmp_path / 'killed.err').read_text()
