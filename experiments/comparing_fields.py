"""Why pixel error misleads: one field, distorted in ways of equal mean squared error, and judged by other scores.

    python -m experiments.comparing_fields                    idealised sea-ice thickness, about 15 s on 2 CPU cores
    python -m experiments.comparing_fields --path=FILE --variable=NAME --time=2016-08-15 --size=32
    python -m experiments.comparing_fields --workdir[=runs/atmodist]       a state of the atmosphere, by AtmoDist too

A shift by whole cells sets the error; the strength of every other distortion is solved for until its MSE is the same
to 0.1 %. With a work directory of AtmoDist the field is a state of the data that it was trained on: vorticity and
divergence in their standard deviations, both distorted by the same strength, scores averaged over the two. It is the
first of the test split or, where the data were simulated, one of a simulation with another seed. Prints a table and
draws the fields (--figure, by default docs/figures/comparing_fields.png, or comparing_fields_atmosphere.png).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import scipy.optimize
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy import ndimage

import downscale_jax
from data_prep.simulators.sea_ice import simulate
from data_prep.sources import open_series
from downscale_jax.evaluation.drawing.colours import SIGNED
from downscale_jax.evaluation.measures.examples import liveliest
from downscale_jax.evaluation.measures.structure import features as of_features
from downscale_jax.evaluation.measures.structure import increments as of_increments
from downscale_jax.evaluation.statistics import similarity as images
from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.spectra import spectral_distance
from downscale_jax.evaluation.statistics.structure import features, increments, scattering
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.dates import iso, select_dates
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.atmodist import LearnedDistance
from experiments.command_line import Parser, figure_file, run_program

SHIFT = 1  # cells: even so little costs a rough field more than a blur by two
MARGIN = 16  # cells around the scored square, so that no distortion reaches an edge
FINEST = 4  # cells: the shortest wavelength of the spectral distance
FIGURES = Path(__file__).parents[1] / 'docs' / 'figures'

Distortions = dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], float]]
Distance = Callable[[np.ndarray, np.ndarray], float]


class State(NamedTuple):
    """What is compared."""

    fields: np.ndarray  # [C, H, W], all variables in `units`
    units: str
    label: str
    cell_km: float  # from row to row
    size: int  # cells a side of the scored square by default
    distortions: Distortions
    learned: dict[str, Distance]  # distances that know these variables


def shift(field: np.ndarray, cells: float) -> np.ndarray:
    """Everything in its shape, nothing in its place."""
    return np.roll(field, round(cells), axis=-1)


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """What a regression to the mean gives."""
    return ndimage.gaussian_filter(field, sigma, axes=(-2, -1))


def noise(field: np.ndarray, amplitude: float) -> np.ndarray:
    """White, the same draw for every amplitude."""
    return field + amplitude * np.random.default_rng(0).standard_normal(field.shape)


def contrast(field: np.ndarray, lost: float) -> np.ndarray:
    """Departures from the mean, each smaller by the same share."""
    return field - lost * (field - field.mean((-2, -1), keepdims=True))


def missing_leads(field: np.ndarray, filled: float) -> np.ndarray:
    """Narrow dark lines filled up: the field's grey closing by a disc.

    `filled` counts in radii: 1.25 is the closing by a radius of one cell and a quarter of what two cells add to it.
    """
    return _between(_closing, field, filled)


def missing_filaments(field: np.ndarray, filled: float) -> np.ndarray:
    """Narrow bands of either sign filled up: the opening of the closing."""
    return _between(lambda f, radius: -_closing(-_closing(f, radius), radius), field, filled)


def _between(fill: Callable[[np.ndarray, int], np.ndarray], field: np.ndarray, filled: float) -> np.ndarray:
    radius, share = divmod(filled, 1)
    less, more = (fill(field, int(r)) for r in (radius, radius + 1))
    return less + share * (more - less)


def _closing(field: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return ndimage.grey_closing(field, footprint=np.hypot(y, x) <= radius + 0.5, axes=(-2, -1))


# {name: (distortion of fields [..., H, W], its largest strength)}; the shift sets the error of the others
COMMON: Distortions = {
    'shift': (shift, SHIFT),
    'blur': (blur, MARGIN / 4),
    'noise': (noise, np.inf),
    'contrast': (contrast, 1.0),
}
ICE = {**COMMON, 'missing leads': (missing_leads, 6.999)}
ATMOSPHERE = {**COMMON, 'missing filaments': (missing_filaments, 6.999)}


def window_distance(field: np.ndarray, truth: np.ndarray) -> float:
    """Mean |ln(power / truth's power)| over the rings from the width of a window, half the field's, to four cells."""
    size = truth.shape[-1] // 2
    everywhere = np.ones(truth.shape[-2:], bool)
    origins, rings = spectra.windows(everywhere, everywhere, size), spectra.wavelengths(size, 1.0) >= FINEST
    power, expected = (
        np.stack([spectra.power(spectra.transform(one, origins, size))[rings] for one in f]) for f in (field, truth)
    )
    return float(spectral_distance(power, expected, share=1).mean())


def scattering_distance(field: np.ndarray, truth: np.ndarray) -> float:
    """`scattering.distance` over windows half the field's width, half overlapping."""
    size = truth.shape[-1] // 2
    everywhere = np.ones(truth.shape[-2:], bool)
    origins = spectra.windows(everywhere, everywhere, size)
    found, expected = (
        scattering.summarise(scattering.scattering(np.concatenate([spectra.tapered(one, origins, size) for one in f])))
        for f in (field, truth)
    )
    return float(scattering.distance(found, expected))


def increment_distances(field: np.ndarray, truth: np.ndarray) -> Mapping[str, float]:
    """The scores of increments."""
    known = np.ones(truth.shape[-2:], bool)
    found, expected = (increments.summarise(increments.day_sums(f, known)) for f in (field, truth))
    return {name: float(value) for name, value in of_increments.compare(found, expected).items()}


def feature_distance(field: np.ndarray, truth: np.ndarray) -> float:
    """The score of connected features of the departure from the truth's Gaussian-weighted local mean."""
    wide = ndimage.gaussian_filter(truth, MARGIN / 2, axes=(-2, -1))
    scores = []
    for one, expected in zip(field - wide, truth - wide, strict=True):
        limits = features.thresholds(expected)
        found, of_truth = (features.summarise(features.day_sums(f[None], limits)) for f in (one, expected))
        scores.append(float(of_features.compare(found, of_truth)['features']))
    return float(np.mean(scores))


def distances(data_range: float) -> dict[str, Distance]:
    """{name: distance(field, truth)} of squares [C, H, W] without gaps."""

    def mse(field, truth):
        return float(np.mean((field - truth) ** 2))

    def ssim(field, truth):
        whole = images.whole_windows(np.ones(truth.shape[-2:], bool))
        return float(np.mean([images.ssim(f, t, data_range)[whole] for f, t in zip(field, truth, strict=True)]))

    return {
        'MSE': mse,
        'PSNR (dB)': lambda field, truth: float(images.psnr(mse(field, truth), data_range)),
        'SSIM': ssim,
        'spectral distance': window_distance,
        'scattering': scattering_distance,
        'kurtosis': lambda field, truth: increment_distances(field, truth)['increment_kurtosis'],
        'skewness': lambda field, truth: increment_distances(field, truth)['increment_skewness'],
        'features': feature_distance,
    }


def inside(field: np.ndarray) -> np.ndarray:
    """Without the margin."""
    return field[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def distort(field: np.ndarray, distortions: Distortions) -> dict[str, tuple[float, np.ndarray]]:
    """{name: (strength, distorted field)} with one mean squared error inside the margin; the field [C, H, W] is finite.

    Raises UserError where a distortion cannot go as far as the shift.
    """

    def error(distorted):
        return np.mean(inside(distorted - field) ** 2)

    aim = error(shift(field, SHIFT))
    result = {'shift': (float(SHIFT), shift(field, SHIFT))}
    if not aim:
        raise UserError('the field has the same value everywhere: nothing can be compared')
    for name, (change, most) in distortions.items():
        if name in result:
            continue
        upper = min(1e-3, most)
        while error(change(field, upper)) < aim:
            if upper == most:
                raise UserError(f'{name} cannot err as much as a shift by {SHIFT} cells in this field: choose another')
            upper = min(2 * upper, most)
        strength = scipy.optimize.brentq(lambda s, f=change: error(f(field, s)) / aim - 1, 0, upper, xtol=1e-6 * upper)
        result[name] = strength, change(field, strength)
    return result


def square(fields: np.ndarray, size: int) -> np.ndarray:
    """The square of `size` cells and its margin, without gaps, that has the largest differences between neighbours."""
    changes = np.diff(fields[0], axis=1, prepend=fields[0][:, :1])
    whole = ndimage.minimum_filter(np.isfinite(fields).all(0), 2 * MARGIN + 1, mode='constant', cval=False)
    if size <= min(whole.shape):
        row, column, _ = liveliest(changes, whole, size, share=1)
        if whole[row : row + size, column : column + size].all():
            around = slice(row - MARGIN, row + size + MARGIN), slice(column - MARGIN, column + size + MARGIN)
            return fields[:, *around].astype(np.float64)
    side = size + 2 * MARGIN
    raise UserError(f'no square of {side} x {side} cells is free of land and gaps: choose a smaller --size')


def read(path: str, variable: str, time: str) -> State:
    """One variable of a file; idealised sea ice where there is no path."""
    if path:
        fields = canonical(store.open_dataset(path), [variable], source=path)
        if 'time' in fields[variable].dims:
            fields = (select_dates(fields, (time, time)) if time else fields).isel(time=0)
        label = variable
    else:
        fields, variable, label = simulate(states=1).isel(time=0), 'sit', 'idealised sea-ice thickness'
    field = store.load(fields[variable], path)
    units, label = field.attrs.get('units', '1'), label + (day(field) if 'time' in field.coords else '')
    return State(field.values[None], units, label, cell_km(fields), 96, ICE, {})


def read_atmosphere(workdir: Path) -> State:
    """A state that the encoder in `workdir` was not trained on, continued by a margin on all sides, with its distance.

    Raises UserError where the work directory holds something other than AtmoDist.
    """
    model = downscale_jax.load(workdir, LearnedDistance)
    data, seed = model.config['data'], model.config['seed']
    if data['path']:
        fields = select_dates(open_series(data, seed), data['test'])
    else:
        fields = open_series({**data, 'simulate': {**data['simulate'], 'days': 1}}, seed + 1)
    fields = store.load(fields.isel(time=[0]))
    transform = model.prepared.transform_as(Standardisation)
    columns: Literal['wrap', 'symmetric'] = 'wrap' if grid.is_periodic(fields) else 'symmetric'
    values = np.stack([fields[n].values[0] / std for n, std in zip(transform.variables, transform.std, strict=True)])
    values = np.pad(values, ((0, 0), (0, 0), (MARGIN, MARGIN)), columns)
    values = np.pad(values, ((0, 0), (MARGIN, MARGIN), (0, 0)), 'symmetric')

    def physical(squares):
        return xr.Dataset(
            {
                name: (('time', 'y', 'x'), values[None] * std, {'units': units})
                for name, values, std, units in zip(
                    transform.variables, squares, transform.std, transform.units, strict=True
                )
            },
            {'time': fields['time']},
        )

    learned = {'AtmoDist': lambda field, truth: float(model.distance(physical(field), physical(truth))[0])}
    first, *others = transform.variables
    label = ' and '.join([f'{first} (shown)' if others else first, *others])
    label = f'{"" if data["path"] else "idealised "}{label}{day(fields.isel(time=0))}'
    return State(values, 'std. dev.', label, cell_km(fields), data['patch'], ATMOSPHERE, learned)


def day(fields: xr.Dataset | xr.DataArray) -> str:
    return f', {iso(fields["time"].values[()])[:10]}'


def cell_km(fields: xr.Dataset) -> float:
    return float(np.median(grid.cell_sizes_km(fields)[0]))


def table(scores: dict[str, dict[str, float]], strengths: dict[str, float]) -> str:
    """Markdown, one row per distortion."""
    names = list(next(iter(scores.values())))
    rows = [f'| distortion | strength | {" | ".join(names)} |', '|---' * (len(names) + 2) + '|']
    rows += [
        f'| {name} | {strengths[name]:.3g} | ' + ' | '.join(f'{round(row[n], 9):.4g}' for n in names) + ' |'
        for name, row in scores.items()
    ]
    return '\n'.join(rows)


@rc_context({'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.titlesize': 10})
def draw(
    truth: np.ndarray,
    fields: dict[str, np.ndarray],
    scores: dict[str, dict[str, float]],
    cell_km: float,
    title: str,
    units: str,
) -> Figure:
    """Distorted fields, their differences from the truth, and bars of every score; 1 - SSIM, so that 0 means equal."""
    figure = Figure(figsize=(11, 6.1), layout='constrained', facecolor='white')
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.75, 1), squeeze=False)[:, 0]
    maps = upper.subplots(2, len(fields) + 1)
    low, high = np.quantile(truth, (0.01, 0.99))
    most = np.quantile(np.abs([field - truth for field in fields.values()]), 0.99)
    extent = (0, truth.shape[1] * cell_km, 0, truth.shape[0] * cell_km)
    look = {'extent': extent, 'origin': 'lower', 'interpolation': 'nearest'}
    for axes, (name, field) in zip(maps.T, {'truth': truth, **fields}.items(), strict=True):
        shown = axes[0].imshow(field, vmin=low, vmax=high, cmap='viridis', **look)
        axes[0].set_title(name, fontweight='bold', loc='left')
        if name == 'truth':
            axes[0].set_ylabel(f'{extent[3]:.0f} km')
            axes[1].axis('off')
        else:
            apart = axes[1].imshow(field - truth, vmin=-most, vmax=most, cmap=SIGNED, **look)
        for one in axes:
            one.set(xticks=[], yticks=[])
            one.spines[:].set_visible(False)
    upper.colorbar(shown, ax=maps[0], extend='both', aspect=12, pad=0.01).set_label(units)
    upper.colorbar(apart, ax=maps[1], extend='both', aspect=12, pad=0.01).set_label(f'difference ({units})')
    upper.suptitle(f'Equal mean squared error: {title}', x=0.01, ha='left', fontsize=12, fontweight='bold')
    names = list(next(iter(scores.values())))
    colours = ('#d55e00', '#0072b2', '#6b6b6b', '#a8457f', '#007f5f')
    bars = lower.subplots(1, len(names), sharey=True)
    for axes, name in zip(bars, names, strict=True):
        values = [1 - row[name] if name == 'SSIM' else row[name] for row in scores.values()]
        drawn = axes.barh(list(scores), values, color=colours[: len(values)], height=0.7)
        axes.bar_label(drawn, [f'{value:.3g}' for value in np.round(values, 9)], padding=3)
        axes.set(title=f'{"1 − " * (name == "SSIM")}{name}', xticks=[], xlim=(0, 1.3 * max(values)))
        axes.spines['bottom'].set_visible(False)
        axes.tick_params(length=0)
    bars[0].invert_yaxis()
    return figure


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--path', default='')
    parser.add_argument('--variable', default='')
    parser.add_argument('--time', default='', help='an ISO date; the first time by default')
    parser.add_argument('--workdir', type=Path, nargs='?', const=Path('runs/atmodist'), help='of AtmoDist')
    parser.add_argument('--size', type=int, help='cells a side of the scored square; 96, or the patch of AtmoDist')
    parser.add_argument('--figure', type=figure_file)
    options = parser.parse_args()
    if options.path and not options.variable:
        parser.error('--path needs --variable')
    if options.path and options.workdir:
        parser.error('--path or --workdir: a learned distance knows the data of its own work directory alone')
    state = read_atmosphere(options.workdir) if options.workdir else read(options.path, options.variable, options.time)
    size = options.size or state.size
    if size < 16 or size % 4:
        parser.error(f'--size={size}: a multiple of 4, at least 16, is needed')
    field = square(state.fields, size)
    distorted = distort(field, state.distortions)
    fields = {name: inside(values) for name, (_, values) in distorted.items()}
    measures = distances(float(np.nanmax(state.fields) - np.nanmin(state.fields))) | state.learned
    scores = {
        name: {measure: f(values, inside(field)) for measure, f in measures.items()} for name, values in fields.items()
    }
    print(table(scores, {name: strength for name, (strength, _) in distorted.items()}))
    path = options.figure or FIGURES / f'comparing_fields{"_atmosphere" if options.workdir else ""}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = {name: values[0] for name, values in fields.items()}
    figure = draw(inside(field)[0], shown, scores, state.cell_km, state.label, state.units)
    figure.savefig(path, dpi=130, metadata={'Software': None})


if __name__ == '__main__':
    run_program(main)
