"""Figures of the report on super-resolution: arrays in, a Figure out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from downscale_jax.evaluation.drawing.style import LINES, LOOK, NAMES, QUIET, WIDTH, blank, label_ends, looks
from downscale_jax.evaluation.statistics import normality
from downscale_jax.fields.geometry.boxes import box_sums

NARROW = 0.05  # share of a bar that has room for a number
SHARES = {'better': '#0072b2', 'equal': '#c9cdd2', 'worse': '#d55e00'}


@matplotlib.rc_context(LOOK)
def fields(
    shown: Mapping[str, np.ndarray], variables: Sequence[str], units: Sequence[str], title: str, subtitle: str
) -> Figure:
    """A window of one time, a row a variable, a column a method {name: [H, W, V]}, the truth last."""
    names = [name for name in shown if name != 'truth'] + ['truth']
    side = min(shown['truth'].shape[:2])
    rows, columns = window(shown['truth'], max(1, side // 2))
    size = WIDTH / (len(names) + 1.1)  # the colour bar's width besides
    figure = blank((size + 0.2) * len(variables) + 0.2, title, subtitle)
    axes = figure.subplots(len(variables), len(names), squeeze=False)
    for v, variable in enumerate(variables):
        values = shown['truth'][rows, columns, v]
        low, high = (float(np.nanquantile(values, level)) for level in (0.005, 0.995))
        signed = low < 0 < high
        limit = max(-low, high) or 1.0
        scale: dict[str, Any] = {
            # a scale from zero would show nothing of temperatures
            'vmin': -limit if signed else 0 if 0 <= low < high / 2 else low,
            'vmax': limit if signed else high if high > low else low + 1,
            'cmap': 'RdBu_r' if signed else 'viridis',
        }
        for panel, name in zip(axes[v], names, strict=True):
            image = panel.imshow(shown[name][rows, columns, v], origin='lower', interpolation='nearest', **scale)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if v == 0:
                panel.set_title(NAMES.get(name, name), loc='left', fontsize=9.5)
        axes[v, 0].set_ylabel(variable)
        bar = figure.colorbar(image, ax=list(axes[v]), shrink=0.85, pad=0.01)
        bar.set_label(units[v])
        bar.outline.set_visible(False)
    return figure


def window(truth: np.ndarray, size: int) -> tuple[slice, slice]:
    """Where the first variable [H, W, V] is farthest from its mean, `size` cells a side."""
    first = truth[..., 0].astype(np.float64)
    sums = box_sums(np.nan_to_num(first - np.nanmean(first)) ** 2, size)
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return slice(int(row), int(row) + size), slice(int(column), int(column) + size)


class Curves(NamedTuple):
    """Of one quantity: the truth's [n], and the methods' over it {name: [n, 3]}, value and interval."""

    name: str
    unit: str
    truth: np.ndarray
    ratios: Mapping[str, np.ndarray]


@matplotlib.rc_context(LOOK)
def spectra(
    wavelength: np.ndarray,
    methods: Mapping[str, Any],
    truth: Mapping[str, np.ndarray],
    variables: Sequence[str],
    units: Sequence[str],
    title: str,
    subtitle: str,
) -> Figure:
    """Power by wavelength [n] in km, a column for kinetic energy and for each variable; below, over the truth's.

    methods {name: {'power': [V, n, 3], 'kinetic': [n, 3]}} over the truth's, truth {'power': [V, n], 'kinetic': [n]}.
    """
    panels = [
        Curves(
            variable, f'({units[v]})²', truth['power'][v], {name: found['power'][v] for name, found in methods.items()}
        )
        for v, variable in enumerate(variables)
    ]
    if 'kinetic' in truth:
        kinetic = {name: found['kinetic'] for name, found in methods.items()}
        panels.insert(0, Curves('kinetic energy', 'm² s⁻²', truth['kinetic'], kinetic))
    figure, axes = _above_and_below(wavelength, panels, title, subtitle)
    half = wavelength[len(wavelength) - max(1, round(len(wavelength) / 2))]
    for panel in axes.flat:
        panel.set(xscale='log', xlim=(wavelength[0], wavelength[-1]))
        panel.axvspan(half, wavelength[-1], color='#000000', alpha=0.05, lw=0)
        ticks = [t for t in (30, 100, 300, 1000, 3000, 10_000) if wavelength[-1] <= t <= wavelength[0]]
        _ticks(panel, ticks, [f'{tick:,}'.replace(',', '\u202f') for tick in ticks])
    for panel in axes[1]:
        panel.set_xlabel('wavelength (km)')
    corner: dict[str, Any] = {'xycoords': ('data', 'axes fraction'), 'textcoords': 'offset points', 'va': 'top'}
    axes[1, 0].annotate('scored', (half, 0.98), (3, 0), fontsize=9, color=QUIET, **corner)
    return figure


@matplotlib.rc_context(LOOK)
def variograms(
    kilometres: np.ndarray,
    methods: Mapping[str, Any],
    truth: Mapping[str, np.ndarray],
    variables: Sequence[str],
    title: str,
    subtitle: str,
) -> Figure:
    """Semivariogram by distance [D] in km over twice the truth's variance, a column a variable; below, over the
    truth's.

    methods {name: {'variogram': [V, D, 3]}} over the truth's, truth {'variogram': [V, D]}.
    """
    panels = [
        Curves(v, '1', truth['variogram'][i], {name: found['variogram'][i] for name, found in methods.items()})
        for i, v in enumerate(variables)
    ]
    figure, axes = _above_and_below(kilometres, panels, title, subtitle)
    for panel in axes.flat:
        if not len(kilometres):
            panel.annotate('no distance fits the grid', (0.5, 0.5), xycoords='axes fraction', ha='center')
            continue
        panel.set_xscale('log')
        _ticks(panel, kilometres, [f'{km:g}' for km in kilometres])
    for panel in axes[1]:
        panel.set_xlabel('distance (km)')
    return figure


def _above_and_below(x: np.ndarray, panels: Sequence[Curves], title: str, subtitle: str) -> tuple[Figure, np.ndarray]:
    """Axes [2, panels]: the curves themselves, and over the truth's, one scale for all of these."""
    figure = blank(5.6, title, subtitle)
    axes = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(1.1, 1))
    drawn = [values[:, 0] for panel in panels for values in panel.ratios.values()]
    shown = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in drawn] or [np.ones(1)])
    low, high = (shown.min(), shown.max()) if shown.size else (1.0, 1.0)
    for column, panel in zip(axes.T, panels, strict=True):
        above, below = column
        above.set_title(panel.name if panel.unit == '1' else f'{panel.name}, {panel.unit}', loc='left')
        above.plot(x, panel.truth, **LINES['truth'])
        looked = looks(panel.ratios)
        for name, ratios in panel.ratios.items():
            above.plot(x, ratios[:, 0] * panel.truth, **looked[name])
        if np.any(panel.truth > 0):
            above.set_yscale('log')
        if len(x) and panel is panels[-1]:
            above.set_xlim(x[0], x[-1])
            label_ends(above, {'truth': (float(panel.truth[-1]), LINES['truth']['color'])})
        below.set_yscale('log')
        below.set_ylim(max(0.01, min(0.8 * low, 0.5)), max(1.25 * high, 1.5))
        below.axhline(1, **LINES['truth'])
        if len(x):
            _lines(below, x, panel.ratios)
        below.tick_params(labelleft=below is axes[1, 0])
    axes[1, 0].set_ylabel('over the truth’s')
    return figure, axes


def _ticks(panel: Axes, at: Sequence[float] | np.ndarray, names: Sequence[str]) -> None:
    panel.set_xticks(at, names)
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_minor_locator(NullLocator())


def _lines(panel: Axes, x: np.ndarray, lines: Mapping[str, np.ndarray]) -> None:
    drawn, ends = looks(lines), {}
    for name, values in lines.items():
        value, low, high = values.T
        panel.plot(x, value, **drawn[name])
        panel.fill_between(x, low, high, color=drawn[name]['color'], alpha=0.15, lw=0)
        ends[name] = (float(value[-1]), drawn[name]['color'])
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    panel.margins(x=0)
    label_ends(
        panel, {name: (min(max(end, panel.get_ylim()[0]), panel.get_ylim()[1]), c) for name, (end, c) in ends.items()}
    )


@matplotlib.rc_context(LOOK)
def bias(
    maps: Mapping[str, Mapping[str, np.ndarray]],
    variables: Sequence[str],
    units: Sequence[str],
    title: str,
    subtitle: str,
) -> Figure:
    """Maps {method: {'mean', 'standard_deviation': [H, W, V]}}, a row for each of both of a variable."""
    rows = [(v, kind) for v in range(len(variables)) for kind in ('mean', 'standard_deviation')]
    shape = next(iter(maps.values()))['mean'].shape
    size = WIDTH / (len(maps) + 0.8) * min(shape[0] / shape[1], 1.0)
    figure = blank((size + 0.15) * len(rows) + 0.25, title, subtitle)
    axes = figure.subplots(len(rows), len(maps), squeeze=False)
    for line, (v, kind) in zip(axes, rows, strict=True):
        limit = max(float(np.nanquantile(np.abs(found[kind][..., v]), 0.99)) for found in maps.values()) or 1.0
        for panel, (name, found) in zip(line, maps.items(), strict=True):
            image = panel.imshow(found[kind][..., v], origin='lower', vmin=-limit, vmax=limit, cmap='RdBu_r')
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if (v, kind) == rows[0]:
                panel.set_title(name, loc='left')
        line[0].set_ylabel(f'{variables[v]}\n{kind.replace("_", " ")}', fontsize=8.5)
        bar = figure.colorbar(image, ax=list(line), shrink=0.85, pad=0.01)
        bar.set_label(units[v])
        bar.outline.set_visible(False)
    return figure


@matplotlib.rc_context(LOOK)
def places(
    compared: Mapping[str, Mapping[str, Mapping[str, Any]]], variables: Sequence[str], title: str, subtitle: str
) -> Figure:
    """Shares of places that are better, equal and worse, a bar for each pair of a method and one before it."""
    names = list(compared)
    pairs = [(name, rival) for i, name in enumerate(names) for rival in names[:i]]
    figure = blank(0.9 + 0.34 * max(len(pairs), 1), title, subtitle)
    axes = figure.subplots(1, len(variables), squeeze=False, sharey=True)[0]
    for panel, variable in zip(axes, variables, strict=True):
        for y, (name, rival) in enumerate(pairs):
            counts, left = compared[name][rival][variable], 0.0
            whole = max(sum(counts[key] for key in SHARES), 1)
            for key, colour in SHARES.items():
                panel.barh(y, counts[key] / whole, left=left, color=colour, height=0.72, label=key if not y else None)
                if counts[key] >= NARROW * whole:
                    panel.annotate(f'{counts[key]:.0f}', (left + counts[key] / whole / 2, y), ha='center', va='center',
                                   fontsize=8.5, color='#ffffff' if key != 'equal' else '#1a1a1a')  # fmt: skip
                left += counts[key] / whole
        panel.set_title(variable, loc='left')
        panel.set(
            xlim=(0, 1), ylim=(max(len(pairs), 1) - 0.5, -0.5), yticks=range(len(pairs)), xlabel='share of the places'
        )
        panel.set_yticklabels([f'{name} against {rival}' for name, rival in pairs])
        panel.tick_params(axis='y', length=0)
    if pairs:
        figure.legend(*axes[0].get_legend_handles_labels(), loc='upper right', ncols=3, frameon=False, fontsize=9)
    return figure


@matplotlib.rc_context(LOOK)
def ensemble(
    curve: Mapping[int, Mapping[str, Any]],
    quantiles: np.ndarray,
    variables: Sequence[str],
    units: Sequence[str],
    title: str,
    subtitle: str,
) -> Figure:
    """A row a variable: RMSE of the mean of n members, ranks of the truth, members against normal numbers.

    curve {n: {'scores': {'rmse_VARIABLE': [3]}, 'spread': [V, 3], 'ranks': [V, n + 1, 3]}}, n rising, the two last for
    n > 1; quantiles [V, P, 3] at `normality.PROBABILITIES`, NaN where too few members were tested.
    """
    numbers, most = np.array(list(curve)), max(curve)
    figure = blank(2.6 * len(variables) + 0.2, title, subtitle)
    axes = figure.subplots(len(variables), 3, squeeze=False)
    for v, (variable, (left, middle, right)) in enumerate(zip(variables, axes, strict=True)):
        value, low, high = np.array([found['scores'][f'rmse_{variable}'] for found in curve.values()]).T
        perfect = curve[most]['spread'][v][0] * np.sqrt(1 + 1 / numbers)
        left.plot(numbers, value, marker='o', **LINES['mean'])
        left.fill_between(numbers, low, high, color=LINES['mean']['color'], alpha=0.15, lw=0)
        left.plot(numbers, perfect, color=QUIET, linestyle=(0, (1, 1.4)))
        lowest, highest = np.nanmin([value[-1], perfect[-1]]), np.nanmax([*high, *value, *perfect])
        left.annotate('dotted: if the truth were a member', (numbers[-1], lowest), (0, -8), textcoords='offset points',
                      ha='right', va='top', fontsize=8.5, color=QUIET)  # fmt: skip
        left.set(xscale='log', xlabel='members in the mean', ylabel=f'RMSE ({units[v]})', ylim=(0, 1.05 * highest))
        _ticks(left, numbers, [str(n) for n in numbers])
        left.set_title(variable, loc='left')
        ranks = curve[most]['ranks'][v]
        middle.bar(np.arange(len(ranks)), ranks[:, 0], width=1.0, color=LINES['member']['color'], alpha=0.75)
        middle.axhline(1, **LINES['truth'])
        middle.set(xlabel='members below the truth', ylabel='frequency x (members + 1)')
        expected = normality.expected(most) if most >= normality.FEWEST else np.full(len(quantiles[v]), np.nan)
        right.axline((0, 0), slope=1, **LINES['truth'])
        right.plot(expected, quantiles[v][:, 0], 'o', color=LINES['member']['color'], markersize=4)
        if most < normality.FEWEST:
            right.text(0.05, 0.95, f'not tested: {normality.FEWEST} members\nare needed, here are {most}',
                       transform=right.transAxes, va='top', fontsize=8.5, color=QUIET)  # fmt: skip
        right.set(xlabel='normal quantile', ylabel='quantile of the members', xlim=(-4, 4), ylim=(-4, 4))
    return figure
