"""Prepared data: a directory with TFDS records, the grid they live on and the transform fitted to them.

    records/           TFDS data set (array_record: random access), a split each for train, validation, test
    statics.nc         mask, cell area and coordinates of the fine grid
    prepared.json      transform, calendar, counts, what it was made from

A record is one time, `fine` [H, W] and `coarse` [H, W, Cin], or `fine` [H, W, V] alone where the coarse form is its
block mean; or a pair of patches, `first` and `second` [P, P, C], with their `lag` in steps and the `row` and `column`
of their first cell. All are physical, float32, NaN where missing; `time` is in seconds since 1970-01-01 of the data's
calendar. Reading needs no TensorFlow.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from downscale_jax.fields import context
from downscale_jax.fields.block_means import BlockMeans
from downscale_jax.fields.grid import is_periodic, valid_area
from downscale_jax.fields.log_transform import LogTransform
from downscale_jax.fields.normalize import Transform
from downscale_jax.fields.times import decode_times
from downscale_jax.runtime.errors import UserError

NAME = 'fields/1.0.0'  # TFDS wants name and version


@dataclass(frozen=True)
class Prepared:
    """A prepared directory, opened."""

    directory: Path

    @cached_property
    def meta(self) -> dict:
        path = self.directory / 'prepared.json'
        if not path.exists():
            raise UserError(f'no prepared data at {self.directory}: run --mode=train first')
        return json.loads(path.read_text())

    @cached_property
    def transform(self) -> Transform:
        """Of fine fields with coarse inputs."""
        return Transform.from_json(self.meta['transform'])

    @cached_property
    def block_means(self) -> BlockMeans:
        """Of fine fields whose coarse form is their block mean."""
        return BlockMeans.from_json(self.meta['transform'])

    @property
    def refinement(self) -> Transform | BlockMeans:
        """Either of the two."""
        return self.block_means if self.meta.get('kind') == 'block_means' else self.transform

    def pair(self, record: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(fine [H, W, V], coarse [H, W, Cin]) of a record, on the fine grid, physical."""
        if self.meta.get('kind') != 'block_means':
            return record['fine'][..., None], record['coarse']
        transform, fine = self.block_means, record['fine']
        (time,) = decode_times(np.array([record['time']]), self.meta['calendar']) if transform.context else (None,)
        around = context.planes(transform.planes, self.statics, time)
        return fine, transform.lift(transform.coarsen(fine, self.area), around, self.periodic)

    @cached_property
    def log_transform(self) -> LogTransform:
        """Of lag pairs."""
        return LogTransform.from_json(self.meta['transform'])

    @cached_property
    def statics(self) -> xr.Dataset:
        with xr.open_dataset(self.directory / 'statics.nc') as dataset:
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
        import tensorflow_datasets as tfds

        source = tfds.builder_from_directory(str(self.directory / 'records' / NAME)).as_data_source(name)
        return Split(source, self.meta['calendar'])


class Split:
    """Random access to the records of one split."""

    def __init__(self, source, calendar: str):
        self._source, self._calendar = source, calendar

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self._source[index]

    @property
    def times(self) -> np.ndarray:
        """Time stamps of all records: datetime64 in the standard calendars, cftime objects in the others."""
        return decode_times(np.array([self[i]['time'] for i in range(len(self))]), self._calendar)
