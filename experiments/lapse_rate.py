"""Temperature of a pair by interpolation and a lapse rate, scored beside a trained model on the same test times.

    python -m experiments.lapse_rate --workdir=runs/oetztal --coarse_relief=z_era5.nc --fine_relief=z_era5_land.nc

    T = T_coarse + GAMMA (z_coarse - z_fine)

with the coarse temperature and relief interpolated to the fine grid and GAMMA = 6.5 K km-1, or fitted to the training
split by least squares. It is what practitioners do where they have nothing better, and hard to beat in mountains.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.readers.pairs import read_pair
from data_prep.records.pairs import grid_of, split_pair
from downscale_jax.fields.context.relief import relief_on
from downscale_jax.fields.datasets.store import load
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import load as open_workdir
from experiments.command_line import Parser, run_program

GAMMA = 6.5e-3  # K m-1


class Split(NamedTuple):
    """A split on the fine grid."""

    interpolated: np.ndarray  # [T, H, W] K
    truth: np.ndarray


def scores(predicted: np.ndarray, truth: np.ndarray, area: np.ndarray) -> tuple[float, float, float]:
    """(bias, MAE, RMSE) of fields [T, H, W], weighted by area [H, W]."""
    weight = np.where(np.isfinite(predicted) & np.isfinite(truth), area, 0)
    error = np.where(weight > 0, predicted - truth, 0)
    bias, mae, mse = (float((weight * e).sum() / weight.sum()) for e in (error, np.abs(error), error**2))
    return bias, mae, mse**0.5


def main() -> None:
    options = parsed()
    model = open_workdir(options.workdir)
    data = model.config['data']
    if data['kind'] != 'pairs' or options.variable not in data['targets']:
        raise UserError(f"{options.workdir} has no target '{options.variable}' of a pair")
    source = data['sources'][data['targets'].index(options.variable)]
    if not source:
        raise UserError(f"the coarse data have no field like '{options.variable}': there is nothing to interpolate")
    pair = read_pair(data)
    statics = grid_of(pair.fine)
    to_fine = ToFine(grid_of(pair.coarse), statics)
    coarse_relief = relief_on(grid_of(pair.coarse), options.coarse_relief).values
    drop = to_fine(coarse_relief) - relief_on(statics, options.fine_relief).values

    def fields(part) -> Split:
        coarse, fine = load(part.coarse[source]).values, load(part.fine[options.variable]).values
        return Split(to_fine(coarse), fine)

    parts = {name: fields(part) for name, part in split_pair(pair, data).items()}
    train, test = parts['train'], parts['test']
    area, residual = cell_areas_km2(statics), np.nanmean(train.truth - train.interpolated, 0)
    slope = float((drop * residual).sum() / (drop**2).sum())
    print(f'{test.truth.shape[0]} test times; lapse rate fitted to training {1000 * slope:.2f} K km-1')
    print(f'{"method":36} {"bias":>8} {"MAE":>8} {"RMSE":>8}')
    for name, gamma in (
        ('interpolation', 0.0),
        (f'lapse rate {1000 * GAMMA:g} K km-1', GAMMA),
        ('lapse rate fitted', slope),
    ):
        bias, mae, rmse = scores(test.interpolated + gamma * drop, test.truth, area)
        print(f'{name:36} {bias:8.3f} {mae:8.3f} {rmse:8.3f}')


def parsed() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, required=True, help='of a model of pairs')
    parser.add_argument('--variable', default='t2m', help='target, a temperature')
    parser.add_argument('--coarse_relief', required=True, help='file with the topography of the coarse data')
    parser.add_argument('--fine_relief', required=True, help='file with the topography of the fine data')
    return parser.parse_args()


if __name__ == '__main__':
    run_program(main)
