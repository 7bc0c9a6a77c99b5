"""Silhouettes of imaged particles: segmentation, and framing as in training."""

import numpy as np
from scipy import ndimage

from downscale_jax.runtime.errors import UserError

FILL = 0.9  # longest side of a silhouette over the side of the image: that of simulated silhouettes
CONTRAST = 0.3  # deviation from the background that makes a pixel part of the particle, relative to the largest


def framed(images: np.ndarray, size: int) -> np.ndarray:
    """Silhouettes [N, size, size, V] in 0..1 of grey images [N, H, W, V], the share of each pixel that is covered.

    Bounding boxes are centred; the longest among the views of a crystal is FILL of the image. Raises UserError for an
    image without a particle.
    """
    return np.stack([framed_crystal(segmented(image, number), size) for number, image in enumerate(images)])


def segmented(views: np.ndarray, number: int = 0) -> np.ndarray:
    """bool [H, W, V] of grey views [H, W, V]: the largest connected piece of each, its holes filled.

    The background is the median of the border; the particle is darker or brighter, whichever deviates more in all, so
    that bright rims and spots of a dark particle do not count. Raises UserError where nothing differs from it.
    """
    result = np.zeros(views.shape, bool)
    for view in range(views.shape[-1]):
        image = views[..., view].astype(float)
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        darker = np.median(border) - image
        deviation = np.maximum(darker if darker.sum() > 0 else -darker, 0)
        if not deviation.any():
            raise UserError(f'image {number} has an empty silhouette: leave it out')
        # rounded: equal grey values stay equal, whether they are read as bytes or as shares
        pieces, count = ndimage.label(np.round(deviation / deviation.max(), 4) > CONTRAST)
        largest = 1 + np.argmax(ndimage.sum_labels(np.ones_like(image), pieces, np.arange(1, count + 1)))
        result[..., view] = ndimage.binary_fill_holes(pieces == largest)
    return result


def framed_crystal(views: np.ndarray, size: int) -> np.ndarray:
    """[size, size, V] coverage of bool views [H, W, V], on a common scale."""
    boxes = [ndimage.find_objects(views[..., view].astype(int))[0] for view in range(views.shape[-1])]
    side = max(max(box.stop - box.start for box in both) for both in boxes) / FILL
    parts = []
    for view, (rows, columns) in enumerate(boxes):
        down, across = (resampling(axis, views.shape[k], side, size) for k, axis in enumerate((rows, columns)))
        parts.append(down @ views[..., view].astype(np.float32) @ across.T)
    return np.stack(parts, -1)


def resampling(box: slice, count: int, side: float, size: int) -> np.ndarray:
    """[size, count] share of each new pixel that each of `count` old ones covers, for a window of `side` old pixels
    centred on a box."""
    edges = (box.start + box.stop - side) / 2 + side / size * np.arange(size + 1)
    old = np.arange(count)
    overlap = np.minimum(edges[1:, None], old + 1.0) - np.maximum(edges[:-1, None], old)
    return (np.maximum(overlap, 0) * (size / side)).astype(np.float32)
