"""Preparation of records: MB/s of a core, scaling over workers, memory against the length of the archive.

    python -m experiments.archive.preparation [--times 48 192] [--workers 1 2] [--rows 1280] [--columns 2560]

Writes made-up fields of one variable as an uncompressed Zarr store, one time per chunk, and prepares it as records of
block means, in a new process for each number of times and of workers, which are threads. MB/s per core are bytes of
records over seconds of CPU of the whole preparation; memory is the peak of the process. Speed-up is by the wall clock
and needs idle cores: `others` is the share of the cores' time that other programs took meanwhile. The record files of
all runs are compared byte by byte. `writer`: the same fields from memory through the writer alone, beside TFDS's own.
About three minutes on 2 CPU cores; 10 GB of disk.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks.processes import in_new_process, peak_mib
from experiments.command_line import Parser, at_least, run_program


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--times', type=at_least(8), nargs='+', default=[48, 192])
    parser.add_argument('--workers', type=at_least(1), nargs='+', default=[1, 2])
    parser.add_argument('--rows', type=at_least(8), default=1280)
    parser.add_argument('--columns', type=at_least(8), default=2560)
    options = parser.parse_args()
    shape = options.rows, options.columns
    for name in ('TFDS', 'project'):
        speed = in_new_process(write_alone, name, 64, (512, 512))['mb_per_s']
        print(f'writer of {name}, fields of 1 MB from memory: {speed:.0f} MB/s of CPU time')
    print(
        f'{"times":>6} {"workers":>7} {"MB/s per core":>14} {"CPU s":>6} {"seconds":>8} {"speed-up":>9} {"others":>7} '
        f'{"peak MiB":>9}',
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for times in options.times:
            path = Path(folder) / f'fields_{times}.zarr'
            in_new_process(write_fields, str(path), times, shape)
            results = [in_new_process(prepare_fields, str(path), folder, count) for count in options.workers]
            for count, result in zip(options.workers, results, strict=True):
                print(
                    f'{times:6} {count:7} {result.mb_per_s:14.0f} {result.processor:6.1f} '
                    f'{result.seconds:8.1f} {results[0].seconds / result.seconds:9.2f} {result.others:7.2f} '
                    f'{result.peak_mib:9.0f}',
                    flush=True,
                )
            if len({result.digest for result in results}) > 1:
                sys.exit(f'{times} times: the records differ between numbers of workers')
            shutil.rmtree(path)


def write_alone(name: str, times: int, shape: tuple[int, int]) -> dict[str, float]:
    """MB/s of CPU time of a writer."""
    import time

    import numpy as np

    fields = made_up(np.arange(8), shape)[..., None]
    with tempfile.TemporaryDirectory() as folder:
        write = write_by_tfds if name == 'TFDS' else write_by_project
        write(Path(folder) / 'warm', fields[:1])  # imports
        start = time.process_time()
        write(Path(folder) / 'timed', np.tile(fields, (times // 8, 1, 1, 1)))
        return {'mb_per_s': times * fields[0].nbytes / 1e6 / (time.process_time() - start)}


def write_by_tfds(folder: Path, fields) -> None:
    import tensorflow_datasets as tfds

    from downscale_jax.pipeline.record_files import features

    identity = tfds.core.DatasetIdentity(
        name='fields', version=tfds.core.Version('1.0.0'), data_dir=str(folder), module_name=__name__
    )
    folder.mkdir()
    info = tfds.core.DatasetInfo(builder=identity, features=features({'fine': fields.shape[1:], 'time': ()}))
    writer = tfds.core.SequentialWriter(info, 256, overwrite=True, file_format='array_record')
    writer.initialize_splits(['train'])
    writer.add_examples({'train': [{'fine': field, 'time': time} for time, field in enumerate(fields)]})
    writer.close_all()


def write_by_project(folder: Path, fields) -> None:
    import dask

    from data_prep.records.shards import write_records

    with dask.config.set(num_workers=1):
        write_records(folder, FromMemory(fields), {'train': len(fields), 'validation': 0, 'test': 0})


class FromMemory:
    """Records of fields in memory."""

    description = 'Fields.'

    def __init__(self, fields):
        self.fields, self.shapes = fields, {'fine': fields.shape[1:], 'time': ()}

    def write(self, shard, add) -> None:
        for time in range(shard.start, shard.stop):
            add(fine=self.fields[time], time=time)


def made_up(hours, shape: tuple[int, int]):
    """[T, H, W] float32: a travelling wave in a zonal mean, with weather-like rounding noise."""
    import numpy as np

    y, x = (np.linspace(0, 2 * np.pi, size, dtype=np.float32) for size in shape)
    phase = np.asarray(hours, np.float32)[:, None, None] / 24
    noise = np.random.default_rng(int(np.asarray(hours).flat[0])).standard_normal(shape, np.float32)
    return (280 + 20 * np.cos(y / 2)[:, None] + 5 * np.cos(3 * x - phase) + 0.1 * noise).astype(np.float32)


def write_fields(path: str, times: int, shape: tuple[int, int]) -> None:
    """Writes the store, one time at a time."""
    import numpy as np
    import xarray as xr

    axes = {
        'lat': ('lat', np.linspace(89, -89, shape[0]), {'units': 'degrees_north'}),
        'lon': ('lon', np.arange(shape[1]) * 360 / shape[1], {'units': 'degrees_east'}),
    }
    for hour in range(times):
        stamp = np.datetime64('2001-01-01', 'ns') + np.array([hour]) * np.timedelta64(1, 'h')
        field = xr.Dataset(
            {'t2m': (('time', 'lat', 'lon'), made_up([hour], shape), {'units': 'K'})}, {'time': stamp, **axes}
        )
        if hour:
            field.to_zarr(path, append_dim='time', consolidated=False)
        else:
            encoding = {'t2m': {'compressors': (), 'chunks': (1, *shape)}, 'time': {'units': 'hours since 2001-01-01'}}
            field.to_zarr(path, mode='w', consolidated=False, encoding=encoding)


class Measured(NamedTuple):
    """Measurements of one preparation."""

    seconds: float
    processor: float  # seconds of CPU
    mb_per_s: float  # of CPU time
    others: float  # share of the cores' time that other programs took
    peak_mib: float
    digest: str  # of the record files


def prepare_fields(path: str, folder: str, workers: int) -> Measured:
    import time

    import dask
    import numpy as np
    import tensorflow_datasets  # noqa: F401  before the clock starts
    import xarray as xr

    from data_prep.prepare import prepare

    with xr.open_zarr(path, consolidated=False) as fields:
        stamps = fields['time'].values
    held_out = {'validation': stamps[-2], 'test': stamps[-1]}
    data = {
        'kind': 'block_means',
        'path': path,
        'simulate': {},
        'variables': ('t2m',),
        'level': 0.0,
        'units': ('K',),
        'train': ((str(stamps[0])[:16], str(stamps[-3])[:16]),),
        **{split: ((str(stamp)[:16],) * 2,) for split, stamp in held_out.items()},
        'factor': 4,
        'patch': 4,
        'mean': 'physical',
        'transform': 'standard',
        'anomaly': False,
        'bounds': ((0.0, float('inf')),),
    }
    root = Path(folder) / f'prepared-{workers}'
    start, processor, busy = time.perf_counter(), time.process_time(), busy_seconds()
    with dask.config.set(num_workers=workers):
        prepared = prepare(data, 0, root)
    seconds = time.perf_counter() - start
    processor, busy = time.process_time() - processor, busy_seconds() - busy
    digest = hashlib.sha256()
    for file in sorted((prepared.directory / 'records').rglob('*.array_record*')):
        digest.update(file.read_bytes())
    megabytes = 4 * np.prod(prepared.mask.shape) * len(stamps) / 1e6
    shutil.rmtree(root)
    others = (busy - processor) / seconds / (os.cpu_count() or 1)
    return Measured(seconds, processor, float(megabytes / processor), others, peak_mib(), digest.hexdigest())


def busy_seconds() -> float:
    """Seconds of CPU time that all programs on this machine have taken (Linux)."""
    user, nice, system = map(int, Path('/proc/stat').read_text().split()[1:4])
    return (user + nice + system) / os.sysconf('SC_CLK_TCK')


if __name__ == '__main__':
    run_program(main)
