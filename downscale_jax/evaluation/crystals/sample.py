"""Images of a split with their labels."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared

ANGLE = 'degrees_to_nearest_arm'  # of the first view, among the values known about an image


class Sample(NamedTuple):
    """N images."""

    images: np.ndarray  # [N, H, W, C] coverage in 0..1
    truth: Answer
    group: np.ndarray  # [N] the crystal
    angle: np.ndarray  # [N] degrees


def read(prepared: Prepared, split: str, numbers: tuple[str, ...], most: int = 0) -> Sample:
    """The images of a split, `most` of them, evenly spread; 0: all."""
    records = prepared.split(split)
    chosen = [records[int(i)] for i in evenly(len(records), most or len(records))]
    variables = prepared.transform_as(ImageTransform).values.variables
    values = np.stack([record['values'] for record in chosen])
    truth = values[:, [variables.index(name) for name in numbers]].astype(float)
    return Sample(
        np.stack([record['image'] for record in chosen]),
        Answer(truth, np.array([record['label'] for record in chosen])),
        np.array([record['group'] for record in chosen]),
        values[:, variables.index(ANGLE)],
    )
