"""Stores of the fields that generators make of test records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.downscale.dataset import Provenance
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.request import Source
from downscale_jax.pipeline.records import Prepared, Split


def fill(
    generators: Mapping[str, FieldGenerator],
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: list[int],
    config: dict[str, Any],
    workdir: Path,
) -> dict[str, xr.Dataset]:
    """{generator: its fields at the chosen times of the test split, lazily}.

    They go to workdir/ensembles/NAME.zarr in the same way as by `--mode=downscale`, so that a killed evaluation
    resumes; a store of other settings is replaced.
    """
    coarse = coarse_dataset(prepared, split, times, chosen)
    opened = {}
    for name, generator in generators.items():
        members = config['evaluation']['members'] if generator.draws else 1
        path = workdir / 'ensembles' / f'{name}.zarr'
        path.parent.mkdir(exist_ok=True)
        source = Source(f'{prepared.directory.name}, {len(chosen)} days of test')
        inputs = open_inputs(coarse, generator.transform, prepared.statics, source.input)
        ensemble = Ensemble(generator, inputs, prepared.statics, members, config['seed'])
        targets = ' and '.join(prepared.field_transform.targets)
        provenance = Provenance(title=f'{targets} downscaled by {name}, times of the test split')
        to_store(ensemble, path, source, provenance, replace=True)
        opened[name] = xr.open_zarr(path, consolidated=False)
    return opened
