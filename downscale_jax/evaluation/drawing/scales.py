"""Figures of spectra over windows and of predictable scales."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.style import (
    LOOK,
    NAMES,
    OUTSIDE,
    QUIET,
    band,
    blank,
    label_ends,
    legend,
    logarithmic,
    looks,
    ticks,
)
from downscale_jax.evaluation.labels import squared

Marks = Mapping[str, float]  # label -> km
NO_WINDOW = 'No spectrum: no window of the scored times is at least half covered and free of missing cells.'


@matplotlib.rc_context(LOOK)
def spectra(
    wavelength: np.ndarray,
    field: Mapping[str, np.ndarray],
    anomaly: Mapping[str, np.ndarray],
    unit: str,
    marks: Marks,
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Power by wavelength above, its ratio to the truth's below; the field on the left, its anomaly on the right.

    wavelength [n] in km; field, anomaly: {line: power [n]} including 'truth' ('coarse', 'member' and 'mean' have
    fixed colours); marks such as {'kernel': 120, '4 cells': 16}. The shaded band is the truth's power within a factor
    of 1.5. Without lines the figure says that no window could be used.
    """
    if not field:
        return _nothing(title, subtitle)
    figure = blank(5.6, title, subtitle)
    axes = figure.subplots(2, 2, height_ratios=(3, 2), sharex=True)
    for name, powers, (upper, lower) in zip(('field', 'anomaly'), (field, anomaly), axes.T, strict=True):
        drawn, ends = looks(powers), {}
        for line, power in powers.items():
            # a field without anomaly (coarse) has no power that a logarithmic axis could show
            if not np.any(power > 1e-12 * np.max(powers['truth'])):
                continue
            upper.plot(wavelength, power, **drawn[line])
            ends[NAMES.get(line, line)] = (float(power[-1]), drawn[line]['color'])
            if line != 'truth':
                lower.plot(wavelength, power / powers['truth'], **drawn[line])
        logarithmic(upper)
        upper.set_ylim(bottom=max(upper.get_ylim()[0], 1e-3 * np.min(powers['truth'])))
        upper.set_title(f'power of the {name}', pad=32 if marks else 6)
        lower.axhspan(1 / 1.5, 1.5, color='#000000', alpha=0.09, lw=0)
        lower.axhline(1, color='#000000', linewidth=1)
        shown = np.concatenate([line.get_ydata() for line in lower.lines if len(line.get_ydata()) > 2] or [[1.0]])
        shown = shown[np.isfinite(shown) & (shown > 0)]
        logarithmic(lower)
        lower.set(ylim=(max(min(0.3, shown.min() / 1.3), 0.01), max(3.0, shown.max() * 1.3)))
        lower.yaxis.set_major_formatter('{x:g}')
        _by_wavelength(lower, wavelength)
        _mark(upper, lower, wavelength, marks)
        label_ends(upper, ends)
    axes[0, 0].set_ylabel(f'power in a ring, {squared(unit)}')
    axes[1, 0].set_ylabel('power / truth')
    axes[1, -1].annotate('factor 1.5', (1, 1), (6, 0), **OUTSIDE, xycoords=('axes fraction', 'data'), color=QUIET)
    return figure


@matplotlib.rc_context(LOOK)
def scales(
    wavelength: np.ndarray,
    error: Mapping[str, np.ndarray],
    correlation: Mapping[str, np.ndarray],
    beaten: float,
    marks: Marks,
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Predictable scales: power of the error relative to that of the coarse field, and correlation with the truth.

    error, correlation: {line: [n, 3]}, without the coarse field, whose error is 1; the bands are intervals. The shaded
    wavelengths, from the kernel (in marks) down to `beaten` km (NaN: none), are those where the mean beats the coarse
    field. Without lines the figure says that no window could be used.
    """
    if not error:
        return _nothing(title, subtitle)
    figure = blank(3.6, title, subtitle)
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, lines in ((left, error), (right, correlation)):
        drawn = looks(lines)
        for line, values in lines.items():
            band(axes, wavelength, values, label=NAMES.get(line, line), **drawn[line])
        if np.isfinite(beaten):
            axes.axvspan(max(marks['kernel'], beaten), beaten, color='#007f5f', alpha=0.08, lw=0)
        _by_wavelength(axes, wavelength)
        _mark(axes, axes, wavelength, marks)
    left.axhline(1, color='#6b6b6b', linewidth=1.4, linestyle=(0, (1, 1.4)), label='coarse')
    left.set_ylim(0, max(left.get_ylim()[1], 1.2))
    right.set_ylim(min(right.get_ylim()[0], 0), 1)
    left.set_title('power of the error / coarse field', pad=32)
    right.set_title('correlation of the anomaly with the truth', pad=32)
    legend(figure, left.get_legend_handles_labels()[0])
    return figure


def _nothing(title: str, subtitle: str) -> Figure:
    figure = blank(1.2, title, subtitle)
    figure.text(0.012, 0.3, NO_WINDOW)
    return figure


def _by_wavelength(axes: Axes, wavelength: np.ndarray) -> None:
    axes.set(xscale='log', xlim=(wavelength[0] * 1.04, wavelength[-1] / 1.04), xlabel='wavelength (km)')
    shown = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if wavelength[-1] <= t <= wavelength[0]]
    ticks(axes, shown, [f'{tick:g}' for tick in shown])


def _mark(upper: Axes, lower: Axes, wavelength: np.ndarray, marks: Marks) -> None:
    for label, km in marks.items():
        if not wavelength[-1] <= km <= wavelength[0]:
            continue
        for axes in {upper, lower}:
            axes.axvline(km, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        upper.annotate(
            f'{label}\n{km:.4g} km', (km, 1), (0, 3), textcoords='offset points', xycoords=('data', 'axes fraction'),
            ha='center', va='bottom', fontsize=9, color=QUIET,
        )  # fmt: skip
