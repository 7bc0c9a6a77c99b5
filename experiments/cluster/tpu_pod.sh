#!/bin/bash
# Training on a TPU pod slice of Google Cloud, one process per host:
#
#     TPU=my-slice ZONE=europe-west4-b experiments/cluster/tpu_pod.sh --config=configs/diffusion_dpdm.py:paper
#
# All arguments go to main.py. Every host has this repository, installed with the extra `tpu`, in ~/downscale_jax, and
# mounts the same folder of runs there. The same command continues after an interruption.
set -euo pipefail

# the first host coordinates; JAX reads the number and the index of the processes from the metadata of the slice
address="$(gcloud compute tpus tpu-vm describe "$TPU" --zone="$ZONE" --format='value(networkEndpoints[0].ipAddress)')"
arguments="$(printf '%q ' "$@")"

exec gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all \
    --command="cd downscale_jax && JAX_COORDINATOR_ADDRESS=$address:8476 python main.py $arguments"
