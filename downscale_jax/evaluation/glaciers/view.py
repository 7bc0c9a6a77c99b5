"""`View`: the part of a region around some glaciers, each in its own scene, and the probability of ice there."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from downscale_jax.downscale.probability import Mapper
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.glaciers import Glaciers, inputs, relief_of, scene_of
from downscale_jax.pipeline.records import Prepared


class View(NamedTuple):
    """A window of the region at one date. Arrays are (y, x)."""

    image: np.ndarray  # (y, x, bands, elevation, slope), physical; each cell from the scene of the nearest glacier
    valid: np.ndarray  # bool: with data, without cloud
    probability: np.ndarray  # of ice; NaN without a network and far from the glaciers
    outline: np.ndarray  # bool: within an outline of the inventory
    own: np.ndarray  # bool: within the outline of the owner
    owner: np.ndarray  # index of the nearest glacier, from 0; -1 beyond the zone and for other glaciers
    ice: np.ndarray | None  # bool: the true ice of a simulation
    debris: np.ndarray | None  # share of debris on the ice of the first date
    grid: RasterGrid

    @property
    def scored(self) -> np.ndarray:
        """Valid cells in the zone of the glaciers, bool."""
        return self.valid & (self.owner >= 0)

    @property
    def truth(self) -> np.ndarray:
        """The reference: the true ice of a simulation, else the outlines."""
        return self.outline if self.ice is None else self.ice


def view(
    prepared: Prepared, glaciers: Glaciers, chosen: np.ndarray, date: int, zone: float, mapper: Mapper | None = None
) -> View:
    """The surroundings of the glaciers `chosen` [N] bool at the date with this index, up to `zone` metres from them."""
    grid = RasterGrid.of(prepared.statics)
    distance = distance_transform_edt(glaciers.number == 0) * grid.cell
    owner = np.where(glaciers.cells_of(chosen) & (distance <= zone), glaciers.owner - 1, -1)
    margin = 2 * mapper.overlap if mapper else 0
    window = surroundings(owner >= 0, margin)
    owner = owner[window]
    statics, transform = prepared.statics, prepared.transform_as(Standardisation)
    below = relief_of(prepared)[window]
    image = np.full((*owner.shape, len(transform.variables)), np.nan, np.float32)
    valid, probability = np.zeros(owner.shape, bool), np.full(owner.shape, np.nan, np.float32)
    scene = np.append(glaciers.scene[date], -1)[owner]
    records = prepared.split('train')
    # the scene of most glaciers shows what lies between them
    used, count = np.unique(glaciers.scene[date][chosen], return_counts=True)
    scene[scene < 0] = used[count.argmax()]
    for index in used:
        bands, clear = scene_of(records[int(index)])
        whole = np.concatenate([bands[window], below], -1)
        here = scene == index
        image[here], valid[here] = whole[here], clear[window][here]
        if mapper:
            mapped = here & (owner >= 0)
            probability[mapped] = mapper.probability(inputs(transform, whole), mapped)[mapped]
    own = (owner >= 0) & (glaciers.number[window] == owner + 1)
    ice = statics['ice'].values[date][window].astype(bool) if 'ice' in statics else None
    debris = statics['debris'].values[window] if 'debris' in statics else None
    rows, columns = window
    part = grid._replace(
        west=grid.west + columns.start * grid.cell, north=grid.north - rows.start * grid.cell, shape=owner.shape
    )
    return View(image, valid, probability, glaciers.outline[window], own, owner, ice, debris, part)


def surroundings(cells: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The smallest window that holds the `cells` (y, x) and `margin` cells around them."""
    ends = [np.flatnonzero(cells.any(axis)) for axis in (1, 0)]
    rows, columns = (
        slice(max(0, at[0] - margin), min(n, at[-1] + 1 + margin)) for at, n in zip(ends, cells.shape, strict=True)
    )
    return rows, columns
