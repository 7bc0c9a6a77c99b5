"""`View`: the part of a region around some glaciers, each in its own scene, and the probability of ice there."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from downscale_jax.downscale.probability import Mapper
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.pipeline.glaciers import Glaciers, Imagery, inputs


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
    imagery: Imagery,
    glaciers: Glaciers,
    chosen: np.ndarray,
    date: int,
    zone: float,
    transform: SceneTransform,
    mapper: Mapper | None = None,
) -> View:
    """The surroundings of the glaciers `chosen` [N] bool at the date with this index, up to `zone` metres from them."""
    grid = imagery.grid
    distance = distance_transform_edt(glaciers.number == 0) * grid.cell
    owner = np.where(glaciers.cells_of(chosen) & (distance <= zone), glaciers.owner - 1, -1)
    rows, columns = window = surroundings(owner >= 0, 2 * mapper.overlap if mapper else 0)
    owner = owner[window]
    image = np.full((*owner.shape, len(transform.variables)), np.nan, np.float32)
    valid, probability = np.zeros(owner.shape, bool), np.full(owner.shape, np.nan, np.float32)
    scene = np.append(glaciers.scene[date], -1)[owner]
    # the scene of most glaciers shows what lies between them
    used, count = np.unique(glaciers.scene[date][chosen], return_counts=True)
    scene[scene < 0] = used[count.argmax()]
    for index in used:
        bands, clear = (array[window] for array in imagery.scene(int(index)))
        whole = np.concatenate([bands, imagery.relief[window]], -1)
        here = scene == index
        image[here], valid[here] = whole[here], clear[here]
        if mapper:
            mapped = here & (owner >= 0)
            probability[mapped] = mapper.probability(inputs(transform, whole), mapped)[mapped]
    part = grid._replace(
        west=grid.west + columns.start * grid.cell, north=grid.north - rows.start * grid.cell, shape=owner.shape
    )
    own = (owner >= 0) & (glaciers.number[window] == owner + 1)
    ice = None if imagery.ice is None else imagery.ice[date][window]
    debris = None if imagery.debris is None else imagery.debris[window]
    return View(image, valid, probability, glaciers.outline[window], own, owner, ice, debris, part)


def surroundings(cells: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The smallest window that holds the `cells` (y, x) and `margin` cells around them."""
    ends = [np.flatnonzero(cells.any(axis)) for axis in (1, 0)]
    rows, columns = (
        slice(max(0, at[0] - margin), min(n, at[-1] + 1 + margin)) for at, n in zip(ends, cells.shape, strict=True)
    )
    return rows, columns
