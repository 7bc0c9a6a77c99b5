"""Why pixel error misleads: one field distorted in ways of equal mean squared error, scored by what else there is.

    python experiments/comparing_fields.py                    idealised sea-ice thickness, about 15 s on 2 CPU cores
    python experiments/comparing_fields.py --path=FILE --variable=NAME --time=2016-08-15 --size=32

A shift by whole cells sets the error; the strength of every other distortion is solved for until its MSE is the same
to 0.1 %. Prints a table and draws the fields (--figure, docs/figures/comparing_fields.png by default).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.optimize
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy import ndimage

from data_prep.sea_ice import simulate
from downscale_jax.evaluation import images, spectra
from downscale_jax.fields import grid, store
from downscale_jax.fields.dates import iso, select_dates
from downscale_jax.runtime.errors import UserError

SHIFT = 1  # cells: even so little costs a rough field more than a blur by two
MARGIN = 16  # cells around what is scored, so that no distortion feels an edge
FINEST = 4  # cells: the shortest wavelength of the spectral distance
FIGURE = Path(__file__).parents[1] / 'docs' / 'figures' / 'comparing_fields.png'


def shift(field: np.ndarray, cells: float) -> np.ndarray:
    """Everything in its shape, nothing in its place."""
    return np.roll(field, round(cells), axis=1)


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """What a regression to the mean gives."""
    return ndimage.gaussian_filter(field, sigma)


def noise(field: np.ndarray, amplitude: float) -> np.ndarray:
    """White, the same draw for every amplitude."""
    return field + amplitude * np.random.default_rng(0).standard_normal(field.shape)


def contrast(field: np.ndarray, lost: float) -> np.ndarray:
    """Departures from the mean, each smaller by the same share."""
    return field - lost * (field - field.mean())


def missing_leads(field: np.ndarray, filled: float) -> np.ndarray:
    """Narrow dark lines filled up: blended with its grey closings by discs of growing radius.

    `filled` counts in radii: 1.25 is the closing by a radius of one cell and a quarter of what two cells add to it.
    """
    radius, share = divmod(filled, 1)
    less, more = (_closing(field, int(r)) for r in (radius, radius + 1))
    return less + share * (more - less)


def _closing(field: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return ndimage.grey_closing(field, footprint=np.hypot(y, x) <= radius + 0.5)


# {name: (distortion, its largest strength)}; the shift sets the error of the others
DISTORTIONS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], float]] = {
    'shift': (shift, SHIFT),
    'blur': (blur, MARGIN / 4),
    'noise': (noise, np.inf),
    'contrast': (contrast, 1.0),
    'missing leads': (missing_leads, 6.999),
}


def spectral_distance(field: np.ndarray, truth: np.ndarray) -> float:
    """Mean |ln(power / truth's power)| over the rings from the width of a window, half the field's, to four cells."""
    size = len(truth) // 2
    everywhere = np.ones(truth.shape, bool)
    origins = spectra.windows(everywhere, everywhere, size)
    power, expected = (spectra.power(spectra.transform(f, origins, size)) for f in (field, truth))
    return float(np.abs(np.log(power / expected))[spectra.wavelengths(size, 1.0) >= FINEST].mean())


def distances(data_range: float) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """{name: distance(field, truth)} of square fields without gaps. A learned distance is one more entry."""

    def mse(field, truth):
        return float(np.mean((field - truth) ** 2))

    def ssim(field, truth):
        whole = images.whole_windows(np.ones(truth.shape, bool))
        return float(images.ssim(field, truth, data_range)[whole].mean())

    return {
        'MSE': mse,
        'PSNR (dB)': lambda field, truth: float(images.psnr(mse(field, truth), data_range)),
        'SSIM': ssim,
        'spectral distance': spectral_distance,
    }


def inside(field: np.ndarray) -> np.ndarray:
    """Without the margin."""
    return field[MARGIN:-MARGIN, MARGIN:-MARGIN]


def distort(field: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """{name: (strength, distorted field)} with one mean squared error inside the margin; the field [H, W] is finite.

    Raises UserError where a distortion cannot go as far as the shift.
    """

    def error(distorted):
        return np.mean(inside(distorted - field) ** 2)

    aim = error(shift(field, SHIFT))
    result = {'shift': (float(SHIFT), shift(field, SHIFT))}
    if not aim:
        raise UserError('the field has the same value everywhere: nothing can be compared')
    for name, (change, most) in DISTORTIONS.items():
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


def liveliest(field: np.ndarray, size: int) -> np.ndarray:
    """Of the squares of `size` cells and a margin without a gap that with the largest differences of neighbours."""
    side = size + 2 * MARGIN
    if side <= min(field.shape):
        parts = np.lib.stride_tricks.sliding_window_view(field, (side, side))[::4, ::4]
        roughness = np.abs(np.diff(parts[..., MARGIN:-MARGIN, MARGIN:-MARGIN], axis=-1)).mean((-1, -2))
        roughness = np.where(np.isfinite(parts).all((-1, -2)), roughness, -1)
        if roughness.max() >= 0:
            row, column = np.unravel_index(roughness.argmax(), roughness.shape)
            return parts[row, column].astype(np.float64)
    raise UserError(f'no square of {side} x {side} cells is free of land and gaps: choose a smaller --size')


def read(path: str, variable: str, time: str) -> tuple[np.ndarray, float, str, str]:
    """(field [H, W], cell in km, what it is, units): idealised sea ice where there is no path."""
    if path:
        fields = store.canonical(store.open_dataset(path), [variable], source=path)
        if 'time' in fields[variable].dims:
            fields = (select_dates(fields, (time, time)) if time else fields).isel(time=0)
        label = variable
    else:
        fields, variable, label = simulate(states=1).isel(time=0), 'sit', 'idealised sea-ice thickness'
    dy, dx = grid.cell_sizes_km(fields)
    field = store.load(fields[variable], path)
    when = f', {iso(field["time"].values[()])[:10]}' if 'time' in field.coords else ''
    return field.values, float(np.sqrt(np.median(dy) * np.median(dx))), label + when, field.attrs.get('units', '1')


def table(scores: dict[str, dict[str, float]], strengths: dict[str, float]) -> str:
    """Markdown, a distortion a row."""
    names = list(next(iter(scores.values())))
    rows = [f'| distortion | strength | {" | ".join(names)} |', '|---' * (len(names) + 2) + '|']
    rows += [
        f'| {name} | {strengths[name]:.3g} | ' + ' | '.join(f'{row[n]:.4g}' for n in names) + ' |'
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
    """Distorted fields, what each differs by from the truth, and bars of every score; 1 - SSIM, so that 0 is alike."""
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
            apart = axes[1].imshow(field - truth, vmin=-most, vmax=most, cmap='RdBu_r', **look)
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
        axes.bar_label(drawn, [f'{value:.3g}' for value in values], padding=3)
        axes.set(title=f'{"1 − " * (name == "SSIM")}{name}', xticks=[], xlim=(0, 1.3 * max(values)))
        axes.spines['bottom'].set_visible(False)
        axes.tick_params(length=0)
    bars[0].invert_yaxis()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--path', default='')
    parser.add_argument('--variable', default='')
    parser.add_argument('--time', default='', help='an ISO date; the first time by default')
    parser.add_argument('--size', type=int, default=96, help='cells a side of what is scored, a multiple of 4')
    parser.add_argument('--figure', type=Path, default=FIGURE)
    options = parser.parse_args()
    if options.path and not options.variable:
        parser.error('--path needs --variable')
    if options.size < 16 or options.size % 4:
        parser.error(f'--size={options.size}: a multiple of 4, at least 16, is needed')
    whole, cell_km, label, units = read(options.path, options.variable, options.time)
    field = liveliest(whole, options.size)
    distorted = distort(field)
    fields = {name: inside(values) for name, (_, values) in distorted.items()}
    measures = distances(float(np.nanmax(whole) - np.nanmin(whole)))
    scores = {
        name: {measure: f(values, inside(field)) for measure, f in measures.items()} for name, values in fields.items()
    }
    print(table(scores, {name: strength for name, (strength, _) in distorted.items()}))
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    figure = draw(inside(field), fields, scores, cell_km, label, units)
    figure.savefig(options.figure, dpi=130, metadata={'Software': None})


if __name__ == '__main__':
    try:
        main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
