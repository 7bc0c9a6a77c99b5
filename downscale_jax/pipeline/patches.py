"""Examples for downscaling: patches of one record, coarse and fine aligned, cut anew in every epoch."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError

CACHE_BYTES = 2**31  # normalised records kept in memory: reading one anew for each patch would cost more than a step
MIN_VALID = 0.25  # share of a patch that must be valid (ocean, not missing), where the record has such a patch


@dataclass(frozen=True)
class Patches:
    """Random crops of one split: target [B, P, P, 1] (zero where invalid), condition [B, P, P, Cc], mask [B, P, P, 1]
    bool; normalised."""

    prepared: Prepared
    split: str
    size: int  # cells a side
    per_record: int  # patches cut from each record in an epoch
    flips: bool  # along both axes: for scalars on grids without a preferred direction
    seed: int

    def __post_init__(self):
        h, w = self.prepared.mask.shape
        if self.size > min(h, w):
            raise UserError(
                f'patch of {self.size} cells does not fit the grid of {h} x {w}: choose a smaller data.patch'
            )

    def open(self) -> 'PatchSource':
        return PatchSource(self)


class PatchSource:
    """An opened split: `example(epoch, index)` is pure."""

    def __init__(self, patches: Patches):
        self.patches = patches
        self.records = patches.prepared.split(patches.split)
        self.count = len(self.records) * patches.per_record  # examples an epoch
        first = sum(array.nbytes for array in self._normalised(0))
        self._record = lru_cache(max(16, CACHE_BYTES // first))(self._normalised)

    def _normalised(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """target [H, W', 1], condition [H, W', Cc], valid [H, W', 1] and the flat origins of admissible patches."""
        prepared, size = self.patches.prepared, self.patches.size
        record = self.records[index]
        fine, coarse = record['fine'][..., None], record['coarse']
        transform = prepared.transform
        known = prepared.mask[..., None] & np.isfinite(coarse[..., transform.channel, None])
        target = transform.encode(fine, coarse).astype(np.float32)
        valid = known & np.isfinite(target)
        arrays = [np.where(valid, target, 0), transform.condition(coarse, known).astype(np.float32), valid]
        if prepared.periodic:  # a patch may cross the date line
            arrays = [np.concatenate([a, a[:, : size - 1]], 1) for a in arrays]
        return *arrays, admissible(arrays[-1][..., 0], size)

    def example(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(target, condition, valid) of one patch."""
        *arrays, origins = self._record(index % len(self.records))
        rng = np.random.default_rng((self.patches.seed, epoch, index))
        size, width = self.patches.size, arrays[0].shape[1]
        top, left = divmod(int(origins[rng.integers(origins.size)]), width - size + 1)
        crops = [a[top : top + size, left : left + size] for a in arrays]
        if self.patches.flips:
            rows, columns = 1 - 2 * rng.integers(0, 2, 2)
            crops = [c[::rows, ::columns] for c in crops]
        target, condition, valid = crops
        return target, condition, valid

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        examples = [self.example(int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
        stacked = [np.stack(arrays) for arrays in zip(*examples, strict=True)]
        return dict(zip(('target', 'condition', 'mask'), stacked, strict=True))


def admissible(valid: np.ndarray, size: int) -> np.ndarray:
    """Flat origins (row * (W - size + 1) + column) of the patches with enough valid cells, or of the best there is."""
    sums = np.pad(valid.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    counts = (sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]).ravel()
    enough = np.flatnonzero(counts >= MIN_VALID * size**2)
    return enough if enough.size else np.array([counts.argmax()])
