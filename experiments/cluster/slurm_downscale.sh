#!/bin/bash
# Downscaling by an array of independent processes that fill one store, on preemptible nodes if need be:
#
#     sbatch --array=0-15 experiments/cluster/slurm_downscale.sh --config=configs/diffusion_dpdm.py:paper \
#         --input=coarse.nc --output=fine.zarr --members=32
#
# All arguments go to main.py. Tasks may start at different times, die and be started again: the others take over their
# work, and each returns when the store is full.
#SBATCH --job-name=downscale
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

exec python main.py --mode=downscale "$@"
