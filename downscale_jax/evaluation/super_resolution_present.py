"""What a reader is shown of super-resolved fields: tables, figures and words made of the details."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation import baselines as baseline
from downscale_jax.evaluation.drawing import curves
from downscale_jax.evaluation.drawing import fields as figures
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.report import html as report
from downscale_jax.evaluation.statistics import distributions
from downscale_jax.evaluation.statistics.bootstrap import Sums
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared
from downscale_jax.training.log import read


def tables(details: Mapping[str, Any], variables: Sequence[str], units: Sequence[str]) -> list[report.Table]:
    """Places, members, what is hot and dry, extremes, percentiles."""
    result = []
    shown = drawn(details)
    told = shown[-1:] if details['ensembles'] else shown  # of an ensemble the largest
    for name, rivals in details['places'].items():
        rows = {
            f'{variable}, against {rival}': [
                *((float(row[key]), np.nan, np.nan) for key in ('better', 'worse', 'equal')),
                row['difference'],
            ]
            for rival, found in rivals.items()
            for variable, row in found.items()
            if rival in shown
        }
        if name in told and name not in baseline.NAMES and rows:
            note = (
                'Places where the Wasserstein-1 distance to the truth is smaller (larger) than the rival’s by a tenth.'
            )
            columns = ['Better', 'Worse', 'Equal', 'Better − worse']
            result.append(report.Table(f'Local statistics: {name}', 'Variable', columns, rows, note))
    if details['ensembles']:
        rows = {
            f'{name}, {variable}': [found['normal'][v]]
            for name, found in details['ensembles'].items()
            for v, variable in enumerate(variables)
        }
        note = 'Cells where an Anderson-Darling test of the members does not reject at 5 %: 0.95 of normal ones.'
        result.append(report.Table('Normality of members', 'Ensemble', ['Normal cells'], rows, note))
    if details['hot_dry']:
        rows = {name: [100 * found] for name, found in details['hot_dry'].items()}
        note = (
            'Share of cells and times above the 0.9 quantile of temperature and below the 0.1 quantile of '
            'precipitation, of the calendar month in training, cell by cell (of under nine years the highest, the '
            'lowest): 1 % were both independent and the climate that of training. Of an ensemble that of each of its '
            'members, averaged.'
        )
        result.append(report.Table('Hot and dry at once', 'Method', ['Frequency (%)'], rows, note))
    result += [of_extremes(details, v, f'{name} ({units[v]})') for v, name in enumerate(variables)]
    for v, variable in enumerate(variables):
        columns = [f'{level:g} %' for level in distributions.PERCENTILES]
        rows = {
            name: [(float(value), np.nan, np.nan) for value in found[v]]
            for name, found in details['percentiles'].items()
        }
        result.append(report.Table(f'Percentiles: {variable} ({units[v]})', 'Method', columns, rows))
    return result


def told_of_tiles(tiles: Mapping[str, Any]) -> list[str]:
    """Which tiles were looked at, a line for each generator."""
    lines = []
    for name, found in tiles.items():
        if not found:
            lines.append(f'Seams of {name}: not looked at, the domain is no larger than a patch of training.')
            continue
        sizes, against = (' x '.join(map(str, found[key])) for key in ('sizes', 'against'))
        lines.append(
            f'Seams of {name}: tiles of {sizes} cells that overlap by {found["overlap"]}, against the same members in '
            f'tiles of {against}; {found["members"]} members, {found["times"]} times.'
        )
    return lines


def of_extremes(details: Mapping[str, Any], v: int, variable: str) -> report.Table:
    """Of one variable: a column a level, a row a measure of a method."""
    told, missing = details['extremes'], (np.nan, np.nan)
    # quantiles are what a quantile map is made for
    shown = {*drawn(details), baseline.MAPPED}
    methods = {name: found for name, found in details['methods'].items() if name in shown}
    rows = {'Threshold': [(float(value), *missing) for value in told['thresholds'][v]]}
    rows |= {f'Quantile bias: {name}': list(found['quantile_error'][v]) for name, found in methods.items()}
    rows |= {f'CRPS of the tail: {name}': list(found['crps_above'][v]) for name, found in methods.items()}
    for s, cells in enumerate(told['windows']):
        rows |= {f'FSS, {cells} cells: {name}': list(found['fss_above'][v, :, s]) for name, found in methods.items()}
    columns = [f'{level:g}' for level in told['levels']]
    note = (
        'By quantile. Threshold: the quantile of training. Quantile bias: of all values, of an ensemble of all its '
        'members, less the truth’s. CRPS of the tail, FSS: above the threshold, FSS in windows so many cells wide.'
    )
    return report.Table(f'Extremes: {variable}', 'Measure', columns, rows, note)


def headline(table: Mapping, details: Mapping, variables: Sequence[str]) -> dict[str, str]:
    """What the report says first: of the last generator against interpolation, and of all the energy spectrum."""
    rival, *_, main = table
    facts = {}
    for variable in variables:
        facts[f'RMSE / {rival}, {variable}'] = (
            f'{table[main][f"rmse_{variable}"] / table[rival][f"rmse_{variable}"]:.2f}'
        )
    for name in table:
        if 'energy' in table[name]:
            facts[f'energy spectrum, {name}'] = f'{table[name]["energy"]:.2f}'
    return facts


def numbers_of(ensemble: str, details: Mapping[str, Any]) -> list[int]:
    """How many members' means are methods."""
    pattern = re.compile(rf'{re.escape(ensemble)}_(\d+)')
    return [int(found[1]) for name in details['methods'] if (found := pattern.fullmatch(name))]


def drawn(details: Mapping[str, Any]) -> list[str]:
    """The methods that figures show: bicubic interpolation of the baselines, of an ensemble one member and the mean."""
    names = list(details['methods'])
    left_out = {name for name in names if name in baseline.NAMES and name != 'bicubic'}
    for ensemble in details['ensembles']:
        left_out |= {f'{ensemble}_{n}' for n in numbers_of(ensemble, details)[1:-1]}
    return [name for name in names if name not in left_out]


def draw(
    workdir: Path,
    prepared: Prepared,
    details: Mapping[str, Any],
    maps: Mapping[str, Sums],
    shown: Mapping[str, np.ndarray],
    time: str,
) -> dict[str, str]:
    """Writes workdir/figures/NAME.png and returns {name: caption}; `maps` by method, see `distributions.map_sums`."""
    folder = workdir / 'figures'
    folder.mkdir(exist_ok=True)
    transform = prepared.transform_as(BlockMeans)
    methods = {name: details['methods'][name] for name in drawn(details)}
    variables, units = transform.targets, transform.target_units
    what = f'{"Idealised " * prepared.meta["idealised"]}{", ".join(variables)}'
    subtitle = f'{what}, {len(next(iter(details["frames"].values())))} test times'
    y = prepared.statics[prepared.statics['mask'].dims[0]].values
    up = slice(None, None, 1 if y.size < 2 or y[0] < y[-1] else -1)  # the first row of a map is its lowest
    shown = {name: field[up] for name, field in shown.items() if name in (*methods, 'truth', 'coarse')}
    bias = {
        name: {kind: field[up] for kind, field in distributions.bias_maps(sums).items()}
        for name, sums in maps.items()
        if name in methods
    }
    compared = {
        name: {rival: found for rival, found in rivals.items() if rival in methods}
        for name, rivals in details['places'].items()
        if name in methods
    }
    made = {
        'fields': (
            figures.fields(shown, variables, units, f'{what}, {time} h', 'a window of the grid'),
            'One test time: coarse field, interpolation, generators, truth.',
        ),
        'spectra': (
            figures.spectra(
                details['wavelength_km'], methods, details['truth'], variables, units, 'Power by wavelength', subtitle
            ),
            'Kinetic energy and variance of each variable in a wavenumber, a time’s in the mean; below, over the '
            'truth’s. Bands: 5 to 95 % over resampled times.',
        ),
        'semivariogram': (
            figures.variograms(details['kilometres'], methods, details['truth'], variables, 'Semivariogram', subtitle),
            'Mean squared difference of values by distance, over twice the truth’s variance; below, over the truth’s: '
            'under 1 a field is too smooth.',
        ),
        'bias': (
            figures.bias(bias, variables, units, 'Bias of mean and standard deviation', subtitle),
            'Mean over times and standard deviation over times, of the method minus of the truth.',
        ),
        'places': (
            figures.places(compared, variables, 'Local statistics', subtitle),
            'Places where the distribution of values over time is nearer to the truth’s than that of the rival, by a '
            'tenth of the Wasserstein-1 distance.',
        ),
        'training': (
            curves.training(read(workdir / 'metrics.jsonl'), title='Training', subtitle=what),
            'Losses of the networks; the validation loss of a GAN is the distance of its spectra.',
        ),
    }
    for name, found in details['ensembles'].items():
        curve = {n: details['methods'][f'{name}_{n}'] for n in numbers_of(name, details)}
        made[f'ensemble_{name}'] = (
            figures.ensemble(curve, found['quantiles'], variables, units, f'Ensemble: {name}', subtitle),
            'Error of the mean of n members, and what members would have that are drawn from the truth’s own '
            'distribution; rank of the truth among the members; quantiles of the standardised members of all cells '
            'against those of as many normal numbers.',
        )
    for name, (figure, _) in made.items():
        look.save(figure, folder / f'{name}.png')
    return {name: caption for name, (_, caption) in made.items()}
