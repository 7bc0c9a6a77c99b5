"""Zero-shot transfer: a trained DPDM in regions that it has never seen, beside its training region.

    python -m experiments.zero_shot [--workdir=DIR] [--seed 1 2 ..] [--months=12] [--members=11] [--output=DIR]

Every seed gives another world of `data_prep.simulators.mountains`, with its own relief and weather, all else as in the
model's config; `home` is the model's own. Months of the test split, evenly spread, are averaged over blocks and
downscaled with the statics of their region (`load(workdir).downscale(coarse, statics=region)`). The scores by
variable are RMSE, its ratio to that of linear interpolation, since one relief is rougher than another, fair CRPS (for a
single field, its MAE) and spread / skill. They are written to zero_shot.md and, with more scores, to zero_shot.csv
after every region, in the work directory or in --output.

12 months of 11 members are 132 fields per region, `home` included: some 80 seconds per region on two cores.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep.records.block_means import whole_blocks
from data_prep.sources import open_series
from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.evaluation.baselines import KERNELS, Baselines
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.fields.datasets.dates import select_dates
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.times import evenly, month_of
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_text
from downscale_jax.systems.downscaler import Downscaler
from downscale_jax.systems.dpdm import REGRESSION
from experiments.command_line import Parser, at_least, run_program, seed_number
from experiments.many_runs import markdown, write_csv
from experiments.reconstruction import opened

HOME, LINEAR = 'home', 'linear'
KEPT = ('rmse', 'crps', 'mae', 'bias', 'spread_skill')
SHOWN = ('rmse', 'of_linear', 'crps', 'spread_skill')


def simulated(model: Downscaler, seed: int | None, months: int) -> tuple[xr.Dataset, xr.Dataset]:
    """(test months, statics) of the world of a seed, None for the model's own. Raises UserError where the model learned
    from other data, or where its world is simulated differently today than when it was trained."""
    data, names = model.config['data'], ['topography', 'land']
    if data['path'] or data['simulate'].get('world') != 'mountains':
        raise UserError(f'{model.workdir} was trained on {data["path"] or "another world"}, not on simulated mountains')
    own = data['simulate'].get('seed', model.config['seed'])
    asked = own if seed is None else seed
    if seed == own:
        raise UserError(f'--seed {seed} is the region that the model learned from: choose others')
    fields = whole_blocks(open_series({**data, 'simulate': {**data['simulate'], 'seed': asked}}, asked), data)
    if seed is None and not np.array_equal(fields['topography'], model.prepared.statics['topography']):
        raise UserError(f'the mountains of {model.workdir} are not those simulated today: train anew')
    test = select_dates(fields, data['test'])
    return isel_times(test, evenly(test.sizes['time'], months)), fields[names]


def fields_of(model: Downscaler, months: xr.Dataset, statics: xr.Dataset, members: int) -> dict[str, np.ndarray]:
    """Members [M, T, H, W, V] by method, and the truth, [1, ..], first."""
    prepared, transform = model.prepared, model.prepared.transform_as(BlockMeans)
    truth = np.stack([months[name].values for name in transform.targets], -1)
    # worlds differ in what stands on the cells, not in the cells: blocks and areas are those of the model's grid
    records: Any = [{'fine': field} for field in truth]  # in place of a Split
    coarse = coarse_dataset(prepared, records, months['time'].values, list(range(len(truth))))
    baselines, found = Baselines(tuple(KERNELS), prepared), {'truth': truth[None]}
    blocks = np.stack([coarse[name].values for name in transform.inputs], -1)
    simple = [baselines(one, month_of(t)) for one, t in zip(blocks, coarse['time'].values, strict=True)]
    found |= {name: np.stack([one[name] for one in simple])[None] for name in KERNELS}
    grid, regression = model.fine_grid(statics, 'the region'), model.generator(REGRESSION)
    inputs = open_inputs(coarse, transform, grid)
    made = in_memory(Ensemble(regression, inputs, grid, 1, 0)), model.downscale(coarse, members, statics=statics)
    single, drawn = (np.stack([one[name].values for name in transform.targets], -1) for one in made)
    return {**found, REGRESSION: single, 'one member': drawn[:1], f'mean of {members}': drawn}


def scored(fields: dict[str, np.ndarray], weight: np.ndarray, variables: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """{method: {score_variable: number}}, all months together, weight [H, W]."""
    truth, everywhere = fields['truth'][0], np.ones((1, *weight.shape), bool)
    table: dict[str, dict[str, Any]] = {}
    for method in list(fields)[1:]:
        row, ties, months = table.setdefault(method, {}), np.random.default_rng(0), range(len(truth))
        for v, name in enumerate(variables):
            pairs = ((fields[method][:, t, ..., v], truth[t, ..., v]) for t in months)
            numbers = scores.summarise(total([scores.day_sums(*pair, weight, everywhere, ties) for pair in pairs]))
            row |= {f'{key}_{name}': float(numbers[key][0]) for key in KEPT if key in numbers}
            row[f'of_linear_{name}'] = row[f'rmse_{name}'] / table[LINEAR][f'rmse_{name}']
    return table


def main() -> int:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_dpdm'))
    parser.add_argument('--seed', type=seed_number, nargs='+', default=[1], help='of other regions')
    parser.add_argument('--months', type=at_least(1), default=12, help='of the test split')
    parser.add_argument('--members', type=at_least(2), default=11)
    parser.add_argument('--output', type=Path, help='folder of the tables; by default the work directory')
    options = parser.parse_args()
    folder, tables = options.output or options.workdir, dict[str, Any]()
    if not folder.is_dir():
        raise UserError(f"--output: there is no folder '{folder}': make it first")
    model = opened(options.workdir, {})
    variables, weight = model.prepared.transform_as(BlockMeans).targets, model.prepared.area[..., 0]
    for region, seed in {HOME: None, **{f'seed {seed}': seed for seed in options.seed}}.items():
        print(f'{region}: simulating and downscaling', flush=True)
        fields = fields_of(model, *simulated(model, seed, options.months), options.members)
        tables[region] = scored(fields, weight, variables)
        table = [{'method': m, 'region': region, **tables[region][m]} for m in tables[HOME] for region in tables]
        text = markdown(table, ['method', 'region', *(f'{score}_{v}' for v in variables for score in SHOWN)])
        write_text(folder / 'zero_shot.md', text + '\n')
        write_csv(folder / 'zero_shot.csv', table)
    print(text)
    return 0


if __name__ == '__main__':
    run_program(main)
