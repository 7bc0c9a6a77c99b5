"""Glaciers of prepared scenes, their folds, and examples for their segmentation."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.outlines import folds, nearest
from downscale_jax.fields.rasters.region import ELEVATION, clear, relief
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError

CACHE_BYTES = 2**31  # of scenes kept in memory
LEAST_CLEAR = 0.5  # share of a glacier that a scene must show to train on it


class Glaciers(NamedTuple):
    """The glaciers of a region; glacier i (from 0) has the number i + 1 on the grid."""

    outline: np.ndarray  # (y, x) bool: within any outline, also of glaciers too small to count
    number: np.ndarray  # (y, x) int32, 0 outside of the outlines of glaciers that count
    owner: np.ndarray  # (y, x) int32, number of the nearest glacier
    area: np.ndarray  # [N] km2, of the cells within the outline
    fold: np.ndarray  # [N], from 0 in the west
    scene: np.ndarray  # [D, N], record of the scene for each date

    def cells_of(self, chosen: np.ndarray) -> np.ndarray:
        """Cells, bool (y, x), nearest to one of the glaciers `chosen` [N] bool."""
        return np.append(False, chosen)[self.owner]


def glaciers_of(prepared: Prepared, count: int) -> Glaciers:
    """The glaciers of prepared data in `count` folds. Raises UserError where a fold has no glacier."""
    statics = prepared.statics
    number, area = statics['number'].values, statics['area'].values.astype(np.float64)
    if len(area) < count:
        raise UserError(f'data.folds={count}, but the region has {len(area)} glaciers: choose fewer folds')
    fold = folds(statics['longitude'].values, area, count)
    if empty := sorted(set(range(count)) - set(fold)):
        raise UserError(
            f'data.folds={count} of equal area: fold {empty[0]} has no glacier, since a large one fills it and its '
            'neighbours; choose fewer folds'
        )
    outline = statics['outline'].values.astype(bool)
    return Glaciers(outline, number, nearest(number), area, fold, statics['scene'].values)


def split_of(fold: np.ndarray, test: int, count: int, split: str) -> np.ndarray:
    """Glaciers [N] of a split, bool: fold `test` is tested, the next one validates, the others train.

    With two folds, every fourth glacier of the fold that is not tested validates.
    """
    tested, validates = fold == test, fold == (test + 1) % count
    if count == 2:
        validates &= (np.cumsum(validates) - 1) % 4 == 3
    return {'test': tested, 'validation': validates}.get(split, ~tested & ~validates)


def scenes_of(prepared: Prepared, split: str) -> np.ndarray:
    """[S, N]: records of the scenes of the first date in which the patches of a split show each glacier.

    Training sees all candidates that show at least half of a glacier, since seasonal snow, sun and haze differ from one
    to the next; the other splits, and glaciers without such a candidate, see the chosen scene alone.
    """
    statics = prepared.statics
    chosen = statics['scene'].values[:1]
    if split != 'train':
        return chosen
    shown = statics['hidden'].values <= 1 - LEAST_CLEAR
    return np.where(shown, statics['candidate'].values[:, None], chosen)


class GlacierPatches:
    """Patches of one split, centred on a random cell of a glacier, turned and mirrored at random.

    image [B, P, P, C] normalised, zero where missing; label [B, P, P, 1] 1 within an outline; valid [B, P, P, 1] bool:
    cells with data, without cloud, and nearer to a glacier of the split than to any other.
    """

    def __init__(
        self, prepared: Prepared, glaciers: Glaciers, chosen: np.ndarray, scenes: np.ndarray, data: Mapping[str, Any],
        seed: int,
    ):  # fmt: skip
        """`chosen` [N] bool: glaciers of the split; `scenes` [S, N]: see `scenes_of`; `data`: patch,
        patches_per_glacier, jitter and lift of a config."""
        size, self.jitter, self.lift = data['patch'], data['jitter'], data['lift']
        if size > min(glaciers.number.shape):
            rows, columns = glaciers.number.shape
            raise UserError(
                f'data.patch={size} does not fit the scenes of {rows} x {columns} cells: choose a smaller one'
            )
        self.glaciers, self.scenes, self.size, self.seed = glaciers, scenes, size, seed
        self.transform = prepared.transform_as(SceneTransform)
        imagery = imagery_of(prepared)
        self.relief = imagery.relief
        self.own = glaciers.cells_of(chosen)
        self.chosen = np.flatnonzero(chosen)
        self.count = len(self.chosen) * data['patches_per_glacier']
        flat = glaciers.number.ravel()
        self._cells = np.argsort(flat, kind='stable')
        self._first = np.searchsorted(flat[self._cells], np.arange(len(glaciers.area) + 2))
        kept = max(2, CACHE_BYTES // (4 * self.own.size * len(self.transform.variables)))
        self._scene = lru_cache(kept)(imagery.scene)

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        patches = [self.patch(int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
        image, label, valid = (np.stack(arrays) for arrays in zip(*patches, strict=True))
        return {'image': inputs(self.transform, image), 'label': label, 'valid': valid}

    def patch(self, epoch: int, index: int) -> tuple[np.ndarray, ...]:
        """(image, label, valid) of one patch, physical; pure."""
        rng = np.random.default_rng((self.seed, epoch, index))
        glacier = self.chosen[index % len(self.chosen)]
        cell = self._cells[rng.integers(*self._first[[glacier + 1, glacier + 2]])]
        place = [
            int(np.clip(at - self.size // 2, 0, n - self.size))
            for at, n in zip(np.unravel_index(cell, self.own.shape), self.own.shape, strict=True)
        ]
        window = tuple(slice(at, at + self.size) for at in place)
        scene = self.scenes[rng.integers(len(self.scenes)), glacier]
        image, known = (array[window] for array in self._scene(int(scene)))
        lifted = self.relief[window] + np.array([self.lift * rng.standard_normal(), 0], np.float32)
        image = np.concatenate([image * self.gain(rng, image.shape[-1]), lifted], -1)
        label = self.glaciers.outline[window][..., None].astype(np.float32)
        valid = (known & self.own[window])[..., None]
        turns, mirrored = map(int, rng.integers((4, 2)))
        return tuple(np.rot90(np.asarray(a), turns)[:: 1 - 2 * mirrored] for a in (image, label, valid))

    def gain(self, rng: np.random.Generator, bands: int) -> np.ndarray:
        """Random factors of the bands, since sun, haze and snow differ from scene to scene: a common one, and one
        for each band that varies a third as much."""
        return np.exp(self.jitter * (rng.standard_normal() + rng.standard_normal(bands) / 3)).astype(np.float32)


class Imagery(NamedTuple):
    """Scenes of a region and its relief, from prepared data or from files."""

    grid: RasterGrid
    relief: np.ndarray  # elevation [m] and slope (y, x, 2)
    scene: Callable[[int], tuple[np.ndarray, np.ndarray]]  # index -> (bands (y, x, B), clear cells (y, x) bool)
    ice: np.ndarray | None = None  # the true ice of a simulation at each date, bool (date, y, x)
    debris: np.ndarray | None = None  # share of debris on the ice of the first date, (y, x)


def imagery_of(prepared: Prepared) -> Imagery:
    """The scenes of prepared data."""
    statics, records = prepared.statics, prepared.split('train')
    grid = RasterGrid.of(statics)
    ice = statics['ice'].values.astype(bool) if 'ice' in statics else None
    debris = statics['debris'].values if 'debris' in statics else None

    def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
        record = records[index]
        return record['bands'], clear(record['bands'], record['cloud'])

    return Imagery(grid, relief(statics[ELEVATION].values, grid.cell), scene, ice, debris)


def inputs(transform: SceneTransform, image: np.ndarray) -> np.ndarray:
    """Bands, elevation and slope [..., C] as the network sees them: normalised, zero where missing."""
    return np.nan_to_num(transform.encode(image), nan=0.0)
