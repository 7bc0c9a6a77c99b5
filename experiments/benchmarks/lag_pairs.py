"""AtmoDist's data preparation: pairs a second, and peak memory against the length of the series.

    python -m experiments.benchmarks.lag_pairs [--years 0.0625 0.25 1] [--pairs 2]

Prepares records from Zarr stores of the shape of ERA5 on one model level (vorticity and divergence, 3-hourly, 1280 x
2560, one chunk per time) with the patches and lags of `configs/atmodist.py:paper`, and from one of the shape of the
simulated atmosphere with those of the default; stores and records lie in a temporary directory. Every run is a process
of its own, whose peak memory includes the libraries (about 300 MiB).

A store holds noise of 16 bits a value, as packed ERA5 does. Each chunk is read and decompressed to its full size, but
only 16 times differ and the others are links to them: a year takes 250 MB instead of 76 GB, the system's file cache
feeds the reader, and the speed of the disk does not count. Long series have `--pairs` per time instead of the config's
31, which would make 13 MB of records per time, 37 GB per year; one short series has 31.

Waiting: first patches held until the time of the second comes, on average pairs x (lags + 1)/2 x the bytes of a patch,
however long the series. The transform is fitted to at most 200 times, so that longer series make more pairs a second.
About 20 minutes, nearly half of it for the year, and 2 GB of disk on 2 busy CPU cores.
"""

import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from experiments.benchmarks.processes import in_new_process, peak_mib
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

GOAL_MEMORY = 1.10
DISTINCT = 16  # times of a store, which are repeated in turn
PER_YEAR = 2920  # 3-hourly
ERA5, SIMULATED = (1280, 2560), (64, 128)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--years', type=float, nargs='+', default=[1 / 16, 1 / 4, 1], help='from short to long')
    parser.add_argument('--pairs', type=at_least(1), default=2, help='per time, in the long series')
    options = parser.parse_args()

    def row(times: int, shape: tuple[int, int], variant: str, pairs: int) -> float:
        """Peak memory in MiB of one line of the table, which it prints."""
        with tempfile.TemporaryDirectory() as folder:
            path = f'{folder}/fields.zarr'
            in_new_process(write, path, times, shape)
            found = in_new_process(measure, path, times, variant, pairs)
        gigabytes = times * 2 * 4 * shape[0] * shape[1] / 1e9
        print(
            f'{shape[0]:5} x {shape[1]:4} {times:6} {gigabytes:12.2f} {found["patch"]:5} {pairs:12} '
            f'{found["waiting_mib"]:11.1f} {found["pairs"]:6} {found["seconds"]:7.1f} '
            f'{found["pairs"] / found["seconds"]:7.1f} {found["peak_mib"]:8.0f}',
            flush=True,
        )
        return found['peak_mib']

    print(f'{"grid":>12} {"times":>6} {"GB if loaded":>12} {"patch":>5} {"pairs a time":>12} {"waiting MiB":>11} '
          f'{"pairs":>6} {"seconds":>7} {"pairs/s":>7} {"peak MiB":>8}')  # fmt: skip
    row(1600, SIMULATED, '', 31)
    row(round(PER_YEAR * options.years[0]), ERA5, 'paper', 31)
    peaks = [row(round(PER_YEAR * years), ERA5, 'paper', options.pairs) for years in options.years]
    print(f'{options.years[0]:g} -> {options.years[-1]:g} years: peak memory ratio {peaks[-1] / peaks[0]:.3f}, '
          f'goal {GOAL_MEMORY}')  # fmt: skip


def write(path: str, times: int, shape: tuple[int, int]) -> None:
    """A store of `times` fields, of which the first `DISTINCT` are written and the others linked to them."""
    import dask.array
    import numpy as np
    import xarray as xr

    from downscale_jax.fields.geometry.wind import ATTRIBUTES

    rng, (rows, columns) = np.random.default_rng(0), shape
    axes = {
        'time': np.datetime64('2001-01-01', 'ns') + np.arange(times) * np.timedelta64(3, 'h'),
        'lat': ('lat', 90 - 180 * (np.arange(rows) + 0.5) / rows, {'units': 'degrees_north'}),
        'lon': ('lon', 360 * np.arange(columns) / columns, {'units': 'degrees_east'}),
    }
    blank = dask.array.zeros((times, *shape), dtype=np.float32, chunks=(1, *shape))
    dims = 'time', 'lat', 'lon'
    fields = xr.Dataset({name: (dims, blank, attrs) for name, attrs in ATTRIBUTES.items()}, axes)
    fields.to_zarr(path, compute=False, zarr_format=3, consolidated=False)
    for name in ATTRIBUTES:
        for index in range(DISTINCT):
            noise = 2**-26 * np.round(2**12 * rng.standard_normal((1, *shape), np.float32))
            region = {'time': slice(index, index + 1)}
            xr.Dataset({name: (dims, noise)}).to_zarr(path, region=region, consolidated=False)
        chunks = Path(path) / name / 'c'
        for index in range(DISTINCT, times):
            (chunks / f'{index}/0').mkdir(parents=True)
            os.link(chunks / f'{index % DISTINCT}/0/0', chunks / f'{index}/0/0')


def measure(path: str, times: int, variant: str, pairs: int) -> dict[str, float]:
    """Prepares two thirds of the series for training, a sixth each for validation and test."""
    import numpy as np

    from data_prep.prepare import prepare

    config = read_config(f'configs/atmodist.py:{variant}')
    begins = np.datetime64('2001-01-01') + np.array([0, times * 4 // 6, times * 5 // 6, times]) * np.timedelta64(3, 'h')
    dates = [((str(a), str(b - np.timedelta64(1, 's'))),) for a, b in pairwise(begins)]
    splits = dict(zip(('train', 'validation', 'test'), dates, strict=True))
    data = config['data'] | splits | {'path': path, 'pairs_per_time': pairs}
    start = time.perf_counter()
    prepared = prepare(data, config['seed'], Path(path).with_name('prepared'))
    return {
        'seconds': time.perf_counter() - start,
        'pairs': sum(prepared.meta['records'].values()),
        'patch': data['patch'],
        'waiting_mib': pairs * (data['lags'] + 1) / 2 * data['patch'] ** 2 * len(data['variables']) * 4 / 2**20,
        'peak_mib': peak_mib(),
    }


if __name__ == '__main__':
    run_program(main)
