"""Records of fine fields and their coarse inputs as an instrument would observe them, one record per time."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from data_prep import sources
from data_prep.records.shards import SPLITS, Shard, write_records
from data_prep.records.statistics import Extremes, Statistics
from data_prep.records.stream import check_range, texts
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.observation import observation_shape, observe
from downscale_jax.fields.transforms.refinement import RefinementFit
from downscale_jax.runtime.errors import UserError

CHUNK = 16  # times that are filtered at once
VERSION = 4  # of the records: raise it when they change
PATHS = ('path',)
KEYS = (
    'path',
    'simulate',
    'target',
    'inputs',
    'mask',
    *SPLITS,
    'kernel_km',
    'spacing_km',
    'noise',
    'anomaly',
    'bounds',
)


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, the grid and the transform fitted to the training split."""
    fields, splits = sources.open_refinement(data, seed), {split: data[split] for split in SPLITS}
    sources.check_patch(fields['mask'].shape, data)
    check_splits(splits, fields['time'].values)
    statics = with_all_coordinates(fields, ['mask']).drop_vars('time')
    area = grid.cell_areas_km2(statics)
    statics['cell_area'] = (
        fields['mask'].dims,
        area.astype(np.float32),
        {'units': 'km2', 'standard_name': 'cell_area'},
    )
    statics['mask'] = statics['mask'].astype(np.int8)
    store.write_netcdf(statics, directory / 'statics.nc')

    parts = {split: select_dates(fields, dates) for split, dates in splits.items()}
    written = write_records(
        directory, Observed(parts, data, seed, area), {split: part.sizes['time'] for split, part in parts.items()}
    )
    for split, dates in splits.items():
        if not written.records(split):
            raise UserError(f"split '{split}' ({dates}): every value of {data['target']} is missing")
    assert written.statistics is not None  # of the training split, which has records
    (least,), (greatest,) = written.statistics.extremes.tolist()  # the data range of PSNR and SSIM
    (bounds,) = data['bounds']
    check_range(data['target'], fields[data['target']].attrs.get('units', '1'), bounds, least, greatest)
    moments = fit_of(data, written.statistics.sums['moments'])
    units = [fields[name].attrs.get('units', '1') for name in data['inputs']]
    transform = moments.transform(
        target=data['target'],
        units=fields[data['target']].attrs.get('units', '1'),
        inputs=tuple(data['inputs']),
        input_units=tuple(units),
        bounds=tuple(tuple(pair) for pair in data['bounds']),
    )
    meta = {
        'name': name,
        'kind': 'refinement',
        'transform': transform.to_json(),
        'calendar': fields['time'].dt.calendar,
        'records': {split: written.records(split) for split in SPLITS},
        'range': (least, greatest),
        'idealised': not data['path'],
        'attributes': texts(fields, [data['target']])[data['target']],
        'input_attributes': texts(fields, data['inputs']),
        'kernel_km': data['kernel_km'],
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def fit_of(data: Mapping, sums: np.ndarray | None = None) -> RefinementFit:
    """The fit of the transform, from the `sums` of parts of the training split."""
    return RefinementFit(data['inputs'].index(data['target']), len(data['inputs']), data['anomaly'], sums)


@dataclass(frozen=True)
class Observed:
    """The records of fields that an instrument would observe."""

    parts: Mapping[str, xr.Dataset]
    data: dict
    seed: int
    area: np.ndarray

    description = 'Fine fields and their coarse inputs, one record per time.'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {'fine': self.area.shape, 'coarse': (*self.area.shape, len(self.data['inputs'])), 'time': ()}

    def write(self, shard: Shard, add: Callable[..., None]) -> Statistics | None:
        """See `shards.Records`; times without any value of the target, or of the inputs, are omitted."""
        moments, extremes = fit_of(self.data), Extremes(1)
        part = self.parts[shard.split].isel(time=slice(shard.start, shard.stop))
        for times, fine, coarse in observed_chunks(part, self.data, self.area, self.seed):
            whole = np.isfinite(fine).any((1, 2)) & np.isfinite(coarse).any((1, 2, 3))
            if shard.split == 'train' and whole.any():
                moments.add(fine[whole], coarse[whole])
                extremes.add(fine[whole][..., None])
            for i in np.flatnonzero(whole):
                add(fine=fine[i], coarse=coarse[i], time=times[i])
        return Statistics(extremes.values, {'moments': moments.sums}) if shard.split == 'train' else None


def observed_chunks(fields: xr.Dataset, data: dict, area: np.ndarray, seed: int) -> Iterator[tuple]:
    """(times [T], fine [T, H, W], coarse [T, H, W, Cin]) in chunks of which one is in memory at a time."""
    sizes, periodic = grid.cell_sizes_km(fields), grid.is_periodic(fields)
    mask = fields['mask'].values
    spacings = data['spacing_km'] or [kernel / 2 for kernel in data['kernel_km']]
    errors = data['noise'] or [0.0] * len(data['inputs'])
    for start in range(0, fields.sizes['time'], CHUNK):
        chunk = store.load(fields.isel(time=slice(start, start + CHUNK)), data['path'], 'synchronous')
        times = encode_times(chunk['time'].values)
        channels = []
        for name, kernel, spacing, error in zip(data['inputs'], data['kernel_km'], spacings, errors, strict=True):
            field = np.where(mask, chunk[name].values, np.nan)
            shape = observation_shape(mask.shape, sizes, spacing)
            # keyed by input and time stamp, so that the error does not depend on the period that is prepared
            noise = [
                np.random.default_rng((seed, int(t) % 2**64, *name.encode())).normal(0, error, shape) for t in times
            ]
            channels.append(
                observe(field, area * mask, sizes, kernel, spacing, np.array(noise) if error else None, periodic)
            )
        fine = np.where(mask, chunk[data['target']].values, np.nan)
        yield times, fine.astype(np.float32), np.stack(channels, -1).astype(np.float32)
