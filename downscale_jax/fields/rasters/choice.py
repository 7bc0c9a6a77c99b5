"""Choice of scenes: for each glacier the clearest of the least cloudy scenes near a date (Diaconu and Bamber 2023)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from downscale_jax.fields.rasters.region import Scene
from downscale_jax.runtime.errors import UserError


class Choice(NamedTuple):
    """Scenes of one date; shares are means over the cells within outlines, clouds and missing data together."""

    scene: np.ndarray  # [N] index in the region's scenes, for each glacier
    clouded: np.ndarray  # [N] share of each glacier in its scene
    candidates: np.ndarray  # [K] the scenes to choose from, the least cloudy of the region first
    hidden: np.ndarray  # [K, N] share of each glacier in each of them


def choose(scenes: Sequence[Scene], glacier: np.ndarray, date: np.datetime64, days: int, candidates: int) -> Choice:
    """The scene of each glacier in `glacier` (y, x, numbers from 1) within `days` of `date`.

    Raises UserError where no scene is near the date.
    """
    near = [i for i, scene in enumerate(scenes) if abs((scene.date - date).astype(int)) <= days]
    if not near:
        dates = ', '.join(str(scene.date) for scene in scenes[:5]) or 'none'
        raise UserError(f'no scene within {days} days of {date}: found {dates}; raise data.days or change data.dates')
    size = np.bincount(glacier.ravel())[1:]
    hidden = np.stack([np.bincount(glacier[~scenes[i].valid()], minlength=len(size) + 1)[1:] for i in near])
    by_region = np.argsort(hidden.sum(1), kind='stable')[:candidates]
    best = by_region[hidden[by_region].argmin(0)]
    share = hidden / np.maximum(size, 1)
    clouded = share[best, np.arange(len(size))]
    index = np.array(near)
    return Choice(index[best], clouded, index[by_region], share[by_region])
