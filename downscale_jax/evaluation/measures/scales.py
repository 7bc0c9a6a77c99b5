"""Power, error and correlation by wavelength over windows free of missing cells: predictable scales."""

from functools import partial
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.drawing import scales as drawing
from downscale_jax.evaluation.protocol import Sample, Setting, Variable
from downscale_jax.evaluation.results import Estimate, Figure, Result, Table, certain
from downscale_jax.evaluation.statistics import scales, windows
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums
from downscale_jax.evaluation.statistics.scales import COARSE, FINEST, MEAN, TRUTH
from downscale_jax.fields.geometry.grid import cell_sizes_km

Lines = dict[str, dict[str, Estimate]]  # {method, or `mean` of the main ensemble: {score: [n, 3]}}


class VariableDetails(NamedTuple):
    """Of one variable; the scores are those of `statistics.scales.summarise`."""

    wavelength_km: np.ndarray  # [n]
    spectrum: Lines  # by wavelength
    ranges: dict[str, Lines]  # by range of scales, [3] each
    windows: int


class Scales:
    """Spectra of the field, its anomaly (field minus coarse input) and its error, averaged over members."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        width = cell_sizes_km(setting.statics)[1]
        # near the poles of a latitude-longitude grid a wavelength along a row is not that along a column
        self._rows = (width >= width.max() / 2)[:, None]

    def add(self, sample: Sample) -> None:
        size = self._setting.window
        for index, variable in enumerate(self._setting.variables):
            truth, coarse = sample.truth[..., index], sample.coarse[..., index]
            known = np.isfinite(truth) & np.isfinite(coarse) & self._rows
            zone = known & (coarse > variable.zone.above) if variable.zone else known
            origins = windows.windows(known, zone, size)
            methods = {method: sample.methods[method][..., index] for method in self._setting.complete}
            powers = scales.day_powers(truth, {COARSE: coarse[None], **methods}, self._setting.main, origins, size)
            self.sums.add(index, sample.stamp, powers)

    def result(self) -> Result:
        setting = self._setting
        scores: dict[str, dict[str, Estimate]] = {}
        details: dict[str, VariableDetails] = {}
        figures, tables, notes = [], [], []
        for index, variable in enumerate(setting.variables):
            result = self._details(index, variable)
            details[variable.name] = result
            rings = scales.scored(result.wavelength_km, variable.kernel_km, setting.cell_km)
            for method in setting.complete if result.windows else ():
                power = result.spectrum[method]['power'][rings, 0]
                if power.size:
                    # the least and the most of a resample are biased: no interval
                    scores.setdefault(method, {})[setting.name('power_low', variable)] = certain(power.min())
                    scores[method][setting.name('power_high', variable)] = certain(power.max())
            beaten = self._beaten(result, variable)
            figures += self._figures(index, variable, result, beaten)
            tables += self._tables(variable, result)
            notes.append(
                f'Spectra of {variable.label}: {result.windows} windows of {setting.window} x {setting.window} cells.'
            )
            if np.isfinite(beaten):
                best = 'ensemble mean' if setting.main in setting.whole else setting.main
                notes.append(
                    f'The {best} beats the coarse field in {variable.label}, by at least 1 % of its error power, from '
                    f'the kernel down to {beaten:.3g} km.'
                )
        return Result(scores, details, tables, figures, notes)

    def _singles(self) -> list[str]:
        """Methods in figures that give a single field, without the coarse field."""
        whole = self._setting.whole
        return [m for m in self._setting.complete if m in self._setting.shown and m not in whole and m != COARSE]

    def _details(self, index: int, variable: Variable) -> VariableDetails:
        setting = self._setting
        wavelength = windows.wavelengths(setting.window, setting.cell_km)
        parts = scales.ranges(wavelength, variable.kernel_km, setting.cell_km)
        summary = partial(scales.summarise, baselines=self._singles())

        def of_ranges(sums: Sums) -> dict[str, np.ndarray]:
            return summary(scales.by_range(sums, parts))

        by_wavelength = self.sums.estimates(index, summary, has_windows)
        by_range = self.sums.estimates(index, of_ranges, has_windows)
        spectrum: Lines = {}
        ranges: dict[str, Lines] = {name: {} for name in parts}
        for key, values in by_wavelength.items():
            score, line = key.split(' ', 1)
            spectrum.setdefault(line, {})[score] = values
            for place, name in enumerate(parts):
                ranges[name].setdefault(line, {})[score] = by_range[key][place]
        count = sum(int(sums['windows']) for sums in self.sums.times(index))
        return VariableDetails(wavelength, spectrum, ranges, count)

    def _beaten(self, details: VariableDetails, variable: Variable) -> float:
        """Wavelength down to which the mean, or the single field, of the main method beats the coarse field.

        By the upper end of the interval of its error where there is one.
        """
        line = details.spectrum.get(MEAN if self._setting.main in self._setting.whole else self._setting.main)
        if not line:
            return np.nan
        return scales.beaten_down_to(np.fmax(*line['error'].T[[0, 2]]), details.wavelength_km, variable.kernel_km)

    def _figures(self, index: int, variable: Variable, details: VariableDetails, beaten: float) -> list[Figure]:
        setting = self._setting
        lines = {name: name for name in (COARSE, *self._singles())}
        lines |= {setting.main: 'member', MEAN: MEAN} if setting.main in setting.whole else {}
        marks = {'kernel': variable.kernel_km, f'{FINEST} cells': FINEST * setting.cell_km}
        powers: dict[str, dict[str, np.ndarray]] = {'field': {}, 'anomaly': {}}
        if details.windows:
            sums = self.sums.total(index)
            for kind in powers:
                mean = scales.mean_powers(sums, kind)
                powers[kind] = {TRUTH: mean[TRUTH]} | {line: mean[method] for method, line in lines.items()}
        known = {
            score: {
                line: details.spectrum[method][score]
                for method, line in lines.items()
                if details.windows and line != COARSE
            }
            for score in ('error', 'correlation')
        }
        return [
            Figure(
                setting.name('window_spectra', variable),
                f'{variable.label}: power by wavelength over windows free of missing cells'
                + (f', at least half {variable.zone.name}.' if variable.zone else '.'),
                drawing.spectra(
                    details.wavelength_km,
                    powers['field'],
                    powers['anomaly'],
                    variable.units,
                    marks,
                    'Power by wavelength',
                    f'{variable.label}; anomaly: field minus coarse input',
                ),
            ),
            Figure(
                setting.name('scales', variable),
                f'{variable.label}: skill at each wavelength. Left: power of the error over that of the coarse field; '
                'below 1 a method knows more than the coarse field, and a member of a calibrated ensemble tends to 2 '
                'where nothing is predictable. Green: where the mean beats the coarse field; a mean of M members keeps '
                '1/M of the unpredictable power. Right: correlation with the truth. Bands: 5 to 95 % over resampled '
                'times.',
                drawing.scales(
                    details.wavelength_km,
                    known['error'],
                    known['correlation'],
                    beaten,
                    marks,
                    'Predictable scales',
                    variable.label,
                ),
            ),
        ]

    def _tables(self, variable: Variable, details: VariableDetails) -> list[Table]:
        setting = self._setting
        if setting.main not in setting.whole or not details.windows:
            return []
        singles = self._singles()
        parts = scales.ranges(details.wavelength_km, variable.kernel_km, setting.cell_km)
        rows = {}
        for name, rings in parts.items():
            member, mean = details.ranges[name][setting.main], details.ranges[name][MEAN]
            rows[f'{name}, {span(details.wavelength_km[rings])}'] = [
                member['power'],
                mean['power'],
                mean['error'],
                *(mean[f'error_over_{single}'] for single in singles),
                member['error'],
                mean['correlation'],
            ]
        columns = [
            'Power, member / truth',
            'Power, mean / truth',
            'Error, mean / coarse',
            *(f'Error, mean / {single}' for single in singles),
            'Error, member / coarse',
            'Correlation, mean and truth',
        ]
        note = (
            'Power of the anomaly and of the error, summed over the wavelengths of each range. The mean beats the '
            'coarse field where its error is below 1; members keep the power of the truth where theirs is near 1.'
        )
        return [Table(f'Scales of {setting.main}: {variable.label}', 'Scales', columns, rows, note)]


def has_windows(sums: Sums) -> bool:
    return bool(sums['windows'] > 0)


def span(wavelength: np.ndarray) -> str:
    """The wavelengths of a range, '120 to 16 km'."""
    return ' to '.join(dict.fromkeys(f'{km:.3g}' for km in (wavelength.max(), wavelength.min()))) + ' km'
