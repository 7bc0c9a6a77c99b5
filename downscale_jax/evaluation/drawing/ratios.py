"""Figures of curves above their ratios to the truth: spectra by wavelength, semivariograms."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.style import (
    LINES,
    LOOK,
    QUIET,
    band,
    blank,
    label_ends,
    logarithmic,
    looks,
    ticks,
)


class Curves(NamedTuple):
    """Curves of one quantity: the truth's [n], and the methods' relative to it, {name: [n, 3]}."""

    name: str
    unit: str
    truth: np.ndarray
    ratios: Mapping[str, np.ndarray]


@matplotlib.rc_context(LOOK)
def spectra(wavelength: np.ndarray, panels: Sequence[Curves], title: str, subtitle: str) -> Figure:
    """Power by wavelength [n] in km, one panel per quantity; below, ratios to the truth; the scored half is shaded."""
    figure, axes = _above_and_below(wavelength, panels, title, subtitle)
    half = wavelength[len(wavelength) - max(1, round(len(wavelength) / 2))]
    for panel in axes.flat:
        panel.set(xscale='log', xlim=(wavelength[0], wavelength[-1]))
        panel.axvspan(half, wavelength[-1], color='#000000', alpha=0.05, lw=0)
        shown = [t for t in (30, 100, 300, 1000, 3000, 10_000) if wavelength[-1] <= t <= wavelength[0]]
        ticks(panel, shown, [f'{tick:,}'.replace(',', '\u202f') for tick in shown])
    for panel in axes[1]:
        panel.set_xlabel('wavelength (km)')
    corner: dict[str, Any] = {'xycoords': ('data', 'axes fraction'), 'textcoords': 'offset points', 'va': 'top'}
    axes[1, 0].annotate('scored', (half, 0.98), (3, 0), fontsize=9, color=QUIET, **corner)
    return figure


@matplotlib.rc_context(LOOK)
def variograms(kilometres: np.ndarray, panels: Sequence[Curves], title: str, subtitle: str) -> Figure:
    """Semivariogram by distance [D] in km, one panel per variable; below, ratios to the truth."""
    figure, axes = _above_and_below(kilometres, panels, title, subtitle)
    for panel in axes.flat:
        panel.set_xscale('log')
        ticks(panel, kilometres, [f'{km:g}' for km in kilometres])
    for panel in axes[1]:
        panel.set_xlabel('distance (km)')
    return figure


def _above_and_below(x: np.ndarray, panels: Sequence[Curves], title: str, subtitle: str) -> tuple[Figure, np.ndarray]:
    """Axes [2, panels]: the curves, and their ratios to the truth on a common scale."""
    figure = blank(5.6, title, subtitle)
    axes = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(1.1, 1))
    drawn = [values[:, 0] for panel in panels for values in panel.ratios.values()]
    shown = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in drawn] or [np.ones(1)])
    low, high = (shown.min(), shown.max()) if shown.size else (1.0, 1.0)
    for column, panel in zip(axes.T, panels, strict=True):
        above, below = column
        above.set_title(panel.name if panel.unit == '1' else f'{panel.name}, {panel.unit}')
        above.plot(x, panel.truth, **LINES['truth'])
        styles = looks(panel.ratios)
        for name, ratios in panel.ratios.items():
            above.plot(x, ratios[:, 0] * panel.truth, **styles[name])
        if np.any(panel.truth > 0):
            logarithmic(above)
        if len(x) > 1 and panel is panels[-1]:
            above.set_xlim(x[0], x[-1])
            label_ends(above, {'truth': (float(panel.truth[-1]), LINES['truth']['color'])})
        logarithmic(below)
        below.set_ylim(max(0.01, min(0.8 * low, 0.5)), max(1.25 * high, 1.5))
        below.axhline(1, **LINES['truth'])
        if len(x):
            _lines(below, x, panel.ratios)
        below.tick_params(labelleft=below is axes[1, 0])
    axes[1, 0].set_ylabel('ratio to the truth')
    return figure, axes


def _lines(panel: Axes, x: np.ndarray, lines: Mapping[str, np.ndarray]) -> None:
    drawn, ends = looks(lines), {}
    for name, values in lines.items():
        band(panel, x, values, **drawn[name])
        ends[name] = (float(values[-1, 0]), drawn[name]['color'])
    panel.yaxis.set_major_formatter('{x:g}')
    panel.margins(x=0)
    label_ends(
        panel, {name: (min(max(end, panel.get_ylim()[0]), panel.get_ylim()[1]), c) for name, (end, c) in ends.items()}
    )
