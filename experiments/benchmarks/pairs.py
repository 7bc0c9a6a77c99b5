"""Peak memory of preparing a pair of files against their length.

    python -m experiments.benchmarks.pairs [--months 120 480 1920]      about 2 minutes

Each length is prepared in a process of its own; the memory of a process that imports the same modules is subtracted.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from data_prep.choices import choose
from data_prep.prepare import prepare
from data_prep.simulators.coarse_model import simulate
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

ROWS, COLUMNS = 80, 120


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--months', type=at_least(1), nargs='+', default=[120, 480, 1920], help='lengths of the files')
    parser.add_argument('--folder', type=Path, help='internal: prepares the files of this folder')
    options = parser.parse_args()
    if options.folder:
        return prepare_files(options.folder)
    pair = simulate(0, ROWS, COLUMNS, min(options.months))
    empty = peak(None)
    print(f'{"months":>8} {"MB of the files":>16} {"peak MB":>8}')
    for months in options.months:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, fields in zip(('coarse', 'fine'), pair, strict=True):
                repeated(fields, months).to_netcdf(folder / f'{part}.nc')
            size = sum(path.stat().st_size for path in folder.glob('*.nc'))
            print(f'{months:8d} {size / 1e6:16.0f} {peak(folder) - empty:8.0f}')


def repeated(fields: xr.Dataset, months: int) -> xr.Dataset:
    """The months of a data set over and over, dated on."""
    index = np.arange(months) % fields.sizes['time']
    start = fields['time'].values[0].astype('datetime64[M]')
    times = (start + np.arange(months)).astype('datetime64[s]')  # in ns, 2262 would be the last year
    return fields.isel(time=index).assign_coords(time=('time', times))


def peak(folder: Path | None) -> float:
    """Peak resident memory [MB] of a process that prepares the files of a folder, or of one that only starts."""
    arguments = [f'--folder={folder}'] if folder else ['--folder=']
    command = [sys.executable, '-m', 'experiments.benchmarks.pairs', *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def prepare_files(folder: Path) -> None:
    """Prints the peak memory of this process [MB]."""
    if (folder / 'fine.nc').exists():
        config = read_config('configs/pairs.py:smoke')
        config['data'] |= {'coarse': str(folder / 'coarse.nc'), 'fine': str(folder / 'fine.nc')}
        prepare(choose(config)['data'], 0, folder / 'data')
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


if __name__ == '__main__':
    run_program(main)
