"""Fine fields and their coarse inputs in the observation's image -> records, a record a time."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from data_prep.records.writer import SPLITS, Writer
from downscale_jax.fields import grid, normalize, store
from downscale_jax.fields.dates import check_splits, select_dates
from downscale_jax.fields.times import encode_times
from downscale_jax.runtime.errors import UserError

CHUNK = 16  # times filtered at once
VERSION = 4  # of this file's results: raise it when they change
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


def open_fields(data: dict, seed: int) -> xr.Dataset:
    """Canonical fields with a `mask`, lazily: simulated where data.path is empty."""
    names = list(dict.fromkeys([data['target'], *data['inputs']]))
    if not data['path']:
        from data_prep.simulators import sea_ice

        fields = sea_ice.simulate(seed=seed, size=data['simulate']['size'], states=data['simulate']['states'])
        return store.canonical(fields, names, 'mask', 'the simulated sea ice')
    fields = store.canonical(store.open_dataset(data['path']), names, data['mask'], data['path'])
    store.check_timed(fields, names, data['path'])
    if not data['mask']:
        # one more pass over the file: without it land would count as ocean, and coarse fields would reach over it
        ever = fields[data['target']].notnull().any('time')
        fields['mask'] = store.load(ever, data['path']).assign_attrs(fields['mask'].attrs)
    return fields


def check(data: dict) -> None:
    """One kernel an input; the anomaly needs the coarse target among the inputs."""
    if data['target'] not in data['inputs']:
        raise UserError(
            f"data.inputs {data['inputs']} lack the target '{data['target']}': its coarse field is what is refined"
        )
    for key in ('kernel_km', 'spacing_km', 'noise'):
        found, wanted = len(data[key]), len(data['inputs'])
        if found != wanted and (found or key == 'kernel_km'):
            raise UserError(f'data.{key} has {found} values for {wanted} inputs {data["inputs"]}: give one each')


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, the grid and the transform fitted to the training split."""
    fields, splits = open_fields(data, seed), {split: data[split] for split in SPLITS}
    check_splits(splits, fields['time'].values)
    statics = fields[['mask']].drop_vars('time', errors='ignore')
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
    with Writer(directory, shapes, 'Fine fields and their coarse inputs, a record a time.') as writer:
        moments = normalize.Fit(data['inputs'].index(data['target']), len(data['inputs']), data['anomaly'])
        for split, dates in splits.items():
            kept[split] = 0
            part = select_dates(fields, dates)
            for times, fine, coarse in tqdm(
                pairs(part, data, area, seed),
                f'preparing {split}',
                -(-part.sizes['time'] // CHUNK),
                leave=False,
                disable=None,  # where stderr is no terminal, it is left to error messages
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
        bounds=tuple(data['bounds']),
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


def pairs(fields: xr.Dataset, data: dict, area: np.ndarray, seed: int) -> Iterator[tuple]:
    """(times [T], fine [T, H, W], coarse [T, H, W, Cin]) in chunks; one chunk in memory at a time."""
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
            shape = grid.observation_shape(mask.shape, sizes, spacing)
            # keyed by input and time stamp: the same error however the series is cut
            noise = [
                np.random.default_rng((seed, int(t) % 2**64, *name.encode())).normal(0, error, shape) for t in times
            ]
            channels.append(
                grid.observe(field, area * mask, sizes, kernel, spacing, np.array(noise) if error else None, periodic)
            )
        fine = np.where(mask, chunk[data['target']].values, np.nan)
        yield times, fine.astype(np.float32), np.stack(channels, -1).astype(np.float32)
