"""What a reader is shown of super-resolved fields: tables, figures and words made of the details."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation import baselines as baseline
from downscale_jax.evaluation import curves, distributions, look, report
from downscale_jax.evaluation import super_resolution_figures as figures
from downscale_jax.evaluation.bootstrap import Sums
from downscale_jax.pipeline.records import Prepared
from downscale_jax.training.log import read


def tables(details: Mapping[str, Any], variables: Sequence[str], units: Sequence[str]) -> list[report.Table]:
    """Places and percentiles."""
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
            f'{name}, {variable}': [found[key][v] for key in ('normal', 'seam')]
            for name, found in details['ensembles'].items()
            for v, variable in enumerate(variables)
        }
        note = (
            'Normal cells: where an Anderson-Darling test of the members does not reject at 5 %, 0.95 for normal ones. '
            'Seams: |gradient| at borders of tiles over that half-way between, each over the rest; 1 without seams, '
            'none where one tile spans the domain.'
        )
        result.append(report.Table('Members', 'Ensemble', ['Normal cells', 'Seams'], rows, note))
    for v, variable in enumerate(variables):
        columns = [f'{level:g} %' for level in distributions.PERCENTILES]
        rows = {
            name: [(float(value), np.nan, np.nan) for value in found[v]]
            for name, found in details['percentiles'].items()
        }
        result.append(report.Table(f'Percentiles: {variable} ({units[v]})', 'Method', columns, rows))
    return result


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
    transform = prepared.block_means
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
