"""Short trainings that pages of the gallery share, kept in build/gallery, and their held-out data."""

import fcntl
import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from data_prep.choices import choose
from data_prep.prepare import prepare
from downscale_jax import run
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.evaluation.drawing.colours import of_quantity
from downscale_jax.evaluation.setting import quantity
from downscale_jax.systems import check_settings
from downscale_jax.systems.downscaler import Downscaler

ROOT = Path(__file__).parents[2]
RUNS = ROOT / 'build' / 'gallery'
# as in main.py: a program is compiled once, not for every page
CACHE = Path.home() / '.cache' / 'downscale_jax' / 'xla'
jax.config.update('jax_compilation_cache_dir', os.environ.get('JAX_COMPILATION_CACHE_DIR', str(CACHE)))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)

SEA_ICE: dict[str, Any] = {
    'data.simulate': {'size': 128, 'states': 100},
    'data.train': (('2020-01-01', '2020-01-30'),),
    'data.validation': (('2020-02-02', '2020-02-06'),),
    'data.test': (('2020-02-09', '2020-02-18'),),
    'model.widths': (24, 32),
    'training.main.steps': 400,
    'training.validate_every': 100,
    'sampling.steps': 8,
    'evaluation.members': 8,
    'evaluation.records': 4,
    'evaluation.calibration_records': 2,
    'evaluation.measures': ('examples', 'pointwise'),
}
MOUNTAINS: dict[str, Any] = {
    'rivals': (),
    'data.simulate': {'world': 'mountains', 'rows': 80, 'columns': 120, 'months': 60, 'seed': 0},
    'data.train': (('1981-01', '1983-12'),),
    'data.validation': (('1984-01', '1984-12'),),
    'data.test': (('1985-01', '1985-12'),),
    'model.unet.widths': (32,),
    'evaluation.calibration_records': 0,
    'training.main.steps': 150,
    'training.validate_every': 50,
    'evaluation.measures': ('pointwise',),
}
ATMOSPHERE: dict[str, Any] = {
    'data.simulate': {'days': 24, 'rows': 32},
    'data.train': (('2001-01-01', '2001-01-14'),),
    'data.validation': (('2001-01-16', '2001-01-18'),),
    'data.test': (('2001-01-20', '2001-01-24'),),
    'data.lags': 8,
    'model.widths': (16, 24, 32),
    'training.main.steps': 200,
    'training.validate_every': 100,
    'evaluation.untrained_rival': False,
}


class HeldOut(NamedTuple):
    """Times that a model was not trained on, in the form of a user's files."""

    coarse: xr.Dataset
    truth: xr.Dataset


def train(config: str, settings: Mapping[str, Any], name: str) -> Path:
    """The work directory RUNS/name of main.py with the config 'NAME:VARIANT' and other `settings`, trained once.

    Pages are built side by side: a second one that needs the same run waits for it.
    """
    path, _, variant = config.partition(':')
    workdir = RUNS / name
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / f'{name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (workdir / 'scores.json').exists():
            described = runpy.run_path(str(ROOT / 'configs' / f'{path}.py'))['get_config'](variant)
            described.update_from_flattened_dict(dict(settings))
            values = described.to_dict()
            check_settings(values)
            run.train(choose(values), workdir, prepare)
    return workdir


def held_out(model: Downscaler, count: int) -> HeldOut:
    """The first `count` times of the test split of a model."""
    prepared = prepare(model.config['data'], model.config['seed'], RUNS / 'data')
    split, chosen = prepared.split('test'), list(range(count))
    transform, times = prepared.field_transform, split.times
    dims, shape = ('time', *prepared.statics['mask'].dims), (count, *prepared.mask.shape, -1)
    fine = np.stack([split[index]['fine'] for index in chosen]).reshape(shape)
    coords = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    variables = {
        name: (dims, fine[..., index], {'units': units})
        for index, (name, units) in enumerate(zip(transform.targets, transform.target_units, strict=True))
    }
    truth = xr.Dataset(variables, {**coords, 'time': times[chosen]})
    return HeldOut(coarse_dataset(prepared, split, times, chosen), truth)


def maps(fields: Mapping[str, xr.DataArray], label: str, **look: Any) -> Figure:
    """Maps side by side with one colour bar, by default on the scale of the last; `look` goes to pcolormesh."""
    last = list(fields.values())[-1]
    colours = of_quantity(quantity(str(last.name), last.attrs, last.attrs.get('units', '')))
    low, high = np.nanquantile(last, (0.01, 0.99))
    up, across = (np.ptp(last[dim].values) for dim in last.dims)
    width = min(10, 4 * len(fields))
    height = width / len(fields) * up / across + 1.2  # with title, ticks and colour bar
    figure, axes = plt.subplots(1, len(fields), figsize=(width, height), layout='constrained')
    for panel, (name, field) in zip(axes, fields.items(), strict=True):
        y, x = (field[dim] for dim in field.dims)
        unit = 1000 if x.attrs.get('units') == 'm' else 1
        image = panel.pcolormesh(x / unit, y / unit, field, **{'vmin': low, 'vmax': high, 'cmap': colours, **look})
        panel.set_title(name, loc='left')
        panel.set_aspect('equal')
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel('km' if unit > 1 else 'degrees north')
    axes[0].set_xlabel('km' if unit > 1 else 'degrees east')
    figure.colorbar(image, ax=list(axes), location='bottom', shrink=0.5, aspect=40, extend='both', label=label)
    return figure
