"""`GlacierMap`: a trained segmentation that maps glaciers in new scenes."""

from functools import cached_property
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray as xr

from downscale_jax.downscale.probability import Mapper
from downscale_jax.evaluation.glaciers import change as area_change
from downscale_jax.evaluation.glaciers.view import View, view
from downscale_jax.evaluation.statistics.bootstrap import ratio
from downscale_jax.fields.rasters.choice import Choice, choose
from downscale_jax.fields.rasters.opening import read_region, region_of
from downscale_jax.fields.rasters.outlines import counted, nearest, rasterised, read_outlines
from downscale_jax.fields.rasters.region import Region, relief
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.pipeline.glaciers import Glaciers, Imagery
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.tasks.segmentation import Segmentation

if TYPE_CHECKING:
    import geopandas

TASK = 'segmentation'


class GlacierMap(WorkDirectory[Segmentation]):
    """A trained segmentation."""

    @cached_property
    def mapper(self) -> Mapper:
        """Probability of glacier in the cells of an image of any size."""
        task = self.tasks[TASK]
        variables = jax.device_get(task.inference_params(self.restored(TASK)))
        return Mapper(task, variables, self.config['sampling'])

    def map(
        self, scenes: 'str | xr.Dataset', outlines: 'str | geopandas.GeoDataFrame', elevation: str = ''
    ) -> 'geopandas.GeoDataFrame':
        """Areas of glaciers in each year that has scenes, and their rates from the first to the last.

        Ice is counted inside `outlines` and up to evaluation.buffer around them.

        scenes: a table of scenes or Sentinel-2 products (`fields.rasters.products`) with an `elevation`, or a data set
        with the bands of training (`fields.rasters.opening.region_of`). Of each year every glacier has the clearest of
        the data.candidates least cloudy scenes. Columns: id, area_km2 of the outline, and for each year area_YEAR_km2
        and cloud_YEAR, the share of the outline under cloud; with two years or more rate_km2_per_year and
        rate_percent_per_year. NaN where less than half of the cells are clear.

        Raises UserError where files cannot be read or do not fit, and where every glacier is under cloud.
        """
        region = self._region(scenes, outlines, elevation)
        data = self.config['data']
        outlines, number = counted(region.outlines, region.grid, data['least_km2'])
        if not len(outlines):
            raise UserError(f'no outline of {data["least_km2"]:g} km2 or more lies within the scenes')
        years = sorted({int(str(scene.date)[:4]) for scene in region.scenes})
        choices = [choose_in(region, number, year, data['candidates']) for year in years]
        views = self._views(region, number, choices)
        areas = area_change.areas(views, len(outlines), self.config['evaluation']['buffer'])
        if not np.isfinite(areas).any():
            raise UserError('every glacier is under cloud, or without data, in all scenes: add clearer ones')
        frame = outlines[['id', 'area_km2', 'geometry']].copy()
        for year, area, choice in zip(years, areas, choices, strict=True):
            frame[f'area_{year}_km2'], frame[f'cloud_{year}'] = area, choice.clouded
        if len(years) > 1:
            rate = (areas[-1] - areas[0]) / (years[-1] - years[0])
            frame['rate_km2_per_year'] = rate
            frame['rate_percent_per_year'] = 100 * ratio(rate, areas[0])
        return frame

    def _region(self, scenes, outlines, elevation: str) -> Region:
        bands = tuple(self.config['data']['bands'])
        if isinstance(scenes, str):
            return read_region(scenes, outlines, elevation, bands)
        return region_of(scenes, read_outlines(outlines) if isinstance(outlines, str) else outlines, bands)

    def _views(self, region: Region, number: np.ndarray, choices: list[Choice]) -> list[View]:
        """The surroundings of all glaciers in each year."""
        area = np.bincount(number.ravel())[1:] * region.grid.cell_km2
        outline = rasterised(region.outlines, region.grid) > 0
        scene = np.stack([choice.scene for choice in choices])
        glaciers = Glaciers(outline, number, nearest(number), area, np.zeros(len(area), int), scene)
        below = relief(region.elevation, region.grid.cell)
        imagery = Imagery(region.grid, below, lambda i: (region.scenes[i].read(), region.scenes[i].valid()))
        everything, zone = np.ones(len(area), bool), self.config['evaluation']['zone']
        transform = self.prepared.transform_as(SceneTransform)
        return [view(imagery, glaciers, everything, date, zone, transform, self.mapper) for date in range(len(choices))]


def choose_in(region: Region, number: np.ndarray, year: int, candidates: int) -> Choice:
    """The scenes of a calendar year."""
    return choose(region.scenes, number, np.datetime64(f'{year}-07-02'), 183, candidates)
