"""Scores of super-resolved fields of several variables, summed over times before any ratio, with their intervals."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.evaluation.reference import Reference
from downscale_jax.evaluation.statistics import correlation, distributions, extremes, semivariogram
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import ranks as calibration
from downscale_jax.evaluation.statistics import similarity as images
from downscale_jax.evaluation.statistics import spectra as energy
from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio, stacked
from downscale_jax.evaluation.statistics.pointwise import HIGHER, LOWER, ONE, ZERO, Score
from downscale_jax.evaluation.summary import estimates
from downscale_jax.fields.geometry import wind
from downscale_jax.fields.geometry.grid import cell_sizes_km

Sampled = dict[str, np.ndarray]
ENERGY = 'Energy'
TEXTURE_KM = 500.0  # the semivariogram is scored up to this distance, where fine structure shows
HIGH, EVENT = 0.99, 0.95  # of all levels those of the scores: whose quantile is compared; above which is an event
WINDOWS = (1, 3)  # widths of the windows of the fractions skill score in coarse cells; the first is that of the score
# of every level, [V, L]; of the last by window too, [V, L, S]
EXTREMES = ('quantile_error', 'crps_above', 'fss_above')
# scores with a table of their own
TEXTURE = (
    'spectrum', 'semivariogram', 'total_variation', 'wasserstein', 'spread_skill', 'reliability', 'seam', 'step',
    'closure',
)  # fmt: skip
# sums of `extremes` by the axis of the variables
TAILS = {
    'histogram': -2,
    'histogram_truth': -2,
    'fss_error': -3,
    'fss_reference': -3,
    'tail_crps': -2,
    'tail_weight': -1,
}
NOTHING = 1e-6  # of the strongest wavenumber: beyond the truncation of a model there is rounding alone
_KINETIC = Score(
    'Energy spectrum',
    LOWER,
    '1',
    ENERGY,
    'Mean |ln(E / E of the truth)| over the upper half of the wavenumbers, E the kinetic energy of the rotational and '
    'the divergent wind at each wavenumber, averaged over times; 0.69 where all are half or twice as large.',
)
_BY_VARIABLE = {
    'rmse': Score('RMSE', LOWER, 'field', '', 'Root mean square error; it favours smooth fields.'),
    'crps': Score(
        'CRPS', LOWER, 'field', '', 'Continuous ranked probability score, fair; of a single field its absolute error.'
    ),
    'mae': Score('MAE', LOWER, 'field', '', 'Mean absolute error, of an ensemble that of its mean.'),
    'bias': Score('Bias', ZERO, 'field', '', 'Mean of prediction minus truth.'),
    'acc': Score(
        'ACC',
        HIGHER,
        '1',
        '',
        'Anomaly correlation over cells and times, uncentred; anomalies are those from the mean of the calendar month '
        'in training, or of all of it where training has no such month.',
    ),
    'psnr': Score('PSNR', HIGHER, 'dB', '', '20 log10(range / RMSE), the range that of the training split.'),
    'ssim': Score('SSIM', HIGHER, '1', '', 'Structural similarity (Wang et al. 2004), windows of 11 x 11 cells.'),
    'spectrum': Score(
        'Spectrum', LOWER, '1', '', 'As the energy spectrum, of the variance of this variable by wavenumber.'
    ),
    'semivariogram': Score(
        'Semivariogram',
        LOWER,
        '1',
        '',
        f'Mean |semivariogram over that of the truth - 1| at the distances up to {TEXTURE_KM:g} km.',
    ),
    'total_variation': Score(
        'Total variation', ZERO, '1', '', "Mean gradient over the truth's, less 1: negative for fields too smooth."
    ),
    'wasserstein': Score(
        'Local statistics',
        LOWER,
        'field',
        '',
        'Wasserstein-1 distance between the distributions of predicted and true values over all times, the mean over '
        'places.',
    ),
    'tail': Score(
        'High quantile',
        ZERO,
        'field',
        '',
        f'Quantile {HIGH:g} of all values, less that of the truth; of an ensemble of all its members.',
    ),
    'tail_crps': Score(
        'CRPS of the tail',
        LOWER,
        'field',
        '',
        f'Threshold-weighted CRPS (Gneiting and Ranjan 2011), above the quantile {EVENT:g} of training.',
    ),
    'fss': Score(
        'FSS',
        HIGHER,
        '1',
        '',
        f'Fractions skill score (Roberts and Lean 2008) of values above the quantile {EVENT:g} of training, in windows '
        'about as wide as a coarse cell.',
    ),
    'spread_skill': Score(
        'Spread / skill', ONE, '1', '', 'Of an ensemble: its spread over the RMSE of its mean, both fair.'
    ),
    'reliability': Score(
        'Reliability error', LOWER, '1', '', 'Mean distance between nominal and observed frequency of its quantiles.'
    ),
    'seam': Score(
        'Seams',
        ONE,
        '1',
        '',
        'Mean |gradient| at borders of tiles over that elsewhere, against the same members in tiles that end at other '
        'places; of tiles of a patch of training where one holds the domain.',
    ),
    'step': Score(
        'Steps at seams',
        LOWER,
        '1',
        '',
        'RMS difference between the gradients of these members at borders of tiles, over the RMS gradient there.',
    ),
    'closure': Score(
        'Closure',
        LOWER,
        '1',
        '',
        'Root mean square of block mean minus coarse input, over the standard deviation of the truth.',
    ),
}


def described(variables: Sequence[str], units: Sequence[str]) -> dict[str, Score]:
    """The scores by their names in scores.json, `rmse_vorticity`, in the order of the report."""
    found = {'energy': _KINETIC}
    for variable, unit in zip(variables, units, strict=True):
        for name, score in _BY_VARIABLE.items():
            own = unit if score.unit == 'field' else score.unit
            table = variable.replace('_', ' ').capitalize() + (': texture, members' if name in TEXTURE else '')
            found[f'{name}_{variable}'] = score._replace(unit=own, table=table)
    return found


class Measures:
    """What the scores of a grid need, worked out once.

    Kinetic energy needs vorticity and divergence among the variables, or both winds; else it is left out. Where a
    global grid has no harmonics (blocks leave out a pole), spectra are those of the `band` of rows that are at least
    half as wide as the widest, 60S to 60N.
    """

    def __init__(
        self,
        statics: xr.Dataset,
        variables: Sequence[str],
        winds: tuple[str, str] | None,
        ranges: np.ndarray,
        reference: Reference,
        factor: int,
    ):
        self.reference = reference
        self.windows = tuple(n * factor + 1 - n * factor % 2 for n in WINDOWS)  # with a cell in the middle
        self.statics, self.variables, self.winds = statics, list(variables), winds
        self.ranges = [float(high - low) for low, high in ranges]
        self.weight = statics['cell_area'].values.astype(np.float64) * (statics['mask'].values > 0)
        self.band = slice(None)
        width = cell_sizes_km(statics)[1]
        if not energy.resolves(statics):
            wide = np.flatnonzero(width >= width.max() / 2)
            self.band = slice(int(wide[0]), int(wide[-1]) + 1)
            statics = statics.isel({statics['mask'].dims[0]: self.band})
        self.power = energy.VariancePower(statics)
        rotational = {'vorticity', 'divergence'} <= set(variables)
        self.kinetic = energy.EnergySpectrum(statics) if rotational or winds else None
        self.pairs = semivariogram.choose(self.statics, self.weight)

    def sums(self, members: np.ndarray, truth: np.ndarray, gap: np.ndarray, month: int) -> Sampled:
        """What one time of a calendar month adds: members [M, H, W, V] (a single field: M = 1), truth [H, W, V]; `gap`,
        block mean of their mean minus coarse input [h, w, V]. Arrays [V, ..]."""
        found = members.mean(0, dtype=np.float64).astype(np.float32) if len(members) > 1 else members[0]
        one = [
            {
                **self._of_variable(found[..., v], truth[..., v], gap[..., v], self.ranges[v]),
                **self._of_members(members[..., v], found[..., v], truth[..., v], v, month),
            }
            for v in range(len(self.variables))
        ]
        result = stacked(one)
        if self.kinetic is not None:
            result['energy'], result['energy_truth'] = self._energy(found), self._energy(truth)
        return result

    def _of_variable(self, found: np.ndarray, truth: np.ndarray, gap: np.ndarray, data_range: float) -> Sampled:
        valid = np.isfinite(truth) & np.isfinite(found)
        weight = np.where(valid, self.weight, 0.0)
        error = np.where(valid, found.astype(np.float64) - truth, 0.0)
        sums = distributions.frame_sums(found, np.where(valid, truth, np.nan), weight, self.statics)
        texture = semivariogram.day_sums(found, np.where(valid, truth, np.nan), weight, self.pairs)
        squared = texture.pop('squared_difference')
        own = semivariogram.day_sums(truth, np.where(valid, truth, np.nan), weight, self.pairs)
        known = np.isfinite(gap)
        return {
            **sums,
            **images.ssim_sums(found[None], truth, weight, data_range),
            'error': np.sum(weight * error),
            'absolute_error': np.sum(weight * np.abs(error)),
            'power': self.power(found[self.band]),
            'power_truth': self.power(truth[self.band]),
            'difference': squared,
            'difference_truth': own['squared_difference'],
            'pairs': own['pairs'],
            'truth': own['truth'],
            'truth_square': own['truth_square'],
            'gap': np.square(gap[known].astype(np.float64)).sum(),
            'blocks': np.float64(known.sum()),
        }

    def _of_members(self, members: np.ndarray, mean: np.ndarray, truth: np.ndarray, v: int, month: int) -> Sampled:
        """Of one variable: members [M, H, W], their mean, truth [H, W]."""
        valid = np.isfinite(truth) & np.isfinite(members).all(0)
        weight, ties = np.where(valid, self.weight, 0.0), np.random.default_rng(month)
        known, thresholds = np.where(valid, truth, np.nan), self.reference.thresholds[v]
        ensemble = scores.day_sums(members, truth, weight, np.ones((1, *truth.shape), bool), ties)
        anomaly = correlation.day_sums(mean, known, weight, self.reference.normal[month - 1, ..., v])
        return {
            **{f'ensemble_{name}': values for name, values in ensemble.items()},
            **{f'anomaly_{name}': values for name, values in anomaly.items()},
            **extremes.quantile_sums(members, known, weight, self.reference.edges[v]),
            **extremes.fss_sums(members, known, weight, thresholds, self.windows),
            **extremes.tail_crps_sums(members, known, weight, thresholds),
        }

    def _energy(self, fields: np.ndarray) -> np.ndarray:
        assert self.kinetic is not None
        if self.winds:
            dims = self.statics['mask'].dims
            named = zip(self.winds, (self.variables.index(w) for w in self.winds), strict=True)
            winds = {n: (dims, fields[..., v], {'units': 'm s-1'}) for n, v in named}
            if not np.isfinite(fields).all():
                return np.full(self.kinetic.wavenumber.size, np.nan)
            derived = wind.vorticity_divergence(self.statics.assign(winds), *self.winds)
            return self.kinetic(*(derived[name].values[self.band] for name in ('vorticity', 'divergence')))
        rotational = (self.variables.index(name) for name in ('vorticity', 'divergence'))
        return self.kinetic(*(fields[self.band, :, v] for v in rotational))


def resolved(power: np.ndarray) -> int:
    """How many wavenumbers, from the first on, the power [V, n] of the truth fills."""
    known = np.isfinite(power).all(-1)
    there = (power > NOTHING * power.max(-1, keepdims=True))[known].all(0)
    return int(np.flatnonzero(there)[-1]) + 1 if there.any() else power.shape[-1]


def summarise(times: Sequence[Sums], measures: Measures, top: int, block: int) -> dict[str, np.ndarray]:
    """{score: [V, 3] (energy: [3])}, and what curves are drawn of, [V, n, 3]; see `of_sums`."""
    return estimates(times, partial(of_sums, measures=measures, top=top), block)


def of_sums(sums: Sums, measures: Measures, top: int) -> dict[str, np.ndarray]:
    """Sums over times with any leading axes -> scores [..., V] and curves [..., V, n] over the truth's: `power` of the
    first `top` wavenumbers, `variogram`, and `kinetic` [..., n]; EXTREMES; of an ensemble `ranks` [..., V, M + 1]."""
    ranges, kilometres = np.array(measures.ranges), measures.pairs.kilometres
    mse = ratio(sums['squared_error'], sums['weight'])
    variance = ratio(sums['truth_square'], sums['weight']) - ratio(sums['truth'], sums['weight']) ** 2
    with np.errstate(divide='ignore', invalid='ignore'):
        psnr = images.psnr(mse, ranges)
        variogram = sums['difference'] / sums['difference_truth']
        power, expected = (sums[name][..., :top] for name in ('power', 'power_truth'))
        found = {
            'rmse': np.sqrt(mse),
            'mae': ratio(sums['absolute_error'], sums['weight']),
            'bias': ratio(sums['error'], sums['weight']),
            'psnr': psnr,
            'ssim': ratio(sums['ssim'], sums['ssim_weight']),
            'spectrum': energy.spectral_distance(power, expected),
            'semivariogram': np.abs(variogram[..., kilometres <= TEXTURE_KM] - 1).mean(-1)
            if np.any(kilometres <= TEXTURE_KM)
            else np.full(mse.shape, np.nan),
            'total_variation': ratio(sums['gradient'], sums['gradient_truth']) - 1,
            'closure': np.sqrt(ratio(ratio(sums['gap'], sums['blocks']), variance)),
            'power': power / expected,
            'variogram': variogram,
            **_of_members(sums, measures.reference),
        }
        if 'energy' in sums:
            kinetic, expected = (sums[name][..., :top] for name in ('energy', 'energy_truth'))
            found |= {'energy': energy.spectral_distance(kinetic, expected), 'kinetic': kinetic / expected}
    return found


def _of_members(sums: Sums, reference: Reference) -> dict[str, np.ndarray]:
    ensemble = {name.removeprefix('ensemble_'): v for name, v in sums.items() if name.startswith('ensemble_')}
    anomaly = {name.removeprefix('anomaly_'): v for name, v in sums.items() if name.startswith('anomaly_')}
    wanted = ('crps', 'spread_skill', 'spread', 'reliability')
    found = {name: value[..., 0] for name, value in scores.summarise(ensemble).items() if name in wanted}
    tails = []
    for v, edges in enumerate(reference.edges):
        of_variable = {name: np.take(sums[name], v, axis) for name, axis in TAILS.items()}
        tails.append(extremes.summarise(of_variable, edges, reference.levels))
    errors, crps = (np.stack([one[name] for one in tails], -2) for name in ('quantile_error', 'tail_crps'))
    fss, high, event = np.stack([one['fss'] for one in tails], -3), *map(reference.levels.index, (HIGH, EVENT))
    return {
        **found,
        **correlation.summarise(anomaly),
        **({'ranks': calibration.rank_histogram(ensemble['ranks'][..., 0, :])} if 'ranks' in ensemble else {}),
        'tail': errors[..., high],
        'tail_crps': crps[..., event],
        'fss': fss[..., event, 0],
        **dict(zip(EXTREMES, (errors, crps, fss), strict=True)),
    }


def of_truth(sums: Sums, times: int, top: int) -> dict[str, np.ndarray]:
    """What curves are divided by: `power` [V, n] and `kinetic` [n] of a mean time, `variogram` [V, D] over twice the
    variance."""
    variance = ratio(sums['truth_square'], sums['weight']) - ratio(sums['truth'], sums['weight']) ** 2
    found = {
        'power': sums['power_truth'][..., :top] / times,
        'variogram': ratio(sums['difference_truth'], 2 * variance[..., None] * sums['pairs']),
    }
    return {**found, 'kinetic': sums['energy_truth'][..., :top] / times} if 'energy_truth' in sums else found


def flat(found: Mapping[str, np.ndarray], variables: Sequence[str]) -> dict[str, Any]:
    """Scores [V, 3] -> {'rmse_vorticity': [3]}."""
    scores = {f'{name}_{v}': found[name][i] for name in _BY_VARIABLE if name in found for i, v in enumerate(variables)}
    return {**({'energy': found['energy']} if 'energy' in found else {}), **scores}
