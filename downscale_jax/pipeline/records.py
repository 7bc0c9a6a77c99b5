"""Prepared data: a directory with TFDS records, the grid they live on and the transform fitted to them.

    records/           TFDS data set (array_record: random access), one split each for train, validation, test
    statics.nc         of fields: mask, cell area and coordinates of the fine grid
    prepared.json      kind, transform, calendar, counts, provenance
    coarse_grid.nc     of pairs: coordinates of the coarse data
    outlines.gpkg      of scenes: glacier outlines

A record is one time: `fine` [H, W] and `coarse` [H, W, Cin]; `fine` [H, W, V] alone where the coarse form is its block
mean; `fine` [H, W, V] and `coarse` [h, w, P], each on its own grid, for pairs. Or it is a pair of patches, `first` and
`second` [P, P, C], with their `lag` in steps and the `row` and `column` of their first cell; or a satellite scene,
`bands` [H, W, B], with the probability of `cloud` [H, W]; or a labelled `image` [H, W, C] with its `values` [K], its
`label`, the `group` that it belongs to, and `seconds` from the start of a simulation; it has no grid. Fields are
physical, float32, NaN where missing; `time` is in seconds since 1970-01-01 of the data's calendar. Reading needs no
TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.datasets.times import decode_times
from downscale_jax.fields.geometry.grid import is_periodic, valid_area
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.fields.transforms.kinds import FieldTransform, Transform, read_transform
from downscale_jax.fields.transforms.lifting import Lifter
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.fields.transforms.training_range import TrainingRange, probable_extremes, standardised_extremes
from downscale_jax.pipeline.record_files import RecordFiles
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import RESTORE, Section, read_json, reading

STATICS = 'statics.nc'
COARSE_GRID = 'coarse_grid.nc'
CLIMATE = 'climate.nc'  # of the coarse inputs in training, to which another source is corrected
OUTLINES = 'outlines.gpkg'
T = TypeVar('T', bound=Transform)


@dataclass(frozen=True)
class Prepared:
    """A prepared directory, opened."""

    directory: Path

    @cached_property
    def meta(self) -> Section:
        path = self.directory / 'prepared.json'
        if not path.exists():
            raise UserError(f'no prepared data at {self.directory}: run --mode=train first')
        return read_json(path, self.remedy)

    @property
    def remedy(self) -> str:
        """What to do where a file is damaged: records can be prepared again, a work directory cannot."""
        if (self.directory / 'records').is_dir():
            return f'remove {self.directory} and run --mode=train to prepare the data again'
        return RESTORE

    @cached_property
    def transform(self) -> Transform:
        """The transform of the kind of data that the directory holds."""
        values = self.meta['transform']
        with reading(self.directory / 'prepared.json', self.remedy):
            return read_transform(self.kind, values)

    def transform_as(self, kind: type[T]) -> T:
        """`transform`, where only one kind makes sense. Raises UserError for data of another kind."""
        if not isinstance(self.transform, kind):
            raise UserError(f'{self.directory} holds data for {type(self.transform).__name__}, not {kind.__name__}')
        return self.transform

    @property
    def field_transform(self) -> FieldTransform:
        """`transform` of data for downscaling. Raises UserError for data of other kinds."""
        if isinstance(self.transform, Standardisation | SceneTransform | ImageTransform):
            raise UserError(f'{self.directory} holds data of kind {self.kind}, not fields to downscale')
        return self.transform

    def training_range(self) -> TrainingRange:
        """Of the coarse inputs, or of the fields of pairs of patches; each call gives a new one, which warns anew."""
        transform = self.transform
        if isinstance(transform, BlockMeans):
            return TrainingRange(transform.inputs, transform.input_units, np.reshape(self.meta['range'], (-1, 2)))
        if isinstance(transform, RefinementTransform):
            extremes = probable_extremes(transform.input_mean, transform.input_std)
            extremes[transform.channel] = self.meta['range']  # of the other inputs they are not stored
            return TrainingRange(transform.inputs, transform.input_units, extremes)
        if isinstance(transform, ImageTransform | SceneTransform):
            values = transform.channels
        else:
            values = transform.predictors if isinstance(transform, PairTransform) else transform
        return TrainingRange(values.variables, values.units, standardised_extremes(values))

    def pair(self, record: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(fine [H, W, V], coarse [H, W, channels]) of a record, on the fine grid, physical."""
        transform, fine = self.field_transform, record['fine']
        if isinstance(transform, RefinementTransform):
            return fine[..., None], record['coarse']
        (time,) = decode_times(np.array([record['time']]), self.meta['calendar'])
        if isinstance(transform, PairTransform):
            return fine, self.lifter(record['coarse'], time)
        planes = context_planes(transform.planes, self.statics, time)
        return fine, transform.lift(transform.coarsen(fine, self.area), planes, self.periodic)

    def coarse_input(self, record: dict[str, np.ndarray]) -> np.ndarray:
        """What the baselines start from, physical: block means [h, w, V], the inputs of a refinement on the fine grid
        [H, W, Cin], or the lifted field of pairs [H, W, L]."""
        transform = self.field_transform
        return (
            transform.coarsen(record['fine'], self.area) if isinstance(transform, BlockMeans) else self.pair(record)[1]
        )

    @property
    def kind(self) -> str:
        """That of the records (data.kind)."""
        return self.meta.get('kind', 'refinement')

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        """{target: its CF attributes}, for data for downscaling."""
        attributes = self.meta['attributes']
        return dict.fromkeys(self.field_transform.targets, attributes) if self.kind == 'refinement' else attributes

    @cached_property
    def lifter(self) -> Lifter:
        """Of pairs, from the coarse grid of the records."""
        return Lifter(self.transform_as(PairTransform), self.coarse_grid, self.statics)

    @cached_property
    def coarse_grid(self) -> xr.Dataset:
        """Coordinates of the coarse data of pairs."""
        return self._read(COARSE_GRID)

    @cached_property
    def statics(self) -> xr.Dataset:
        return self._read(STATICS, () if self.kind == 'lag_pairs' else ('mask', 'cell_area'))

    def _read(self, name: str, variables: Sequence[str] = ()) -> xr.Dataset:
        """A NetCDF file in memory. Raises UserError where it is damaged or lacks one of the variables."""
        path = self.directory / name
        with reading(path, self.remedy), xr.open_dataset(path, engine='netcdf4') as dataset:
            _ = dataset[list(variables)]
            return dataset.load()

    @cached_property
    def mask(self) -> np.ndarray:
        """[H, W] bool, True where the field exists."""
        return self.statics['mask'].values.astype(bool)

    @cached_property
    def area(self) -> np.ndarray:
        """[H, W, 1] float32, km2, 0 outside of the mask."""
        return valid_area(self.statics)[..., None]

    @cached_property
    def periodic(self) -> bool:
        return is_periodic(self.statics)

    def split(self, name: str) -> 'Split':
        return Split(RecordFiles(self.directory, name), self.meta.get('calendar', 'standard'))


class Split:
    """Random access to the records of one split."""

    def __init__(self, source: RecordFiles, calendar: str):
        self._source, self._calendar = source, calendar

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._source[index]

    @property
    def times(self) -> np.ndarray:
        """Time stamps of all records: datetime64 in the standard calendars, cftime objects in the others."""
        return decode_times(np.array([self[i]['time'] for i in range(len(self))]), self._calendar)
