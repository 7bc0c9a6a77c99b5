"""Sets of labelled images, as simulators and readers provide them to the records of images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """One image with its labels."""

    image: np.ndarray  # [H, W, C] float32, physical
    values: tuple[float, ...]  # one for each of `ImageSet.values`
    group: int  # the crystal, the member: images of one group belong to one split
    seconds: int = 0  # time within a simulation


@dataclass(frozen=True)
class ImageSet:
    """Images in groups, each group with one label.

    `examples(groups)` gives the images of some groups, in their order, the same at every call. It goes to the workers
    that prepare data (`data_prep.engine`), so it may not change what others see.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]  # of the channels
    values: tuple[str, ...]  # names of the numbers known about each image
    labels: tuple[str, ...]  # names of the classes
    group_labels: np.ndarray  # [G] class of each group
    shape: tuple[int, int]  # rows and columns of an image
    examples: Callable[[Sequence[int]], Iterator[Example]]
    transforms: tuple[str, ...] = ()  # of the channels, as in `standardisation.COMPRESSIONS`; (): z-scores
