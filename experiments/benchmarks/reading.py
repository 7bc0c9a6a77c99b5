"""Opening and reading of data sets in common forms: seconds of CPU, the libraries' import not included.

    python -m experiments.benchmarks.reading [--times 240] [--rounds 3]

Writes two variables on 90 x 180 cells as one NetCDF file, one file for every 20 times, packed 16-bit integers, and
Zarr, opens each, brings it into canonical form, and reads all times, eight at once. Every read is a process of its own;
the best of the rounds counts. About a minute on 2 CPU cores.
"""

import tempfile
import time
from pathlib import Path

from experiments.benchmarks.processes import in_new_process
from experiments.command_line import Parser, at_least, run_program

SHAPE = 90, 180
EACH = 20  # times in each of many files
FORMS = ('netcdf', 'files', 'packed', 'zarr')


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--times', type=at_least(1), default=240)
    parser.add_argument('--rounds', type=at_least(1), default=3)
    options = parser.parse_args()
    print(f'{"form":>8} {"open":>8} {"read":>8}')
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = in_new_process(write, folder, form, options.times)
            found = [in_new_process(read, path) for _ in range(options.rounds)]
            opened, values = (min(seconds) for seconds in zip(*found, strict=True))
            print(f'{form:>8} {opened:8.2f} {values:8.2f}', flush=True)


def write(folder: str, form: str, times: int) -> str:
    """The path or pattern of the data set."""
    import numpy as np
    import xarray as xr

    rng = np.random.default_rng(0)
    axes = {
        'time': np.datetime64('2000-01-01', 'ns') + np.arange(times) * np.timedelta64(6, 'h'),
        'lat': ('lat', np.linspace(89.5, -89.5, SHAPE[0]), {'units': 'degrees_north'}),
        'lon': ('lon', np.arange(0.5, 360, 360 / SHAPE[1]), {'units': 'degrees_east'}),
    }
    values = {name: rng.normal(280, 5, (times, *SHAPE)).astype(np.float32) for name in ('t2m', 'skt')}
    data = xr.Dataset({name: (tuple(axes), array, {'units': 'K'}) for name, array in values.items()}, axes)
    stem = Path(folder) / form
    if form == 'zarr':
        chunks = {name: {'chunks': (1, *SHAPE)} for name in values}
        data.to_zarr(f'{stem}.zarr', encoding=chunks, zarr_format=3, consolidated=False)
        return f'{stem}.zarr'
    packed = {'dtype': 'int16', 'scale_factor': 0.002, 'add_offset': 280.0, '_FillValue': -32768}
    encoding = {name: {'chunksizes': (1, *SHAPE), 'zlib': True, 'complevel': 1} for name in values}
    encoding = {name: own | packed for name, own in encoding.items()} if form == 'packed' else encoding
    length = EACH if form == 'files' else times
    for start in range(0, times, length):
        data.isel(time=slice(start, start + length)).to_netcdf(f'{stem}_{start:05}.nc', encoding=encoding)
    return f'{stem}_*.nc'


def read(path: str) -> tuple[float, float]:
    """Seconds of CPU to open the data set in canonical form, and to read all times once."""
    from data_prep.records.stream import stream
    from downscale_jax.fields.datasets import store
    from downscale_jax.fields.datasets.canonical import canonical

    names = ['t2m', 'skt']
    canonical(store.open_dataset(path), names)  # imports libraries when they are used
    start = time.process_time()
    fields = canonical(store.open_dataset(path), names)
    opened = time.process_time()
    for _ in stream(fields, {'path': path, 'variables': names}):
        pass
    return opened - start, time.process_time() - opened


if __name__ == '__main__':
    run_program(main)
