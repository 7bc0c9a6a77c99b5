"""A small data set of sea ice on 48 x 48 cells, with files around it, and settings of the smoke config that fit it."""

import runpy
from pathlib import Path

import numpy as np
import xarray as xr

ROOT = Path(__file__).parents[1]
SIZE, DAYS = 48, 30
CONFIG = f'--config={ROOT}/configs/diffusion_sit.py:smoke'
SETTINGS = {
    'data.inputs': ('sit', 'sic'),
    'data.kernel_km': (40.0, 24.0),
    'data.spacing_km': (20.0, 12.0),
    'data.train': (('2020-01-01', '2020-01-20'),),
    'data.validation': (('2020-01-22', '2020-01-24'),),
    'data.test': (('2020-01-26', '2020-01-30'),),
    'training.main.steps': 10,
    'evaluation.window': 24,
    'evaluation.measures': ('examples', 'pointwise', 'spectra'),
}


def red_noise(shape, seed):
    """Unit variance, power falling as the third power of the wavenumber."""
    wavenumber = np.hypot(np.fft.fftfreq(shape[-2])[:, None], np.fft.rfftfreq(shape[-1])) + 1 / 64
    field = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(seed).normal(size=shape)) * wavenumber**-1.5, shape[-2:])
    return (field - field.mean()) / field.std()


def write_files(folder):
    """fields.nc: thickness and concentration with a coast; coarse.nc: two days of them on cells of 20 km; sit_only.nc:
    thickness alone; cut.nc: half a file."""
    fields = red_noise((2, DAYS, SIZE, SIZE), 0).astype(np.float32)
    fields[..., :12, :16] = np.nan
    dataset = xr.Dataset(
        {
            'sit': (('time', 'y', 'x'), np.maximum(1.5 + 0.5 * fields[0], 0), {'units': 'm'}),
            'sic': (('time', 'y', 'x'), np.clip(0.8 + 0.1 * fields[1], 0, 1), {'units': '1'}),
        },
        {
            'time': np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(DAYS),
            **{name: (name, 4e3 * np.arange(SIZE), {'units': 'm'}) for name in 'yx'},
        },
    )
    dataset.to_netcdf(folder / 'fields.nc')
    coarse = dataset.isel(time=[26, 27]).coarsen(x=5, y=5, boundary='trim').mean(keep_attrs=True)
    coarse.to_netcdf(folder / 'coarse.nc')
    coarse.drop_vars('sic').to_netcdf(folder / 'sit_only.nc')
    whole = (folder / 'fields.nc').read_bytes()
    (folder / 'cut.nc').write_bytes(whole[: len(whole) // 2])


def command_of(settings):
    return (CONFIG, *(f'--config.{key}={value}' for key, value in settings.items()))


def config_of(settings):
    """What main.py makes of that command."""
    config = runpy.run_path(str(ROOT / 'configs' / 'diffusion_sit.py'))['get_config']('smoke')
    config.update_from_flattened_dict(settings)
    return config.to_dict()


def nothing_left(folder):
    left = [str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()]
    assert not [name for name in left if not name.startswith('data/')], left  # prepared data are kept
    assert not [name for name in left if 'partial' in name], left
