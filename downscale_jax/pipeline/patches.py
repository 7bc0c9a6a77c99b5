"""Examples for downscaling: aligned coarse and fine patches of one record, drawn anew in every epoch."""

from functools import lru_cache

import numpy as np

from downscale_jax.fields.datasets.times import month_of, year_of
from downscale_jax.fields.geometry.boxes import box_sums
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError

CACHE_BYTES = 2**31  # of records kept in memory: reading one for each patch would cost more than a step
BLOCKS_PER_PART = 4  # of time, in training periods of few years
MIN_VALID = 0.25  # fraction of a patch that must be valid (ocean, not missing), where the record has such a patch

Record = tuple[np.ndarray, np.ndarray, np.ndarray]  # fine [H, W', V], coarse [H, W', Cin], flat origins of patches


class Patches:
    """Random crops of one split: target [B, P, P, V] (zero where invalid), condition [B, P, P, Cc], mask [B, P, P, 1]
    bool; normalised. Where the coarse field is a block mean, patches are aligned with the blocks. With `parts` > 1
    also part [B], the part of the training split that the record belongs to, -1 in other splits."""

    def __init__(
        self, prepared: Prepared, split: str, size: int, per_record: int, flips: bool, seed: int, parts: int = 1
    ):
        """`size`: cells per side; `per_record`: patches drawn from each record per epoch; `flips`: along both axes, for
        scalars on grids without a preferred direction; `parts`: number of parts of the training split (`part_of_each`).
        """
        h, w = prepared.mask.shape
        if size > min(h, w) and not isinstance(prepared.field_transform, PairTransform):
            raise UserError(f'patch of {size} cells does not fit the grid of {h} x {w}: choose a smaller data.patch')
        self._missing = (max(0, size - h), max(0, size - w))  # a smaller grid is extended by invalid cells
        h, w = max(h, size), max(w, size)
        self.prepared, self.size, self.flips, self.seed = prepared, size, flips, seed
        self.transform = prepared.field_transform
        self._block = self.transform.factor if isinstance(self.transform, BlockMeans) else 1
        self.records = prepared.split(split)
        self.count = len(self.records) * per_record
        self._parts = None
        if parts > 1:
            trained = split == 'train'
            self._parts = part_of_each(self.records.times, parts) if trained else np.full(len(self.records), -1)
        columns = np.arange(w + size - 1 if prepared.periodic else w) % w  # a patch may cross the date line
        self._columns = columns
        self._mask = self._extended(prepared.mask[..., None], False)[:, columns]
        kept = max(16, CACHE_BYTES // sum(array.nbytes for array in self._read(0)))
        self._record = lru_cache(kept)(self._read)

    def _read(self, index: int) -> Record:
        """In physical units: only patches are normalised, since most of a record is not drawn in an epoch."""
        fine, coarse = (self._extended(x, np.nan) for x in self.prepared.pair(self.records[index]))
        if self.prepared.periodic:
            fine, coarse = fine[:, self._columns], coarse[:, self._columns]
        valid = self._mask & self.transform.known(coarse) & np.isfinite(fine).all(-1, keepdims=True)
        return fine, coarse, admissible(valid[..., 0], self.size, self._block)

    def _extended(self, fields: np.ndarray, value: float) -> np.ndarray:
        down, across = self._missing
        return np.pad(fields, ((0, down), (0, across), (0, 0)), constant_values=value) if any(self._missing) else fields

    def crop(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(fine, coarse, mask) of one patch, physical; pure."""
        fine, coarse, origins = self._record(index % len(self.records))
        rng = np.random.default_rng((self.seed, epoch, index))
        size, width = self.size, fine.shape[1]
        top, left = divmod(int(origins[rng.integers(origins.size)]), width - size + 1)
        crops = [a[top : top + size, left : left + size] for a in (fine, coarse, self._mask)]
        if self.flips:
            rows, columns = 1 - 2 * rng.integers(0, 2, 2)
            crops = [c[::rows, ::columns] for c in crops]
        fine, coarse, mask = crops
        return fine, coarse, mask

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        crops = [self.crop(int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
        fine, coarse, mask = (np.stack(arrays) for arrays in zip(*crops, strict=True))
        known = mask & self.transform.known(coarse)
        valid = known & np.isfinite(fine).all(-1, keepdims=True)
        target = np.where(valid, self.transform.encode(fine, coarse), 0).astype(np.float32)
        condition = self.transform.condition(coarse, known).astype(np.float32)
        batch = {'target': target, 'condition': condition, 'mask': valid}
        if self._parts is None:
            return batch
        return {**batch, 'part': self._parts[indices % len(self.records)].astype(np.int32)}


def part_of_each(times: np.ndarray, parts: int) -> np.ndarray:
    """The part [records] of each time: calendar years in rotation, where each part then has all months that there are,
    else consecutive blocks of time in rotation. Raises UserError for fewer times than parts."""
    if len(times) < parts:
        raise UserError(f'diffusion.cross_fitting={parts} exceeds the number of training records, {len(times)}')
    years = np.unique([year_of(time) for time in times], return_inverse=True)[1] % parts
    months = np.array([month_of(time) for time in times])
    if all(len(set(months[years == part])) == len(set(months)) for part in range(parts)):
        return years
    blocks = min(parts * BLOCKS_PER_PART, len(times))
    return np.arange(len(times)) * blocks // len(times) % parts


def admissible(valid: np.ndarray, size: int, block: int = 1) -> np.ndarray:
    """Flat origins (row * (W - size + 1) + column), both multiples of `block`, of the patches with enough valid cells,
    or of the patch with most."""
    counts = box_sums(valid, size)
    rows, columns = (np.arange(n) % block == 0 for n in counts.shape)
    counts = np.where(rows[:, None] & columns, counts, -1).ravel()
    enough = np.flatnonzero(counts >= MIN_VALID * size**2)
    return enough if enough.size else np.array([counts.argmax()])
