"""Reading of stores with large chunks of time against small ones: seconds of CPU and peak memory.

    python -m experiments.benchmarks.chunks [--times 960] [--rows 90] [--rounds 3] [--forms zarr nc]

Writes compressed stores of two variables, float32 on 90 x 180 cells, with 1 and 480 times in a chunk, as Zarr and
as NetCDF, and reads each as preparation does (`data_prep.records.stream`, eight time steps together) and as downscaling
does (one by one). Every read is a process of its own; its peak memory includes the libraries (about 300 MiB). A chunk
of 480 times holds 30 MiB of a variable, of which the last two are kept. The best of the rounds counts. About a minute
on 2 CPU cores.
"""

import tempfile
import time

from experiments.benchmarks.processes import in_new_process, peak_mib
from experiments.command_line import Parser, at_least, run_program

GOAL = 1.5  # of the seconds with small chunks
FORMS = ('zarr', 'nc')
LENGTHS = (1, 480)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--times', type=at_least(1), default=960)
    parser.add_argument('--rows', type=at_least(2), default=90, help='of the grid, which has twice as many columns')
    parser.add_argument('--rounds', type=at_least(1), default=3)
    parser.add_argument('--forms', nargs='+', choices=FORMS, default=FORMS)
    options = parser.parse_args()
    print(f'{"form":>5} {"chunk":>5} {"eight at once":>14} {"one at once":>12} {"peak MiB":>9} {"ratio":>12}')
    with tempfile.TemporaryDirectory() as folder:
        for form in options.forms:
            small: tuple[float, float] = (0.0, 0.0)
            for length in LENGTHS:
                path = f'{folder}/fields_{length}.{form}'
                in_new_process(write, path, (options.times, options.rows, 2 * options.rows), length)
                found = [in_new_process(read, path, at_once) for at_once in (8, 1) for _ in range(options.rounds)]
                halves = found[: options.rounds], found[options.rounds :]
                eight, one = (min(result['seconds'] for result in half) for half in halves)
                small = (eight, one) if length == LENGTHS[0] else small
                peak = max(result['peak_mib'] for result in found)
                print(f'{form:>5} {length:5} {eight:14.2f} {one:12.2f} {peak:9.0f} '
                      f'{eight / small[0]:6.2f}{one / small[1]:6.2f}', flush=True)  # fmt: skip
    print(f'goal: a ratio of at most {GOAL} to chunks of one time')


def write(path: str, shape: tuple[int, int, int], length: int) -> None:
    """Two smooth fields with noise of 12 bits, so that decoding has something to do."""
    import numpy as np
    import xarray as xr

    rng = np.random.default_rng(0)
    times, rows, columns = shape
    lat, lon = np.linspace(89.5, -89.5, rows), np.arange(0.5, 360, 360 / columns)
    base = 280 + 20 * np.cos(np.deg2rad(lat))[:, None] * np.ones(columns)
    values = {
        name: (base + np.round(rng.standard_normal(shape, np.float32) * 16) / 16).astype(np.float32)
        for name in ('t2m', 'skt')
    }
    axes = {
        'time': np.datetime64('2000-01-01', 'ns') + np.arange(times) * np.timedelta64(6, 'h'),
        'lat': ('lat', lat, {'units': 'degrees_north'}),
        'lon': ('lon', lon, {'units': 'degrees_east'}),
    }
    dims = ('time', 'lat', 'lon')
    data = xr.Dataset({name: (dims, array, {'units': 'K'}) for name, array in values.items()}, axes)
    chunk = length, rows, columns
    if path.endswith('.zarr'):
        encoding = {name: {'chunks': chunk} for name in values}
        data.to_zarr(path, encoding=encoding, zarr_format=3, consolidated=False)
    else:
        data.to_netcdf(path, encoding={name: {'chunksizes': chunk, 'zlib': True, 'complevel': 1} for name in values})


def read(path: str, at_once: int) -> dict[str, float]:
    """All times of a store, once."""
    from data_prep.records.stream import stream
    from downscale_jax.fields.datasets import store
    from downscale_jax.fields.datasets.canonical import canonical

    names = ['t2m', 'skt']
    start = time.process_time()
    fields = canonical(store.open_dataset(path), names)
    if at_once == 1:
        for index in range(fields.sizes['time']):
            store.load(fields.isel(time=index))
    else:
        for _ in stream(fields, {'path': path, 'variables': names}):
            pass
    return {'seconds': time.process_time() - start, 'peak_mib': peak_mib()}


if __name__ == '__main__':
    run_program(main)
