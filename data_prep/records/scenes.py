"""Records of multispectral scenes of a region with glaciers, one record per scene that is used.

Beside them stand the outlines (`outlines.gpkg`), the elevation and the numbers of the glaciers on the grid, and for
each glacier and date of `data.dates` the scene chosen for it, and the candidates of the first date, all of which
training sees. Folds are no part of the records: all folds share them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from data_prep.records.shards import Shard, write_records
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.rasters import products
from downscale_jax.fields.rasters.choice import Choice, choose
from downscale_jax.fields.rasters.opening import read_region
from downscale_jax.fields.rasters.outlines import counted, rasterised
from downscale_jax.fields.rasters.region import ELEVATION, SLOPE, Region, Scene, relief
from downscale_jax.fields.transforms import standardisation
from downscale_jax.fields.transforms.moments import Moments, channel_moments
from downscale_jax.fields.transforms.scenes import SceneTransform, decorrelation
from downscale_jax.pipeline.records import OUTLINES
from downscale_jax.runtime.errors import UserError

VERSION = 2  # of the records: raise it when they change
PATHS = ('path', 'outlines', 'elevation')
KEYS = ('path', 'outlines', 'elevation', 'simulate', 'bands', 'dates', 'days', 'candidates', 'least_km2')
OFFSET = 0.1  # of the logarithm of a band, relative to its mean
SPLIT = 'train'  # splits are folds of glaciers, which share the scenes


def named_files(data: dict) -> list[str]:
    """The files that a table of scenes names. Raises UserError as `products.find`."""
    found = products.find(data['path']) if data['path'].endswith('.csv') else []
    layers = [layer for product in found for layer in (*product.bands.values(), product.cloud) if layer]
    return list(dict.fromkeys(str(layer.path) for layer in layers))


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the scenes that glaciers use, the grid with its glaciers, and the transform."""
    region = open_region(data, seed)
    outlines, glacier = counted(region.outlines, region.grid, data['least_km2'])
    if not len(outlines):
        raise UserError(f'{data["outlines"]}: no glacier of {data["least_km2"]:g} km2 or more lies within the scenes')
    dates = [np.datetime64(date) for date in data['dates']]
    choices = [choose(region.scenes, glacier, date, data['days'], data['candidates']) for date in dates]
    for date, choice in zip(dates, choices, strict=True):
        if choice.clouded.min() == 1:
            raise UserError(
                f'{data["path"]}: in all scenes within {data["days"]} days of {date} every glacier is under cloud or '
                'without data: add clearer scenes, raise data.days, or change data.dates'
            )
    used = sorted({int(scene) for choice in choices for scene in choice.scene} | set(choices[0].candidates.tolist()))
    outlines.to_file(directory / OUTLINES, driver='GPKG')
    statics = statics_of(region, glacier, choices, used)
    # smaller glaciers are ice in the labels as well, but are not counted
    statics['outline'] = ('y', 'x'), (rasterised(region.outlines, region.grid) > 0).astype(np.int8)
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
        'clouded_one_scene': (table, np.stack([choice.hidden[0] for choice in choices])),
        'candidate': ('candidate', np.searchsorted(used, choices[0].candidates)),
        'hidden': (('candidate', 'glacier'), choices[0].hidden),
    }
    if region.truth is not None:
        variables['ice'] = (('date', *place), np.stack(list(region.truth.ice.values())).astype(np.int8))
        variables['debris'] = (place, region.truth.debris)
    return xr.Dataset(variables, region.grid.coordinates())


def fit(region: Region, used: list[int]) -> SceneTransform:
    """Decorrelated logarithms of the bands and z-scores of elevation and slope, over clear cells.

    The light on a slope is a factor of its reflectance, so that ratios of bands, in which rock and debris-covered ice
    differ by a tenth, are differences of logarithms: ln(1 + x / s), where s, OFFSET of the mean of the band, bounds the
    noise of shadows. Labels have no part in the statistics.
    """
    names, bands = (*region.bands, ELEVATION, SLOPE), len(region.bands)
    below = relief(region.elevation, region.grid.cell)

    def cells() -> Iterator[np.ndarray]:
        for index in used:
            scene = region.scenes[index]
            image = np.concatenate([scene.read(), below], -1)
            yield image[scene.valid() & np.isfinite(below).all(-1)]

    def moments_of(function: standardisation.Function) -> list[Moments]:
        return channel_moments((function(image / unit) for image in cells()), len(names))

    unit = np.ones(len(names))
    unit[:bands] = [OFFSET * moments.mean for moments in moments_of(lambda x: x)[:bands]]
    kinds = ('log1p',) * bands + ('standard',) * 2
    fitted = standardisation.fit(moments_of, names, ('1',) * bands + ('m', '1'), kinds)
    mean, std = (tuple((np.array(values) * unit).tolist()) for values in (fitted.mean, fitted.std))
    channels = replace(fitted, mean=mean, std=std)
    return SceneTransform(channels, decorrelation(channels.encode(image)[:, :bands] for image in cells()))
