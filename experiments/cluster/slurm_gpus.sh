#!/bin/bash
# Training on the GPUs of several SLURM nodes, one process per GPU:
#
#     sbatch --nodes=2 experiments/cluster/slurm_gpus.sh --config=configs/diffusion_dpdm.py:paper
#
# All arguments go to main.py. Code, data and work directory are on a file system that the nodes share. A job that is
# preempted or runs out of time is requeued and continues from the last checkpoint. One process per node instead, with
# all of its GPUs: add --ntasks-per-node=1 --gpus-per-task=4.
#SBATCH --job-name=downscale-train
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
set -euo pipefail

port=$((20000 + SLURM_JOB_ID % 20000))
JAX_COORDINATOR_ADDRESS="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p):$port"
export JAX_COORDINATOR_ADDRESS

# JAX reads the number and the index of the processes from SLURM. It would take the GPU with the number of the task on
# its node, but SLURM shows each task its own GPUs, numbered from 0.
JAX_LOCAL_DEVICE_IDS="$(seq -s, 0 $((SLURM_GPUS_PER_TASK - 1)))"
export JAX_LOCAL_DEVICE_IDS
exec srun --kill-on-bad-exit=1 python main.py "$@"
