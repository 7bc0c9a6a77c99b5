"""Prepared data: a directory with TFDS records, the grid they live on and the transform fitted to them.

    records/           TFDS data set (array_record: random access), one split each for train, validation, test
    statics.nc         mask, cell area and coordinates of the fine grid
    prepared.json      kind, transform, calendar, counts, provenance

A record is one time, `fine` [H, W] and `coarse` [H, W, Cin], or `fine` [H, W, V] alone where the coarse form is its
block mean; or a pair of patches, `first` and `second` [P, P, C], with their `lag` in steps and the `row` and `column`
of their first cell. Fields are physical, float32, NaN where missing; `time` is in seconds since 1970-01-01 of the
data's calendar. Reading needs no TensorFlow.
"""

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
from downscale_jax.fields.transforms.kinds import FieldTransform, Transform, read_transform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.record_files import RecordFiles
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import RESTORE, Section, read_json, reading

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
        kind, values = self.meta.get('kind', 'refinement'), self.meta['transform']
        with reading(self.directory / 'prepared.json', self.remedy):
            return read_transform(kind, values)

    def transform_as(self, kind: type[T]) -> T:
        """`transform`, where only one kind makes sense. Raises UserError for data of another kind."""
        if not isinstance(self.transform, kind):
            raise UserError(f'{self.directory} holds data for {type(self.transform).__name__}, not {kind.__name__}')
        return self.transform

    @property
    def field_transform(self) -> FieldTransform:
        """`transform` of data for downscaling. Raises UserError for lag pairs."""
        if isinstance(self.transform, Standardisation):
            raise UserError(f'{self.directory} holds pairs of patches, not fields to downscale')
        return self.transform

    def pair(self, record: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(fine [H, W, V], coarse [H, W, channels]) of a record, on the fine grid, physical."""
        transform, fine = self.field_transform, record['fine']
        if not isinstance(transform, BlockMeans):
            return fine[..., None], record['coarse']
        (time,) = decode_times(np.array([record['time']]), self.meta['calendar']) if transform.context else (None,)
        planes = context_planes(transform.planes, self.statics, time)
        return fine, transform.lift(transform.coarsen(fine, self.area), planes, self.periodic)

    @cached_property
    def statics(self) -> xr.Dataset:
        path = self.directory / 'statics.nc'
        with reading(path, self.remedy), xr.open_dataset(path, engine='netcdf4') as dataset:
            if self.meta.get('kind') != 'lag_pairs':
                _ = dataset[['mask', 'cell_area']]  # raises where one is missing
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
        return Split(RecordFiles(self.directory, name), self.meta['calendar'])


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
