"""Members of a split as series of images."""

from typing import NamedTuple

import numpy as np

from downscale_jax.pipeline.records import Prepared


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
    """The members of a split, in the order of their numbers, each at all its times."""
    records = prepared.split(split)
    listed = sorted((records[i] for i in range(len(records))), key=lambda r: (int(r['group']), int(r['seconds'])))
    groups = np.array([int(record['group']) for record in listed])
    times = int(np.unique(groups, return_counts=True)[1].min())
    images = np.stack([record['image'] for record in listed])
    first = listed[::times]
    return Ensemble(
        images.reshape(-1, times, *images.shape[1:]),
        np.stack([record['values'] for record in first]).astype(float),
        np.array([int(record['label']) for record in first]),
        np.array([int(record['seconds']) for record in listed[:times]]) / 60,
    )
