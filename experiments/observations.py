"""A trained sea-ice model applied to what satellites see: no truth, gaps, other grids, other times.

    python -m experiments.observations [--workdir=runs/diffusion_sit] [--days=5]      made-up observations
    python -m experiments.observations --thickness='cs2smos/*.nc' --drift='drift/*.nc' [--concentration='conc/*.nc']

Thickness is CS2SMOS, concentration OSI SAF (or else that in the files of thickness), drift OSI SAF; see
`data_prep.readers.products`. Without files they are made up: the idealised ice on days of the test split as products
of that form, 25 km thickness with a swath and the coast missing, 25 km concentration, 62.5 km deformation.
`data_prep.readers.observed` brings them to the fine grid and to the smoothness of training. An ensemble of every day
goes to --output/fine.zarr (a killed run resumes); filtered back to the kernel, it is compared with
the input in a table, consistency.json and consistency.png. The made-up truth itself is filtered back too (`truth`): it
marks the best consistency to expect.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy import ndimage

import downscale_jax
from data_prep.readers import products
from data_prep.readers.observed import Observed, to_inputs
from data_prep.simulators.sea_ice import simulate
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source, file_state
from downscale_jax.evaluation.drawing.colours import SPREAD
from downscale_jax.evaluation.drawing.style import LAND, NOTHING
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.consistency import consistency
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.dates import iso, select_dates
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.boxes import box_filter
from downscale_jax.fields.geometry.interpolation import apply_matrices
from downscale_jax.fields.geometry.observation import observation_matrices, observation_points
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.systems.downscaler import Downscaler
from experiments.command_line import Parser, at_least, run_program, seed_number
from experiments.consistency import summarise, table

THICKNESS_KM, CONCENTRATION_KM, DRIFT_KM = 25.0, 25.0, 62.5  # grids of the products
SWATH_KM = 200.0  # width of the made-up gap, which moves from day to day
LOWEST = 0.15  # concentration under which CS2SMOS has no thickness


def make_up(folder: Path, config: dict, days: int) -> tuple[dict[str, str], xr.DataArray]:
    """({product: files}, true thickness at their times) from the idealised ice that the model has not seen.

    The deformation is a canonical file, since the simulation keeps no velocity; the others are as the products are.
    """
    settings = config['data']
    if settings['path']:
        raise UserError(f'the model was trained on {settings["path"]}: give observations by --thickness and --drift')
    size, states = (settings['simulate'][key] for key in ('size', 'states'))
    empty = xr.Dataset(coords={'time': np.datetime64('2020-01-01', 'ns') + np.arange(states) * np.timedelta64(12, 'h')})
    times = select_dates(empty, settings['test'])['time']
    times = times[times.dt.hour == 12][:days]
    needed = int(np.flatnonzero(empty['time'] == times[-1])[0]) + 1
    ice = simulate(seed=config['seed'], size=size, states=needed).sel(time=times)
    folder.mkdir(parents=True, exist_ok=True)
    concentration = sample(ice, 'sic', CONCENTRATION_KM)
    thickness = sample(ice, 'sit', THICKNESS_KM)
    beside = sample(ice, 'sic', THICKNESS_KM)
    for number, time in enumerate(times.values):
        stamp, day = str(time)[:10], dict(time=[number])
        write_thickness(folder / f'cs2smos_{stamp}.nc', thickness.isel(day), beside.isel(day), number)
        write_concentration(folder / f'ice_conc_{stamp}.nc', concentration.isel(day))
    deformation = xr.Dataset({name: sample(ice, name, DRIFT_KM) for name in ('divergence', 'shear')})
    store.write_netcdf(deformation, folder / 'deformation.nc')
    files = {'thickness': 'cs2smos_*.nc', 'concentration': 'ice_conc_*.nc', 'deformation': 'deformation.nc'}
    return {name: str(folder / pattern) for name, pattern in files.items()}, ice['sit']


def sample(ice: xr.Dataset, name: str, spacing_km: float) -> xr.DataArray:
    """Means over cells of `spacing_km`, (time, yc, xc) with yc falling, in km; NaN where most of a cell is land."""
    sizes, mask = grid.cell_sizes_km(ice), ice['mask'].values.astype(bool)
    area = grid.cell_areas_km2(ice) * mask
    values = box_filter(ice[name].values, area, spacing_km / sizes[0][0], spacing_km / sizes[1], False)
    there, _ = observation_matrices(mask.shape, sizes, spacing_km, False)
    share = apply_matrices(*there, mask.astype(float))
    with np.errstate(invalid='ignore', divide='ignore'):
        values = np.where(share > 0.5, apply_matrices(*there, np.nan_to_num(values)) / share, np.nan)
    points = [
        np.interp(observation_points(n, spacing_km / size[0]), np.arange(n), ice[axis].values / 1000)
        for n, size, axis in zip(mask.shape, sizes, 'yx', strict=True)
    ]
    coords: dict[str, Any] = {'time': ice['time']}
    for axis, at in zip('yx', points, strict=True):
        coords[f'{axis}c'] = (f'{axis}c', at, {'units': 'km', 'standard_name': f'projection_{axis}_coordinate'})
    return xr.DataArray(values, coords, ('time', 'yc', 'xc'), name, ice[name].attrs).isel(yc=slice(None, None, -1))


def write_thickness(path: Path, thickness: xr.DataArray, concentration: xr.DataArray, number: int) -> None:
    """As CS2SMOS, with no value off the ice, beside the coast and under a swath that has moved by `number` days."""
    y, x = np.meshgrid(thickness.yc, thickness.xc, indexing='ij')
    swath = (x + 0.5 * y - (0.37 + 0.21 * number) * np.ptp(x)) % np.ptp(x) < SWATH_KM
    offshore = ndimage.binary_erosion(np.isfinite(thickness.values[0]), border_value=1)
    seen = thickness.where(offshore & ~swath & (concentration >= LOWEST))
    fields = {
        'analysis_sea_ice_thickness': seen.assign_attrs(units='m'),
        'analysis_sea_ice_thickness_unc': (0.1 * seen).assign_attrs(units='m'),
        'sea_ice_concentration': (100 * concentration).assign_attrs(units='%'),
    }
    write_product(path, fields)


def write_concentration(path: Path, concentration: xr.DataArray) -> None:
    """As OSI SAF's, with its flag of land."""
    land = concentration.isnull().astype('int16')
    flags = land.assign_attrs(flag_masks=np.array([1], 'int16'), flag_meanings='land')
    write_product(path, {'ice_conc': (100 * concentration).assign_attrs(units='%'), 'status_flag': flags})


def write_product(path: Path, fields: dict[str, xr.DataArray]) -> None:
    seconds = {'units': 'seconds since 1978-01-01 00:00:00', 'calendar': 'standard', 'dtype': 'float64'}
    xr.Dataset(fields).drop_encoding().to_netcdf(path, encoding={'time': seconds})


def open_products(files: dict[str, str], names: tuple[str, ...]) -> dict[str, Observed]:
    """{input: where it comes from}. Drift is differenced over two cells, so its deformation is a mean over both."""
    thickness = products.read_cs2smos(files['thickness'])
    sources = {'sit': (thickness, 1)}
    if files['concentration']:
        sources['sic'] = (products.read_osisaf_concentration(files['concentration']), 1)
    else:
        sources['sic'] = (thickness, 1)
    if files.get('deformation'):
        deformation = canonical(store.open_dataset(files['deformation']), ['divergence', 'shear'])
        sources |= {name: (deformation, 1) for name in ('divergence', 'shear')}
    elif files['drift']:
        deformation = products.read_osisaf_drift(files['drift'])
        sources |= {name: (deformation, 2) for name in ('divergence', 'shear')}
    if lacking := [name for name in names if name not in sources]:
        raise UserError(f'the model needs {", ".join(lacking)}: give --drift, or train on what CS2SMOS holds')
    return {
        name: Observed(fields, cells * float(np.median(grid.cell_sizes_km(fields)[0])))
        for name, (fields, cells) in sources.items()
        if name in names
    }


def main() -> None:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--workdir', type=Path, default=Path('runs/diffusion_sit'))
    for name in ('thickness', 'concentration', 'drift'):
        parser.add_argument(f'--{name}', default='', help='a file or a glob')
    parser.add_argument('--output', type=Path, default=Path('runs/observations'))
    parser.add_argument('--members', type=at_least(1), default=30)
    parser.add_argument('--seed', type=seed_number, default=0)
    parser.add_argument('--days', type=at_least(1), default=5, help='of the made-up observations')
    options = parser.parse_args()
    files = {name: getattr(options, name) for name in ('thickness', 'concentration', 'drift')}
    if any(files.values()) and not options.thickness:
        parser.error('--thickness is missing')
    model, truth = downscale_jax.load(options.workdir, Downscaler), None
    transform = model.prepared.transform_as(RefinementTransform)
    statics, generator = model.prepared.statics, model.best()
    source = Source(options.thickness or 'the made-up observations', file_state(*files.values()))
    if not options.thickness:
        files, truth = make_up(options.output / 'products', model.config, options.days)
    kernels = dict(zip(transform.inputs, model.prepared.meta['kernel_km'], strict=True))
    inputs = to_inputs(open_products(files, transform.inputs), kernels, statics, transform.target)
    inputs[transform.target] = convert_units(inputs[transform.target], transform.units)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / 'fine.zarr'
    opened = open_inputs(inputs, generator.transform, statics, source.input)
    ensemble = Ensemble(generator, opened, statics, options.members, options.seed)
    to_store(ensemble, path, source, model.attributes())

    back = partial(
        consistency,
        sea=grid.cell_areas_km2(statics[['mask']]) * statics['mask'].values,
        sizes_km=grid.cell_sizes_km(statics),
        kernel_km=kernels[transform.target],
        periodic=model.prepared.periodic,
    )
    days, of_truth = {}, []
    with xr.open_zarr(path, consolidated=False) as fine:
        for number, time in enumerate(inputs['time'].values):
            coarse, members = (x[transform.target].isel(time=number).values for x in (inputs, fine))
            if number == 0:
                first = coarse, members
            days[iso(time)] = back(members, coarse)
            if truth is not None:
                of_truth.append(back(truth.sel(time=time).values[None], coarse))
    rows = {when: summarise(sums) for when, sums in days.items()}
    figure = draw(*first, rows, statics, transform.units)
    figure.savefig(options.output / 'consistency.png', dpi=130, metadata={'Software': None})
    rows['all'] = summarise(total(list(days.values())))
    if of_truth:
        rows['truth'] = summarise(total(of_truth))
    print(table(rows, transform.units))
    numbers = {row: {k: v if math.isfinite(v) else None for k, v in scores.items()} for row, scores in rows.items()}
    write_json(options.output / 'consistency.json', numbers)


def draw(coarse: np.ndarray, members: np.ndarray, rows: dict, statics: xr.Dataset, units: str) -> Figure:
    """The first day in maps, and all days in lines."""
    figure = Figure(figsize=(11, 6), layout='constrained', facecolor='white')
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.5, 1), squeeze=False)[:, 0]
    y = statics[statics['mask'].dims[0]].values
    look = {'origin': 'lower' if y[0] < y[-1] else 'upper', 'interpolation': 'nearest'}
    field = {'vmin': 0, 'vmax': np.nanquantile(members[0], 0.99), 'cmap': 'viridis'}
    panels = [
        ('observed, as the model sees it', coarse, field),
        ('member 1', members[0], field),
        ('ensemble mean', members.mean(0), field),
        ('spread of the members', members.std(0, ddof=1), {'vmin': 0, 'cmap': SPREAD}),
    ]
    for axes, (title, values, colours) in zip(upper.subplots(1, 4), panels, strict=True):
        axes.imshow(np.where(statics['mask'], 1, 0), cmap=ListedColormap([LAND, NOTHING]), **look)
        image = axes.imshow(values, **look, **colours)
        axes.set_title(title, fontsize=10, loc='left')
        axes.set(xticks=[], yticks=[])
        upper.colorbar(image, ax=axes, location='bottom', shrink=0.9, aspect=25).set_label(units)
    upper.suptitle(f'Observations downscaled, {next(iter(rows))}', x=0.01, ha='left', fontweight='bold')
    series = {
        f'bias over the kernel ({units})': {'member and mean': 'bias'},
        f'RMSE over the kernel ({units})': {'member': 'rmse_member', 'mean': 'rmse_mean'},
        'share of the sea': {'missing': 'missing', 'compared': 'compared'},
    }
    for axes, (title, lines) in zip(lower.subplots(1, 3), series.items(), strict=True):
        for (line, name), colour in zip(lines.items(), ('#0072b2', '#d55e00'), strict=False):
            axes.plot([row[name] for row in rows.values()], 'o-', color=colour, label=line)
        axes.set_title(title, fontsize=10, loc='left')
        axes.set_xticks(range(len(rows)), [when[5:10] for when in rows], rotation=45)
        axes.set_ylim(*(min(0, 1.2 * axes.get_ylim()[0]), max(0, 1.2 * axes.get_ylim()[1])))
        axes.axhline(0, color='#5f6368', linewidth=0.8)
        axes.spines[['top', 'right']].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


if __name__ == '__main__':
    run_program(main)
