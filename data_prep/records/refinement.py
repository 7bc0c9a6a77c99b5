"""Records of fine fields and their coarse inputs as an instrument would observe them, one record per time."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from data_prep import sources
from data_prep.records.writer import SPLITS, Writer
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.observation import observation_shape, observe
from downscale_jax.fields.transforms.bounds import limits
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


def check(data: dict) -> None:
    """Raises UserError where the target is not among the inputs, or settings do not match them in number."""
    if data['target'] not in data['inputs']:
        raise UserError(
            f"data.inputs {data['inputs']} lack the target '{data['target']}': its coarse field is what is refined"
        )
    for key in ('kernel_km', 'spacing_km', 'noise'):
        given, expected = len(data[key]), len(data['inputs'])
        if given != expected and (given or key == 'kernel_km'):
            raise UserError(f'data.{key} has {given} values for {expected} inputs {data["inputs"]}: give one each')
    limits(data['bounds'], (data['target'],))  # raises


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, the grid and the transform fitted to the training split."""
    fields, splits = sources.open_refinement(data, seed), {split: data[split] for split in SPLITS}
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

    kept: dict[str, int] = {}
    extremes = np.inf, -np.inf  # of the target in training: the data range of PSNR and SSIM
    shapes = {'fine': area.shape, 'coarse': (*area.shape, len(data['inputs'])), 'time': ()}
    with Writer(directory, shapes, 'Fine fields and their coarse inputs, one record per time.') as writer:
        moments = RefinementFit(data['inputs'].index(data['target']), len(data['inputs']), data['anomaly'])
        for split, dates in splits.items():
            kept[split] = 0
            part = select_dates(fields, dates)
            for times, fine, coarse in tqdm(
                observed_chunks(part, data, area, seed),
                f'preparing {split}',
                -(-part.sizes['time'] // CHUNK),
                leave=False,
                disable=None,  # only on a terminal: a log on stderr is for errors
            ):
                whole = np.isfinite(fine).any((1, 2)) & np.isfinite(coarse).any((1, 2, 3))
                if split == 'train' and whole.any():
                    moments.add(fine[whole], coarse[whole])
                    extremes = min(extremes[0], float(np.nanmin(fine))), max(extremes[1], float(np.nanmax(fine)))
                for i in np.flatnonzero(whole):
                    writer.add(split, fine=fine[i], coarse=coarse[i], time=times[i])
                kept[split] += int(whole.sum())
            if not kept[split]:
                raise UserError(f"split '{split}' ({dates}): every value of {data['target']} is missing")
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
        'records': kept,
        'range': extremes,
        'idealised': not data['path'],
        'attributes': {k: str(v) for k, v in fields[data['target']].attrs.items()},
        'kernel_km': data['kernel_km'],
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def observed_chunks(fields: xr.Dataset, data: dict, area: np.ndarray, seed: int) -> Iterator[tuple]:
    """(times [T], fine [T, H, W], coarse [T, H, W, Cin]) in chunks of which one is in memory at a time."""
    sizes, periodic = grid.cell_sizes_km(fields), grid.is_periodic(fields)
    mask = fields['mask'].values
    spacings = data['spacing_km'] or [kernel / 2 for kernel in data['kernel_km']]
    errors = data['noise'] or [0.0] * len(data['inputs'])
    for start in range(0, fields.sizes['time'], CHUNK):
        chunk = store.load(fields.isel(time=slice(start, start + CHUNK)), data['path'])
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
