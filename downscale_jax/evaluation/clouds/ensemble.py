"""Members of a split as series of images."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation import images
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError


class Ensemble(NamedTuple):
    """M members at T times."""

    images: np.ndarray  # [M, T, H, W, C] physical
    values: np.ndarray  # [M, K] perturbed parameters
    label: np.ndarray  # [M] scheme
    minutes: np.ndarray  # [T]

    def over_images(self, function) -> np.ndarray:
        """`function` of all images [N, H, W, C], its result [N, F] by member and time, [M, T, F]."""
        members, times = self.images.shape[:2]
        return function(self.images.reshape(-1, *self.images.shape[2:])).reshape(members, times, -1)


def read(prepared: Prepared, split: str) -> Ensemble:
    """The members of a split, in the order of their numbers, each at all its times.

    Raises UserError where their times differ.
    """
    records = images.read(prepared, (split,))
    order = np.lexsort((records['seconds'], records['group']))
    records = {name: values[order] for name, values in records.items()}
    counts = np.unique(records['group'], return_counts=True)[1]
    times = int(counts[0])
    if np.ptp(counts) or np.ptp(records['seconds'].reshape(-1, times), axis=0).any():
        raise UserError(
            f"members of the split '{split}' have images at different times: keep all images of a member in one split, "
            "data.split_by='group'"
        )
    return Ensemble(
        records['image'].reshape(-1, times, *records['image'].shape[1:]),
        records['values'][::times].astype(float),
        records['label'][::times],
        records['seconds'][:times] / 60,
    )
