"""Spectra by wavenumber over the whole domain: variance of each variable, and kinetic energy of winds."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

from downscale_jax.evaluation.drawing import ratios as drawing
from downscale_jax.evaluation.labels import squared
from downscale_jax.evaluation.protocol import Sample, Setting, mean_of
from downscale_jax.evaluation.results import Estimate, Figure, Result
from downscale_jax.evaluation.statistics import spectra
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, total
from downscale_jax.fields.geometry import wind
from downscale_jax.fields.geometry.grid import cell_sizes_km
from downscale_jax.fields.geometry.wind_axes import is_known
from downscale_jax.runtime.errors import UserError

ROUNDING = 1e-6  # of the strongest wavenumber: beyond the truncation of a model there is only rounding
KINETIC = 'energy'


class Spectra:
    """Of single fields and of ensemble means.

    Kinetic energy needs vorticity and divergence among the variables, or both winds on a grid on which these two can be
    derived. Where a global grid has no harmonics (block means leave out a pole), spectra are those of the rows that are
    at least half as wide as the widest, 60S to 60N. A grid with uneven steps has no spectra, but a note.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums = setting, Accumulator()
        self._undefined = ''  # why the grid has no spectra
        try:
            self._band = wide_rows(setting.statics)
            statics = setting.statics.isel({setting.statics['mask'].dims[0]: self._band})
            self._spectrum = spectra.spectrum_of(statics)
        except UserError as error:
            self._undefined = str(error)
            return
        rotational = {'vorticity', 'divergence'} <= set(setting.names)
        # not on a curvilinear grid
        known = setting.winds and is_known(statics, setting.winds.values()) and wind.allows_vorticity(setting.statics)
        self._winds = setting.winds if known else None
        self._has_energy = rotational or self._winds is not None

    def add(self, sample: Sample) -> None:
        if self._undefined:
            return
        truth = self._powers(sample.truth)
        for method, members in sample.methods.items():
            powers = self._powers(np.where(np.isfinite(sample.truth), mean_of(members), np.nan))
            for key, power in powers.items():
                sums = {'power': power, 'truth': truth[key], 'times': np.float64(1)}
                self.sums.add((method, key), sample.stamp, sums)

    def _powers(self, fields: np.ndarray) -> dict[str, np.ndarray]:
        """{variable, or `energy`: power [n]} of fields [H, W, V]."""
        names = self._setting.names
        powers = {name: self._spectrum.power(fields[self._band, :, v]) for v, name in enumerate(names)}
        if self._has_energy:
            powers[KINETIC] = self._spectrum.kinetic_energy(*self._rotational(fields, names))
        return powers

    def _rotational(self, fields: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """Vorticity and divergence [h, W] in the band."""
        if not self._winds:
            return [fields[self._band, :, names.index(name)] for name in ('vorticity', 'divergence')]
        statics, dims = self._setting.statics, self._setting.statics['mask'].dims
        winds = {name: fields[..., names.index(name)] for name in self._winds}
        if spectra.is_globe(statics) and not np.isfinite(list(winds.values())).all():  # harmonics need every cell
            return [np.full(statics['mask'].shape, np.nan)[self._band]] * 2
        named = {
            name: (dims, winds[name], {'units': 'm s-1', 'standard_name': standard})
            for name, standard in self._winds.items()
        }
        derived = wind.vorticity_divergence(statics.assign(named), *named)
        return [derived[name].values[self._band] for name in ('vorticity', 'divergence')]

    def result(self) -> Result:
        if self._undefined:
            return Result(notes=[f'No spectra by wavenumber: {self._undefined}.'])
        setting, top = self._setting, self.resolved()
        scores: dict[str, dict[str, Estimate]] = {}
        curves: dict[str, dict[str, Estimate]] = {}
        labels = {variable.name: variable for variable in setting.variables}
        for method, key in self.sums:
            found = self.sums.estimates((method, key), partial(summarise, top=top), has_spectrum)
            if not found:
                continue
            name = setting.name('spectrum', labels[key]) if key in labels else key
            scores.setdefault(method, {})[name] = found['spectrum']
            curves.setdefault(method, {})[key] = found['power']
        details = {'wavelength_km': self.wavelength_km, 'truth': self.truth(), 'methods': curves}
        known = curves.get(setting.main, {})
        panels = self.panels({key: {m: curves[m][key] for m in setting.shown} for key in known})
        if not panels:
            return Result(scores, details, notes=['Spectra by wavenumber are undefined: every time has missing cells.'])
        narrow = self._band.stop is not None
        notes = ['Spectra of the rows at least half as wide as the widest: blocks leave no whole globe.'] * narrow
        for key in known:
            times = self.sums.times((setting.main, key))
            if gaps := len(times) - sum(map(has_spectrum, times)):
                named = labels[key].label if key in labels else 'kinetic energy'
                notes.append(f'Spectra of {named}: missing cells leave out {gaps} of {len(times)} times.')
        return Result(
            scores,
            details,
            figures=[
                Figure(
                    'spectra',
                    'Kinetic energy and variance of each variable by wavenumber, averaged over times, of ensembles '
                    'that of their mean; below, over that of the truth. Bands: 5 to 95 % over resampled times.',
                    drawing.spectra(self.wavelength_km, panels, 'Power by wavelength', setting.title),
                )
            ],
            notes=notes,
        )

    @property
    def wavelength_km(self) -> np.ndarray:
        """[n], of the wavenumbers that are `resolved`."""
        return self._spectrum.wavelength_km[: self.resolved()]

    def truth(self) -> dict[str, np.ndarray]:
        """{variable, or `energy`: mean power [n] of the truth}."""
        top = self.resolved()
        return {key: sums['truth'][:top] / sums['times'] for key, sums in totals(self.sums).items()}

    def panels(self, curves: Mapping[str, Mapping[str, Estimate]]) -> list[drawing.Curves]:
        """Panels of a figure, `energy` first, from {variable, or `energy`: {method: power over the truth's [n, 3]}}.

        Quantities with missing cells at every time have none.
        """
        truth = {key: power for key, power in self.truth().items() if np.isfinite(power).all()}
        units = {KINETIC: 'm² s⁻²'} | {variable.name: squared(variable.units) for variable in self._setting.variables}
        return [
            drawing.Curves(
                'kinetic energy' if key == KINETIC else self._setting.panel_title(key), unit, truth[key], curves[key]
            )
            for key, unit in units.items()
            if key in truth
        ]

    def resolved(self) -> int:
        """Number of wavenumbers, from the first, with power of the truth in every variable."""
        powers = np.stack([sums['truth'] for key, sums in totals(self.sums).items() if key != KINETIC])
        known = np.isfinite(powers).all(-1)
        filled = (powers > ROUNDING * powers.max(-1, keepdims=True))[known].all(0)
        return int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else powers.shape[-1]


def has_spectrum(sums: Sums) -> bool:
    return bool(np.isfinite(sums['truth']).all())


def totals(sums: Accumulator) -> dict[str, Sums]:
    """{variable, or `energy`: sums of the first method}; all methods share the truth. Over the times that have a
    spectrum; if none has, over all, NaN."""
    first = next(iter(sums))[0]
    times = {key: sums.times((method, key)) for method, key in sums if method == first}
    return {key: total([*filter(has_spectrum, every)] or every) for key, every in times.items()}


def wide_rows(grid: xr.Dataset) -> slice:
    """The rows at least half as wide as the widest; all rows where the whole grid has a spectrum."""
    if spectra.resolves(grid):
        return slice(None)
    width = cell_sizes_km(grid)[1]
    wide = np.flatnonzero(width >= width.max() / 2)
    return slice(int(wide[0]), int(wide[-1]) + 1)


def summarise(sums: Sums, top: int) -> dict[str, np.ndarray]:
    """The spectrum [..., n] over that of the truth, and the score."""
    power, truth = sums['power'][..., :top], sums['truth'][..., :top]
    with np.errstate(divide='ignore', invalid='ignore'):
        return {'power': power / truth, 'spectrum': spectra.spectral_distance(power, truth)}
