"""Records of multispectral scenes of a region with glaciers, one record per scene that a glacier uses.

Beside them stand the outlines (`outlines.gpkg`), the elevation and the numbers of the glaciers on the grid, and for
each glacier and date of `data.dates` the scene chosen for it. Folds are no part of the records: all folds share them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from data_prep.records.shards import Shard, write_records
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.rasters.choice import Choice, choose
from downscale_jax.fields.rasters.opening import read_region
from downscale_jax.fields.rasters.outlines import rasterised
from downscale_jax.fields.rasters.region import ELEVATION, SLOPE, Region, Scene, relief
from downscale_jax.fields.transforms import standardisation
from downscale_jax.fields.transforms.moments import Moments, channel_moments
from downscale_jax.pipeline.records import OUTLINES
from downscale_jax.runtime.errors import UserError

VERSION = 1  # of the records: raise it when they change
PATHS = ('path', 'outlines', 'elevation')
KEYS = ('path', 'outlines', 'elevation', 'simulate', 'bands', 'dates', 'days', 'candidates', 'least_km2')
SPLIT = 'train'  # splits are folds of glaciers, which share the scenes


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the scenes that glaciers use, the grid with its glaciers, and the transform."""
    region = open_region(data, seed)
    # smaller glaciers are ice in the labels as well, but are not counted
    drawn = rasterised(region.outlines, region.grid) > 0
    outlines = region.outlines[region.outlines['area_km2'] >= data['least_km2']].reset_index(drop=True)
    glacier = rasterised(outlines, region.grid)
    if not (size := np.bincount(glacier.ravel(), minlength=len(outlines) + 1)[1:]).any():
        raise UserError(f'{data["outlines"]}: no glacier of {data["least_km2"]:g} km2 or more lies within the scenes')
    outlines, glacier = outlines[size > 0].reset_index(drop=True), renumbered(glacier, size > 0)
    dates = [np.datetime64(date) for date in data['dates']]
    choices = [choose(region.scenes, glacier, date, data['days'], data['candidates']) for date in dates]
    used = sorted({int(scene) for choice in choices for scene in choice.scene})
    outlines.to_file(directory / OUTLINES, driver='GPKG')
    statics = statics_of(region, glacier, choices, used)
    statics['outline'] = ('y', 'x'), drawn.astype(np.int8)
    statics['longitude'] = 'glacier', outlines.geometry.centroid.to_crs('EPSG:4326').x.values
    store.write_netcdf(statics, directory / 'statics.nc')
    shape = region.grid.shape
    shapes = {'bands': (*shape, len(region.bands)), 'cloud': shape, 'time': ()}
    write_records(directory, UsedScenes([region.scenes[index] for index in used], shapes), {SPLIT: len(used)})
    meta = {
        'name': name,
        'kind': 'scenes',
        'transform': fit(region, used).to_json(),
        'calendar': 'standard',
        'idealised': not data['path'],
        'scenes': [region.scenes[index].name for index in used],
        'dates': [str(date) for date in data['dates']],
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


@dataclass(frozen=True)
class UsedScenes:
    """The records of the scenes."""

    scenes: Sequence[Scene]
    shapes: Mapping[str, tuple[int, ...]]

    description = 'Multispectral scenes, one record per scene.'

    def write(self, shard: Shard, add: Callable[..., None]) -> None:
        """See `shards.Records`."""
        for scene in self.scenes[shard.start : shard.stop]:
            (seconds,) = encode_times(np.array([scene.date], 'datetime64[ns]'))
            add(bands=scene.read(), cloud=scene.cloud(), time=int(seconds))


def open_region(data: dict, seed: int) -> Region:
    """The region of the files, or the simulated one."""
    if data['path']:
        return read_region(data['path'], data['outlines'], data['elevation'], data['bands'])
    from data_prep.simulators.glaciers.simulate import simulate

    settings = {'seed': seed, **data['simulate']}
    years = tuple(int(str(date)[:4]) for date in data['dates'])
    return simulate(settings['seed'], settings['rows'], settings['columns'], years, settings['scenes'])


def renumbered(glacier: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Numbers of the `kept` glaciers [N] in order, without gaps."""
    numbers = np.where(kept, np.cumsum(kept), 0)
    return np.append(0, numbers)[glacier].astype(np.int32)


def statics_of(region: Region, glacier: np.ndarray, choices: list[Choice], used: list[int]) -> xr.Dataset:
    """The grid with elevation, glaciers and, of a simulation, the true ice; scenes by date and glacier."""
    place, table = ('y', 'x'), ('date', 'glacier')
    size = np.bincount(glacier.ravel())[1:]
    area = np.full(glacier.shape, region.grid.cell_km2, np.float32)
    variables: dict[str, tuple] = {
        'mask': (place, np.ones(glacier.shape, np.int8)),
        'cell_area': (place, area, {'units': 'km2'}),
        ELEVATION: (place, region.elevation, {'units': 'm', 'standard_name': 'surface_altitude'}),
        'number': (place, glacier, {'long_name': 'number of the glacier, 0 outside'}),
        'area': ('glacier', region.grid.cell_km2 * size, {'units': 'km2'}),
        'scene': (table, np.stack([np.searchsorted(used, choice.scene) for choice in choices])),
        'clouded': (table, np.stack([choice.clouded for choice in choices])),
        'clouded_one_scene': (table, np.stack([choice.best_clouded for choice in choices])),
    }
    if region.truth is not None:
        variables['ice'] = (('date', *place), np.stack(list(region.truth.ice.values())).astype(np.int8))
        variables['debris'] = (place, region.truth.debris)
    return xr.Dataset(variables, region.grid.coordinates())


def fit(region: Region, used: list[int]) -> standardisation.Standardisation:
    """z-scores of the bands, over clear cells, and of elevation and slope; labels have no part in them."""
    names = (*region.bands, ELEVATION, SLOPE)
    below = relief(region.elevation, region.grid.cell)

    def images():
        for index in used:
            image = region.scenes[index].read()
            values = np.concatenate([image, below], -1)
            yield values[region.scenes[index].valid() & np.isfinite(below).all(-1)]

    def moments_of(function: standardisation.Function) -> list[Moments]:
        return channel_moments(map(function, images()), len(names))

    return standardisation.fit(moments_of, names, ('1',) * len(region.bands) + ('m', '1'), ('standard',))
