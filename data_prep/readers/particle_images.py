"""Photographs of particles in classes, as sets of silhouettes."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.image_sets import Example, ImageSet
from downscale_jax.fields.images import reading
from downscale_jax.fields.images.silhouettes import framed
from downscale_jax.runtime.errors import UserError


def read(path: str, size: int) -> ImageSet:
    """Silhouettes of `size` pixels per side, each a group of its own.

    Raises UserError for images without labels or with a single one, in several views, and as `reading.read` does.
    """
    images, labels = reading.read(path)
    if labels is None:
        raise UserError(f'{path}: the images have no labels: sort PNG files into folders by class, or add `labels`')
    names, numbers = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"{path}: all images are labelled '{names[0]}': two classes and more are needed")
    if images.ndim != 3:
        raise UserError(f'{path}: images have the shape {images.shape}: (image, y, x) is needed')
    silhouettes = framed(images[..., None], size)

    def examples(groups: Sequence[int]) -> Iterator[Example]:
        for group in groups:
            yield Example(silhouettes[group], (), group)

    return ImageSet(('silhouette',), ('1',), (), tuple(map(str, names)), numbers, (size, size), examples)
