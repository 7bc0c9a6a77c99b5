"""Peak memory of preparing a pair of files against their length.

    python -m experiments.benchmarks.pairs [--months 480 1920 7680]      about 5 minutes

Each length is prepared in its own process; the peak of a process that only imports the same modules is subtracted.
It rises a little until the blocks read from each variable are full and every thread writes a shard of records.
"""

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from data_prep.choices import choose
from data_prep.prepare import prepare
from data_prep.simulators.coarse_model import simulate
from experiments.benchmarks.processes import MIB, in_new_process, peak_mib
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

ROWS, COLUMNS, MONTHS = 80, 120, 120  # of the grid; simulated, and repeated


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--months', type=at_least(1), nargs='+', default=[480, 1920, 7680], help='lengths of the files')
    options = parser.parse_args()
    empty = in_new_process(peak_mib)
    print(f'{"months":>8} {"MiB of files":>16} {"peak MiB":>9}')
    for months in options.months:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            in_new_process(write_files, folder, months)
            size = sum(path.stat().st_size for path in folder.glob('*.nc'))
            peak = in_new_process(peak_of_preparing, folder) - empty
            print(f'{months:8d} {size / MIB:16.0f} {peak:9.0f}', flush=True)


def write_files(folder: Path, months: int) -> None:
    """A coarse and a fine file: simulated months, repeated under consecutive dates."""
    index = np.arange(months) % MONTHS
    for part, fields in zip(('coarse', 'fine'), simulate(0, ROWS, COLUMNS, MONTHS), strict=True):
        start = fields['time'].values[0].astype('datetime64[M]')
        times = (start + np.arange(months)).astype('datetime64[s]')  # in ns, 2262 would be the last year
        repeated: xr.Dataset = fields.isel(time=index).assign_coords(time=('time', times))
        repeated.to_netcdf(folder / f'{part}.nc')


def peak_of_preparing(folder: Path) -> float:
    """Peak memory of this process [MiB] after preparing the files of a folder."""
    config = read_config('configs/pairs.py:smoke')
    config['data'] |= {'coarse': str(folder / 'coarse.nc'), 'fine': str(folder / 'fine.nc')}
    prepare(choose(config)['data'], 0, folder / 'data')
    return peak_mib()


if __name__ == '__main__':
    run_program(main)
