#!/bin/bash
# Preparation of data on a Dask cluster within one SLURM job, followed by training on the first node:
#
#     sbatch --nodes=8 experiments/cluster/slurm_prepare.sh --config=configs/diffusion_dpdm.py:paper
#
# All arguments go to main.py. The scheduler and main.py run on the first node, a worker with one process per core on
# every node. Data are named by absolute paths. Needs the extra `archive`.
#SBATCH --job-name=downscale-prepare
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
set -euo pipefail

host="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)"
port=$((20000 + SLURM_JOB_ID % 20000))

dask scheduler --port "$port" &
scheduler=$!
srun dask worker "tcp://$host:$port" --nworkers "$SLURM_CPUS_PER_TASK" --nthreads 1 --no-dashboard &
workers=$!
trap 'kill "$workers" "$scheduler" 2>/dev/null || true' EXIT

python main.py --scheduler="tcp://$host:$port" "$@"
