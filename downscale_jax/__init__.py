"""Statistical downscaling of climate and weather fields in JAX."""

from pathlib import Path


def load(workdir: str | Path):
    """Opens a work directory: `load('runs/diffusion_sit').downscale(dataset, members=8)`; see `trained.Trained`."""
    from downscale_jax.trained import Trained

    return Trained(workdir)
