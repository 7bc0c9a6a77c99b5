"""Images of a split with their labels."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation import images
from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared

ANGLE = 'degrees_to_nearest_arm'  # of the first view, among the values known about an image


class Sample(NamedTuple):
    """N images."""

    images: np.ndarray  # [N, H, W, C] coverage in 0..1
    truth: Answer
    group: np.ndarray  # [N] the crystal
    angle: np.ndarray  # [N] degrees


def read(prepared: Prepared, split: str, numbers: tuple[str, ...], most: int | None = None) -> Sample:
    """The images of a split, at most `most` of them, evenly spread."""
    records = images.read(prepared, (split,), most)
    variables = prepared.transform_as(ImageTransform).values.variables
    truth = records['values'][:, [variables.index(name) for name in numbers]].astype(float)
    angle = records['values'][:, variables.index(ANGLE)]
    return Sample(records['image'], Answer(truth, records['label']), records['group'], angle)
