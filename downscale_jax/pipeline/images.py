"""Examples of labelled images, with symmetries drawn anew in every epoch."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared

CACHE_BYTES = 2**30  # of images kept in memory


class Images:
    """Images of one split: image [B, H, W, C] and the named `values` [B, K] standardised, label [B] int32.

    symmetry: see `SYMMETRIES`; '' for none.
    """

    def __init__(self, prepared: Prepared, split: str, seed: int, values: Sequence[str] = (), symmetry: str = ''):
        self.records, self.transform = prepared.split(split), prepared.transform_as(ImageTransform)
        self.count, self.seed, self.symmetry = len(self.records), seed, SYMMETRIES.get(symmetry)
        self.columns = [self.transform.values.variables.index(name) for name in values]
        self.numbers = self.transform.of_values(values)
        kept = CACHE_BYTES // self.records[0]['image'].nbytes
        self._record = lru_cache(max(1, kept))(self.records.__getitem__)

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        records = [self._record(int(i)) for i in indices]
        images = [self._turned(r['image'], int(e), int(i)) for r, e, i in zip(records, epochs, indices, strict=True)]
        batch = {
            'image': self.transform.channels.encode(np.stack(images)),
            'label': np.array([record['label'] for record in records], np.int32),
        }
        if self.columns:
            batch['values'] = self.numbers.encode(np.stack([record['values'][self.columns] for record in records]))
        return batch

    def _turned(self, image: np.ndarray, epoch: int, index: int) -> np.ndarray:
        """A random symmetry of the image, a function of (seed, epoch, index)."""
        if self.symmetry is None:
            return image
        return self.symmetry(image, np.random.default_rng((self.seed, epoch, index)))


def rotated(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random one of the rotations by right angles and their reflections."""
    columns, transpose = rng.integers(0, 2, 2)
    turned = reflected(image, rng)[:, :: 1 - 2 * columns]
    return turned.swapaxes(0, 1) if transpose else turned


def reflected(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in their order or reversed: two views by cameras side by side stay consistent."""
    return image[:: 1 - 2 * rng.integers(0, 2)]


SYMMETRIES: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    'rotated': rotated,
    'reflected': reflected,
}
