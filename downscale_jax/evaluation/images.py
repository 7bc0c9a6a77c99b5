"""Labelled images of prepared data."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.fields.datasets.times import evenly
from downscale_jax.pipeline.records import Prepared


def read(prepared: Prepared, splits: Sequence[str], most: int | None = None) -> dict[str, np.ndarray]:
    """The records of the splits, stacked: `image` [N, H, W, C], `label`, `group`, `seconds` [N]; `values` [N, K] where
    the data have them.

    At most `most` records of each split, evenly spread; None: all.
    """
    parts = [prepared.split(split) for split in splits]
    records = [part[i] for part in parts for i in evenly(len(part), most)]
    return {name: np.stack([record[name] for record in records]) for name in records[0]}
