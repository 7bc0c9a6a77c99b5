"""Job scripts: valid shell, and the commands that they start, with stand-ins for the programs of a cluster."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / 'experiments' / 'cluster').glob('*.sh'))
PROGRAMS = {
    'scontrol': 'printf "first\\nsecond\\n"',
    'gcloud': 'case "$*" in *describe*) echo 10.0.0.2 ;; *) printf "%s\\n" "$*" >> "$CALLS" ;; esac',
    'srun': 'echo "srun $*" >> "$CALLS"; echo "${JAX_COORDINATOR_ADDRESS-}, GPUs ${JAX_LOCAL_DEVICE_IDS-}" >> "$CALLS"',
    'dask': 'echo "dask $*" >> "$CALLS"',
    'python': 'sleep 0.2; echo "python $*" >> "$CALLS"',
}
EXPECTED = {
    'slurm_gpus.sh': ['srun --kill-on-bad-exit=1 python main.py --config=a b.py --members=2', 'first:20042, GPUs 0,1'],
    'slurm_downscale.sh': ['python main.py --mode=downscale --config=a b.py --members=2'],
    'slurm_prepare.sh': [
        'dask scheduler --port 20042',
        'srun dask worker tcp://first:20042 --nworkers 8 --nthreads 1 --no-dashboard',
        'python main.py --scheduler=tcp://first:20042 --config=a b.py --members=2',
    ],
    'tpu_pod.sh': [
        'compute tpus tpu-vm ssh slice --zone=zone --worker=all --command=cd downscale_jax && '
        r'JAX_COORDINATOR_ADDRESS=10.0.0.2:8476 python main.py --config=a\ b.py --members=2 '
    ],
}


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_syntax(script):
    subprocess.run(['bash', '-n', script], check=True)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_dry_run(script, tmp_path):
    for name, body in PROGRAMS.items():
        (tmp_path / name).write_text(f'#!/bin/bash\n{body}\n')
        (tmp_path / name).chmod(0o755)
    env = {
        'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'CALLS': str(tmp_path / 'calls'), 'SLURM_JOB_ID': '40042',
        'SLURM_JOB_NODELIST': 'nodes', 'SLURM_CPUS_PER_TASK': '8', 'SLURM_GPUS_PER_TASK': '2',
        'TPU': 'slice', 'ZONE': 'zone',
    }  # fmt: skip
    done = subprocess.run([script, '--config=a b.py', '--members=2'], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    calls = (tmp_path / 'calls').read_text().splitlines()
    for call in EXPECTED[script.name]:
        assert call in calls
