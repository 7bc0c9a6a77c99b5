"""What a reader is shown: figures, tables and words made of the details."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.evaluation.collect import Collected, day_fields
from downscale_jax.evaluation.drawing import curves, maps
from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.report.html import Table
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.summary import Details
from downscale_jax.fields.geometry.boxes import box_sums
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.training.log import read


class Shown(NamedTuple):
    """What figures, tables and words have in common."""

    prepared: Prepared
    settings: dict[str, Any]
    details: Details
    main: str  # the method that figures show
    ensembles: list[str]
    cell_km: float
    kernel_km: float
    wavelength: np.ndarray

    @property
    def baselines(self) -> list[str]:
        """Deterministic methods but the coarse field."""
        methods = [name for name, found in self.details.items() if 'regimes' in found]
        return [name for name in methods if name not in (scales.COARSE, *self.ensembles)]

    @property
    def lines(self) -> dict[str, str]:
        """{method: line of the spectra}: the main ensemble's members and its mean, the baselines."""
        main = {self.main: 'member', scales.MEAN: scales.MEAN} if self.ensembles else {}
        return {name: name for name in (scales.COARSE, *self.baselines)} | main

    @property
    def marks(self) -> dict[str, float]:
        return {'kernel': self.kernel_km, f'{scales.FINEST} cells': scales.FINEST * self.cell_km}

    @property
    def groups(self) -> list[list[str]]:
        """Regimes and seasons that hold a cell."""
        found = self.details[self.main]
        return [list(found['regimes']), list(found['seasons'])]

    @property
    def beaten(self) -> float:
        """Wavelength down to which the mean, or the deterministic main method, beats the coarse field.

        By the upper end of its error's interval where there is one.
        """
        found = self.details.get(scales.MEAN if self.ensembles else self.main, {}).get('spectrum')
        error = np.fmax(*found['error'].T[[0, 2]]) if found else np.full(len(self.wavelength), np.nan)
        return scales.beaten_down_to(error, self.wavelength, self.kernel_km)


def label(prepared: Prepared) -> str:
    """What is shown: the variable, called idealised where it is simulated."""
    attributes = prepared.meta['attributes']
    name = (
        attributes.get('standard_name')
        or attributes.get('long_name')
        or prepared.transform_as(RefinementTransform).target
    )
    name = name.replace('_', ' ')
    return f'Idealised {name}' if prepared.meta['idealised'] else name[0].upper() + name[1:]


def draw(
    shown: Shown,
    collected: Collected,
    opened: Mapping[str, xr.Dataset],
    split: Split,
    times: np.ndarray,
    chosen: list[int],
    index: int,
    workdir: Path,
) -> dict[str, str]:
    """Writes workdir/figures/NAME.png, the maps of the chosen day `index`, and returns {name: caption}."""
    folder = workdir / 'figures'
    folder.mkdir(exist_ok=True)
    prepared = shown.prepared
    name, unit = label(prepared), prepared.transform_as(RefinementTransform).units
    truth, methods = day_fields(opened, prepared, split, chosen[index], index)
    coarse, members = methods[scales.COARSE][0], methods[shown.main]
    y = prepared.statics[prepared.statics['mask'].dims[0]]
    told = f'{str(times[chosen[index]])[:13]} h, the scored day on which the coarse field errs most'
    figures = {
        'maps': maps.maps(
            coarse,
            members,
            truth,
            prepared.mask,
            shown.cell_km,
            name.lower(),
            unit,
            title=name,
            subtitle=told + (f'; {len(members)} members' if len(members) > 1 else ''),
            baseline=(shown.baselines[0], methods[shown.baselines[0]][0]) if shown.baselines else None,
            zoom=liveliest(truth - coarse, prepared.mask, min(96, *(n // 2 for n in truth.shape))),
            y_up=bool(y.size < 2 or y[0] < y[-1]),
        )
    }
    captions = {
        'maps': 'One test day: coarse input, two members, truth; a zoom; ensemble mean, baseline, spread, error.',
        'spectra': 'Power by wavelength over windows free of land and gaps, at least half ice.',
        'scales': 'What is known at each wavelength. Left: power of the error over that of the coarse field; below 1 a '
        'method knows more than it, and a member of a calibrated ensemble goes to 2 where nothing is predictable. '
        'Green: where the mean beats the coarse field; of M members it keeps 1/M of the power that is not predictable. '
        'Right: correlation with the truth. Bands: 5 to 95 % over resampled days.',
        'calibration': 'Calibration in the ice zone: rank of the truth among the members (1: flat) and reliability; '
        'below, spread / skill and CRPS by regime of the coarse field (left, all cells) and by season (right, ice '
        'zone). Bars and bands: 5 to 95 % over resampled days.',
        'training': 'Losses of the networks.',
    }
    subtitle = f'{name}, {len(chosen)} test days'
    powers = {kind: by_line(shown, collected, kind) for kind in ('field', 'anomaly')}
    figures['spectra'] = curves.spectra(
        shown.wavelength,
        powers['field'],
        powers['anomaly'],
        unit,
        shown.marks,
        title='Power by wavelength',
        subtitle=f'{subtitle}; anomaly: field minus coarse input',
    )
    error, correlation = (
        {
            line: shown.details[method]['spectrum'][score]
            for method, line in shown.lines.items()
            if line != scales.COARSE and powers['field']
        }
        for score in ('error', 'correlation')
    )
    figures['scales'] = curves.scales(
        shown.wavelength, error, correlation, shown.beaten, shown.marks, 'Predictable scales', subtitle
    )
    if shown.ensembles and any(shown.groups):
        figures['calibration'] = curves.calibration(
            {name: shown.details[name]['ranks'] for name in shown.ensembles},
            {name: tuple(shown.details[name]['reliability'].values()) for name in shown.ensembles},
            {name: by_class(shown, name, 'spread_skill') for name in shown.ensembles},
            {name: by_class(shown, name, 'crps') for name in (scales.COARSE, *shown.baselines, *shown.ensembles)},
            shown.groups,
            unit,
            title='Calibration',
            subtitle=subtitle,
        )
    figures['training'] = curves.training(read(workdir / 'metrics.jsonl'), title='Training', subtitle=name)
    for key, figure in figures.items():
        look.save(figure, folder / f'{key}.png')
    return {key: captions[key] for key in captions if key in figures}


def by_line(shown: Shown, collected: Collected, kind: str) -> dict[str, np.ndarray]:
    """{line of the spectra: mean power of a window}; empty without windows."""
    days = [day for day in collected.powers if day['windows'] > 0]
    if not days:
        return {}
    powers = scales.mean_powers(total(days), kind)
    return {'truth': powers['truth']} | {line: powers[method] for method, line in shown.lines.items()}


def by_class(shown: Shown, method: str, score: str) -> dict[str, np.ndarray]:
    """{regime or season: [3]}."""
    found = shown.details[method]
    return {name: row[score] for name, row in {**found['regimes'], **found['seasons']}.items()}


def liveliest(anomaly: np.ndarray, mask: np.ndarray, size: int, share: float = 0.7) -> tuple[int, int, int]:
    """(row, column, cells) of the window with the largest sum of squares of the anomaly among those of whose cells a
    `share` lies in the mask and has a value; where there is none, among those with the most."""
    known = np.isfinite(anomaly) & mask
    energy, count = box_sums(np.where(known, anomaly, 0) ** 2, size), box_sums(known, size)
    best = np.argmax(np.where(count >= min(share * size**2, count.max()), energy, -1))
    row, column = np.unravel_index(best, energy.shape)
    return int(row), int(column), size


def tables(shown: Shown) -> list[Table]:
    """By regime and season for every ensemble, by range of scales for every line of the spectra."""
    found, unit, result = shown.details, shown.prepared.transform_as(RefinementTransform).units, []
    columns = [
        f'CRPS ({unit})',
        f'of the coarse field ({unit})',
        f'RMSE ({unit})',
        'Spread / skill',
        'Reliability error',
    ]
    for name in shown.ensembles:
        rows = {}
        for title, classes in (('regimes', found[name]['regimes']), ('seasons', found[name]['seasons'])):
            for key, row in classes.items():
                rows[f'{key} {unit}' if title == 'regimes' else key] = [
                    row['crps'],
                    found[scales.COARSE][title][key]['crps'],
                    row['rmse'],
                    row['spread_skill'],
                    row['reliability'],
                ]
        note = 'Regimes are classes of the coarse field, known beforehand; seasons are scored over the ice zone.'
        result.append(Table(f'Calibration: {name}', 'Regime, season', columns, rows, note))
    if shown.ensembles and 'scales' in found.get(scales.MEAN, {}):
        mean, member = found[scales.MEAN]['scales'], found[shown.main]['scales']
        parts = scales.ranges(shown.wavelength, shown.kernel_km, shown.cell_km)
        rows = {
            f'{name}, {span(shown.wavelength[rings])}': [
                member[name]['power'],
                mean[name]['power'],
                mean[name]['error'],
                *(mean[name][f'error_over_{baseline}'] for baseline in shown.baselines),
                member[name]['error'],
                mean[name]['correlation'],
            ]
            for name, rings in parts.items()
        }
        columns = [
            'Power, member / truth',
            'Power, mean / truth',
            'Error, mean / coarse',
            *(f'Error, mean / {baseline}' for baseline in shown.baselines),
            'Error, member / coarse',
            'Correlation, mean and truth',
        ]
        note = 'Power of the anomaly and of the error, summed over the wavelengths of each range. The mean beats the '
        note += 'coarse field where its error is below 1; members keep the power of the truth where theirs is near 1.'
        result.append(Table(f'Scales: {shown.main}', 'Scales', columns, rows, note))
    return result


def span(wavelength: np.ndarray) -> str:
    """The wavelengths of a range in words."""
    return ' to '.join(dict.fromkeys(f'{km:.3g}' for km in (wavelength.max(), wavelength.min()))) + ' km'


def lead(shown: Shown, generators: Iterable[str]) -> str:
    """One sentence: who is compared."""
    members = shown.settings['members']
    parts = [f'{name} ({members} members)' if name in shown.ensembles else name for name in generators]
    return f'{" and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))} beside the coarse field as it is.'


def headline(shown: Shown, table: dict[str, dict[str, float]]) -> dict[str, str]:
    """What the report says first."""
    main, coarse = table[shown.main], table[scales.COARSE]
    facts = {}
    for name in (*shown.baselines, scales.COARSE):
        if name != shown.main:
            facts[f'CRPS / MAE of {name}'] = divide(main.get('crps'), table[name].get('mae'))
    facts['RMSE / RMSE of coarse'] = divide(main.get('rmse'), coarse.get('rmse'))
    if 'spread_skill_ice' in main:
        facts['spread / skill, ice'] = f'{main["spread_skill_ice"]:.2f}'
    if 'power_low' in main:
        facts['power / truth'] = f'{main["power_low"]:.2f} to {main["power_high"]:.2f}'
    truth = shown.details.get(scales.TRUTH, {}).get('scores', {}).get('lag1')
    if truth is not None and 'lag1' in main:
        facts['lag-1; of the truth'] = f'{main["lag1"]:.2f}; {truth[0]:.2f}'
    return {name: value for name, value in facts.items() if value}


def divide(above: float | None, below: float | None) -> str:
    return f'{above / below:.2f}' if above is not None and below else ''


def notes(shown: Shown, collected: Collected, scored: int, of: int) -> list[str]:
    """What the reader should know before trusting the numbers."""
    windows = int(sum(day['windows'] for day in collected.powers))
    pairs = len(collected.lags.get(scales.TRUTH, []))
    told = [
        f'{scored} of {of} test days, evenly spread, scored over all cells of the full domain that are sea and where '
        'truth and all methods have values, weighted by cell area.',
        f'Ice: where the coarse field exceeds {shown.settings["ice"]:g} '
        f'{shown.prepared.transform_as(RefinementTransform).units}. '
        f'Spectra: {windows} windows. Lag-1: {pairs} pairs of neighbouring records.',
    ]
    if np.isfinite(shown.beaten):
        what = 'ensemble mean' if shown.ensembles else shown.main
        told.append(
            f'The {what} beats the coarse field, by 1 % of its error power at least, from the kernel '
            f'down to {shown.beaten:.3g} km.'
        )
    return told


def plain(value: Any) -> Any:
    """For JSON: arrays become lists, and None stands for NaN."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if np.ndim(value):
        return [plain(one) for one in value]
    return float(value) if math.isfinite(value) else None


def print_table(
    table: Mapping[str, Mapping[str, float]], described: Mapping[str, scores.Score], unit: str = ''
) -> None:
    """The scores, a method a column, in the order of `described`; unit: of the target."""
    print(f'\n{f"[{unit}]" if unit else "":28}' + ''.join(f'{method:>17}' for method in table))
    for name in described:
        if any(name in row for row in table.values()):
            cells = (f'{row[name]:17.4g}' if name in row else f'{"":>17}' for row in table.values())
            print(f'{name:28}' + ''.join(cells))
