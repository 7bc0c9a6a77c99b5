"""DPDM on real rain: radar over the United States, 0.01 degrees, ten times finer than its block means.

    python -m experiments.rain --input=mrms_rain_conus_20190610.nc [--root=DIR] [--dry-run] [--config.KEY=VALUE ..]

The frames of the file are minutes apart, so training and test are separated in space: the domain is cut into windows of
480 cells (4.8 degrees) a side. Those with their middle west of the first longitude of --split train, those between the
two longitudes validate, and those east of the second test. A window becomes a record of its own, dated by its
number from 2000-01-01 on, on one grid of local coordinates; those with less than half of their cells seen, or no rain
to speak of, are left out. Trains and scores configs/diffusion_dpdm.py on them: no context, ln(1 + rain), linear
interpolation, missing pixels where the radar does not see.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError
from experiments.command_line import Parser, run_program
from experiments.many_runs import Run, markdown, parse_overrides, rows, run_all, show

WINDOW, SEEN, WET = 480, 0.5, 0.02  # cells; share seen; mean rain in mm h-1
CELL = 1000.0  # m, about: what matters to spectra and areas is that all are alike
SPLITS = ('train', 'validation', 'test')
SCORES = ('rmse', 'mae', 'crps', 'acc', 'fss', 'tail', 'spread_skill', 'spectrum')


def windows(rain: xr.DataArray, edges: tuple[float, float]) -> tuple[np.ndarray, dict[str, int]]:
    """Fields [N, WINDOW, WINDOW] of all frames (time, lat, lon), in order of the splits, and how many each has.

    Raises UserError for a field without time or longitudes, and for a split without rain.
    """
    if 'time' not in rain.dims or 'lon' not in rain.coords or rain['lon'].ndim != 1:
        raise UserError(f"--input: '{rain.name}' has the axes {rain.dims}; (time, lat, lon) is needed")
    east = rain['lon'].values % 360
    found: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for frame in range(rain.sizes['time']):
        field = rain.isel(time=frame).values.astype(np.float32)
        for row in range(0, field.shape[0] - WINDOW + 1, WINDOW):
            for column in range(0, field.shape[1] - WINDOW + 1, WINDOW):
                one = field[row : row + WINDOW, column : column + WINDOW]
                if np.isfinite(one).mean() < SEEN or np.nanmean(one) < WET:
                    continue
                middle = east[column + WINDOW // 2]
                split = SPLITS[int(np.searchsorted(edges, middle))]
                found[split].append(one)
    if not all(found.values()):
        counts = ', '.join(f'{split} {len(fields)}' for split, fields in found.items())
        raise UserError(f'--split={edges}: windows with rain: {counts}; each split needs some')
    return np.concatenate([np.stack(fields) for fields in found.values()]), {k: len(v) for k, v in found.items()}


def write(path: Path, fields: np.ndarray) -> None:
    """One file that the config's data.path can name."""
    at = (np.arange(WINDOW) + 0.5) * CELL
    axes = {dim: (dim, at, {'units': 'm', 'standard_name': f'projection_{dim}_coordinate'}) for dim in 'yx'}
    days = np.datetime64('2000-01-01', 'ns') + np.arange(len(fields)) * np.timedelta64(1, 'D')
    attrs = {'units': 'mm/h', 'standard_name': 'rainfall_rate'}
    dataset = xr.Dataset({'rain': (('time', 'y', 'x'), fields, attrs)}, {'time': days, **axes})
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_netcdf(dataset, path)


def dates(counts: dict[str, int]) -> dict[str, tuple]:
    """Config values of the splits: the days of their windows."""
    found, first = {}, np.datetime64('2000-01-01', 'D')
    for split, count in counts.items():
        found[f'data.{split}'] = ((str(first), str(first + count - 1)),)
        first += count
    return found


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--input', required=True, help='rain by radar: a variable (time, lat, lon)')
    parser.add_argument('--variable', default='pr')
    parser.add_argument('--split', type=float, nargs=2, default=(268.0, 271.0), metavar='DEGREES_EAST')
    parser.add_argument('--root', type=Path, default=Path('runs/rain'))
    parser.add_argument('--dry-run', action='store_true', help='print the command')
    options, others = parser.parse_known_args()
    fields = canonical(store.open_dataset(options.input), [options.variable], source=options.input)
    cut, counts = windows(fields[options.variable], tuple(options.split))
    print(f'windows of {WINDOW} cells: {counts}', flush=True)
    path = options.root / 'windows.nc'
    if not path.exists():
        write(path, cut)
    overrides = {
        'data.path': str(path), 'data.variables': ('rain',), 'data.transform': ('log1p',),
        'data.interpolation': ('linear',), 'data.bounds': ((0.0, float('inf')),), 'data.context': (),
        'data.patches_per_record': 24, 'evaluation.records': 9, 'evaluation.calibration_records': 2, **dates(counts),
    }  # fmt: skip
    run = Run('dpdm', {**overrides, **parse_overrides(others)})
    if options.dry_run:
        print(show([run], 'configs/diffusion_dpdm.py', options.root))
        return 0
    scores = run_all([run], 'configs/diffusion_dpdm.py', options.root)
    columns = ('method', *(f'{score}_rain' for score in SCORES))
    print(markdown(rows(scores), columns))
    return 0 if scores else 1


if __name__ == '__main__':
    run_program(main)
