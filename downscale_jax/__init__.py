"""Statistical downscaling of climate and weather fields in JAX."""

from pathlib import Path


def load(workdir: str | Path):
    """Opens a work directory, as its system does: `load('runs/diffusion_sit').downscale(dataset, members=8)` is
    `systems.downscaler.Downscaler`, `load('runs/atmodist').distance(a, b)` is `systems.atmodist.LearnedDistance`."""
    from downscale_jax.systems import load

    return load(workdir)
