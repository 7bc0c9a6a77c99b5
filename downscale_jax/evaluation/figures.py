"""Figures of the report: arrays in, a matplotlib Figure out, no pyplot and no state.

Colours are Okabe and Ito's, told apart with any colour vision and each with a dash of its own; maps use viridis and
magma, errors blue to red. Figures are 9 inches wide: at 900 pixels the type is that of a page.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

_WIDTH = 9.0
_INK, _QUIET, _LAND, _NOTHING = '#1a1a1a', '#5f6368', '#b9bcc0', '#eef0f2'
_LOOK: dict[Any, Any] = {
    'font.size': 10, 'axes.titlesize': 10.5, 'axes.labelsize': 9.5, 'xtick.labelsize': 9, 'ytick.labelsize': 9,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.linewidth': 0.8, 'lines.linewidth': 1.8,
    'axes.edgecolor': _QUIET, 'xtick.color': _QUIET, 'ytick.color': _QUIET, 'axes.labelcolor': _QUIET,
    'text.color': _INK, 'axes.titlecolor': _INK,
}  # fmt: skip
_LINES: dict[str, dict[str, Any]] = {
    'truth': {'color': '#000000', 'linewidth': 2.4},
    'coarse': {'color': '#6b6b6b', 'linestyle': (0, (1, 1.4))},
    'regression': {'color': '#d55e00', 'linestyle': (0, (5, 1.6))},
    'member': {'color': '#0072b2'},
    'mean': {'color': '#007f5f', 'linestyle': (0, (5, 1.4, 1, 1.4))},
}
_NAMES = {'mean': 'ensemble mean', 'member': 'members'}
_SPARE = ('#a8457f', '#7a5c00', '#3b4cc0')  # for methods without a colour of their own


def save(figure: Figure, path: str | Path) -> None:
    """Writes a PNG aside and renames it; equal figures give equal bytes."""
    aside = f'{path}.part'
    figure.savefig(aside, dpi=160, format='png', metadata={'Software': None})
    os.replace(aside, path)


def _figure(height: float, title: str, subtitle: str) -> Figure:
    """An empty figure with its headline flush left; `height` in inches without the headline."""
    top = height / (height + 0.62)
    layout = ConstrainedLayoutEngine(rect=(0.005, 0, 0.99, top), w_pad=0.04, h_pad=0.04)
    figure = Figure(figsize=(_WIDTH, height + 0.62), layout=layout, facecolor='white')
    figure.text(0.012, 1 - 0.12 / (height + 0.62), title, fontsize=13, fontweight='bold', va='top')
    figure.text(0.012, 1 - 0.38 / (height + 0.62), subtitle, fontsize=10, color=_QUIET, va='top')
    return figure


@matplotlib.rc_context(_LOOK)
def maps(
    coarse: np.ndarray,
    members: np.ndarray,
    truth: np.ndarray,
    ocean: np.ndarray,
    cell_km: float,
    quantity: str,
    unit: str,
    title: str = '',
    subtitle: str = '',
    regression: np.ndarray | None = None,
    zoom: tuple[int, int, int] | None = None,
    y_up: bool = True,
) -> Figure:
    """One day: coarse, two members, truth; a zoom into them; ensemble mean, regression, spread and error of the mean.

    coarse, truth, regression [H, W], NaN where missing; members [M, H, W]; ocean bool [H, W], the rest is drawn as
    land; quantity and unit name the colour bars, such as 'thickness' and 'm'; zoom (row, column, cells) adds a row;
    y_up: whether the first row is the southernmost. Without a regression a third member stands in its place. Fields
    share one colour scale, that of the truth's 1 to 99 %.
    """
    known = np.isfinite(truth) & ocean
    average, ensemble = members.mean(0), len(members) > 1
    error = np.where(known, average - truth, np.nan)
    third = (members[2], 'member 3') if len(members) > 2 else None
    third = third if regression is None else (regression, 'regression')
    if ensemble:
        spread = np.where(ocean, members.std(0, ddof=1), np.nan)
        top = [(coarse, 'coarse input'), (members[0], 'member 1'), (members[1], 'member 2'), (truth, 'truth')]
        below = [(average, 'ensemble mean'), third, (spread, 'spread of the members'), (error, 'error of the mean')]
    else:
        top = [(coarse, 'coarse input'), (average, 'prediction'), (truth, 'truth'), (error, 'error')]
        below = None

    low, high = np.quantile(truth[known], (0.01, 0.99)) if known.any() else (0.0, 1.0)
    looks: list[dict[str, Any]] = [{'vmin': low, 'vmax': high if high > low else low + 1, 'cmap': 'viridis'}] * 4
    limit = _quantile(np.abs(error[known]), 0.99)
    signed: dict[str, Any] = {'vmin': -limit, 'vmax': limit, 'cmap': 'RdBu_r'}

    shape, size = truth.shape, _WIDTH / 4
    tall = size * min(max(shape[0] / shape[1], 0.5), 1.6)
    heights = [tall] + [size] * bool(zoom) + [tall] * ensemble
    figure = _figure(sum(heights) + 0.95, title, subtitle)
    axes = figure.subplots(len(heights), 4, squeeze=False, height_ratios=heights)
    frame: dict[str, Any] = {'ocean': ocean, 'cell_km': cell_km, 'y_up': y_up}
    top_looks = looks if ensemble else [*looks[:3], signed]
    images = [
        _map(one, values, name, **frame, **look)
        for one, (values, name), look in zip(axes[0], top, top_looks, strict=True)
    ]
    if zoom:
        for index in range(4):
            _map(axes[1, index], top[index][0], '', **frame, **top_looks[index])
            _zoom(axes[0, index], axes[1, index], zoom, cell_km, shape[0], y_up)
    fields = 3
    if below:
        doubt: dict[str, Any] = {'vmin': 0, 'vmax': _quantile(spread[known], 0.99), 'cmap': 'magma'}
        for index, (panel, look) in enumerate(zip(below, [*looks[:2], doubt, signed], strict=True)):
            images[index] = _map(axes[-1, index], panel[0], panel[1], **frame, **look) if panel else None
        _bar(figure, images[2], axes[-1, 2], f'standard deviation ({unit})', 'max')
        fields = 2 if third else 1
    _bar(figure, images[0], axes[-1, :fields], f'{quantity} ({unit})', 'both')
    _bar(figure, images[3], axes[-1, 3], f'prediction − truth ({unit})', 'both')
    _tidy(axes)
    return figure


def _quantile(values: np.ndarray, share: float) -> float:
    """Upper end of a colour scale, above zero whatever the values; cells that no member reaches are NaN."""
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, share)) if values.size else 1.0, 1e-12)


def _map(axes: Axes, values: np.ndarray, name: str, ocean: np.ndarray, cell_km: float, y_up: bool, **look):
    """Draws one field in km axes; land is grey, sea without a value nearly white."""
    height, width = values.shape
    frame: dict[str, Any] = {
        'extent': (0, width * cell_km, 0, height * cell_km),
        'origin': 'lower' if y_up else 'upper',
    }
    # cells wider than a pixel keep their edges; finer ones are averaged, not picked
    frame['interpolation'] = 'nearest' if width <= 320 else 'auto'
    axes.imshow(ocean, cmap=ListedColormap([_LAND, _NOTHING]), vmin=0, vmax=1, **frame)
    shown = np.ma.masked_where(~ocean | ~np.isfinite(values), values)
    image = axes.imshow(shown, **frame, **look)
    axes.set_title(name, loc='left')
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 4, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 4, 5, 10]))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2.5)
    return image


def _zoom(whole: Axes, part: Axes, zoom: tuple[int, int, int], cell_km: float, height: int, y_up: bool) -> None:
    row, column, cells = zoom
    left, bottom = column * cell_km, (row if y_up else height - row - cells) * cell_km
    part.set(xlim=(left, left + cells * cell_km), ylim=(bottom, bottom + cells * cell_km))
    for colour, width in (('white', 2.4), (_INK, 1.1)):  # readable on any colour
        whole.add_patch(Rectangle((left, bottom), cells * cell_km, cells * cell_km, fill=False, ec=colour, lw=width))
    part.spines[:].set(visible=True, color=_INK)


def _bar(figure: Figure, image, axes, label: str, extend: str) -> None:
    bar = figure.colorbar(
        image, ax=axes, location='bottom', extend=extend, shrink=0.86, aspect=22 if np.size(axes) < 2 else 46, pad=0.03
    )
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(4 if np.size(axes) < 2 else 7)
    bar.update_ticks()


def _tidy(axes: np.ndarray) -> None:
    """Labels of kilometres only at the left and the lower edge; panels without a map vanish."""
    for row in axes:
        row[0].set_ylabel('km')
        for index, one in enumerate(row):
            one.tick_params(labelleft=index == 0)
            if not one.images:
                one.axis('off')


@matplotlib.rc_context(_LOOK)
def spectra(
    wavelength: np.ndarray,
    field: Mapping[str, np.ndarray] | None,
    anomaly: Mapping[str, np.ndarray] | None,
    unit: str,
    marks: Mapping[str, float],
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Power by wavelength, below it its ratio to the truth's; the field at the left, its anomaly at the right.

    wavelength [n] in km; field, anomaly: {method: power [n]} with 'truth' among them ('coarse', 'regression',
    'member', 'mean' have fixed colours); marks {label: km}, such as {'kernel': 120, '4 cells': 16}. The shaded band is
    the truth's power within a factor of 1.5. Without either mapping the figure says that no window was free of land.
    """
    columns = [(name, powers) for name, powers in (('field', field), ('anomaly', anomaly)) if powers]
    if not columns:
        figure = _figure(1.2, title, subtitle)
        figure.text(0.012, 0.3, 'No window of the test days is free of land and half covered: no spectrum.')
        return figure
    figure = _figure(5.6, title, subtitle)
    axes = figure.subplots(2, len(columns), squeeze=False, height_ratios=(3, 2), sharex=True)
    for (name, powers), (upper, lower) in zip(columns, axes.T, strict=True):
        looks = _looks(powers)
        ends = {}
        for method, power in powers.items():
            # a field without anomaly (coarse) has no power to draw on a logarithmic axis
            if not np.any(power > 1e-12 * np.max(powers['truth'])):
                continue
            upper.plot(wavelength, power, **looks[method])
            ends[_NAMES.get(method, method)] = (float(power[-1]), looks[method]['color'])
            if method != 'truth':
                lower.plot(wavelength, power / powers['truth'], **looks[method])
        upper.set(yscale='log', xscale='log', xlim=(wavelength[0] * 1.04, wavelength[-1] / 1.04))
        upper.set_ylim(bottom=max(upper.get_ylim()[0], 1e-3 * np.min(powers['truth'])))
        upper.set_title(f'power of the {name}', loc='left', pad=32 if marks else 6)
        lower.axhspan(1 / 1.5, 1.5, color='#000000', alpha=0.09, lw=0)
        lower.axhline(1, color='#000000', linewidth=1)
        drawn = np.concatenate([line.get_ydata() for line in lower.lines if len(line.get_ydata()) > 2] or [[1.0]])
        drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
        lower.set(yscale='log', ylim=(max(min(0.3, drawn.min() / 1.3), 0.01), max(3.0, drawn.max() * 1.3)))
        lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        lower.set_xlabel('wavelength (km)')
        ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if wavelength[-1] <= t <= wavelength[0]]
        lower.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
        lower.xaxis.set_minor_formatter(NullFormatter())
        lower.xaxis.set_minor_locator(NullLocator())
        _mark(upper, lower, {label: km for label, km in marks.items() if wavelength[-1] <= km <= wavelength[0]})
        _label_ends(upper, ends)
    axes[0, 0].set_ylabel(f'power in a ring ({unit}²)')
    axes[1, 0].set_ylabel('power / truth')
    axes[1, -1].annotate('factor 1.5', (1, 1), (6, 0), **_OUTSIDE, xycoords=('axes fraction', 'data'), color=_QUIET)
    return figure


_OUTSIDE: dict[str, Any] = {'textcoords': 'offset points', 'va': 'center', 'fontsize': 9, 'annotation_clip': False}


def _looks(names: Collection[str]) -> dict[str, dict]:
    spare = iter(_SPARE * len(names))
    return {name: _LINES.get(name) or {'color': next(spare)} for name in names}


def _mark(upper: Axes, lower: Axes, marks: Mapping[str, float]) -> None:
    for label, km in marks.items():
        for axes in (upper, lower):
            axes.axvline(km, color=_QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        upper.annotate(
            f'{label}\n{km:g} km', (km, 1), (0, 3), textcoords='offset points', xycoords=('data', 'axes fraction'),
            ha='center', va='bottom', fontsize=9, color=_QUIET,
        )  # fmt: skip


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names at the right ends of the lines, pushed apart where lines end together."""
    names = sorted(ends, key=lambda name: ends[name][0])
    to_axes = axes.transData + axes.transAxes.inverted()
    right = axes.get_xlim()[1]
    places = [float(np.clip(to_axes.transform((right, ends[name][0]))[1], 0, 1)) for name in names]
    gap = 0.065
    for _ in range(100):
        for i in range(len(places) - 1):
            push = (gap - (places[i + 1] - places[i])) / 2
            if push > 0:
                places[i], places[i + 1] = places[i] - push, places[i + 1] + push
        places = list(np.clip(places, 0, 1))
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            name, (1, place), (6, 0), xycoords='axes fraction', **_OUTSIDE, color=ends[name][1], fontweight='bold'
        )  # fmt: skip


@matplotlib.rc_context(_LOOK)
def training(rows: Sequence[Mapping], title: str = '', subtitle: str = '') -> Figure:
    """Losses by step from rows of metrics.jsonl (`task`, `step`, `train/loss`, `validation/loss`), a panel a task."""
    tasks = list(dict.fromkeys(str(row.get('task', 'training')) for row in rows)) or ['training']
    across = min(len(tasks), 3)
    down = -(-len(tasks) // across)
    figure = _figure(2.9 * down, title, subtitle)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for panel in axes[len(tasks) :]:
        panel.axis('off')
    for panel, task in zip(axes, tasks, strict=False):
        mine = [row for row in rows if str(row.get('task', 'training')) == task]
        panel.set_title(task, loc='left')
        panel.margins(x=0.02)
        panel.set_xlabel('step')
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f'{step:,.0f}'.replace(',', '\u202f')))
        ends = {}
        for name, look in (('train', _LINES['member']), ('validation', _LINES['regression'])):
            told = [(row['step'], row[f'{name}/loss']) for row in mine if row.get(f'{name}/loss') is not None]
            points = np.array([point for point in told if np.isfinite(point[1]) and point[1] > 0]).reshape(-1, 2)
            if len(points):
                panel.plot(*points.T, color=look['color'], marker='o' if len(points) < 20 else '', markersize=3.5)
                ends[name] = (points[-1, 1], look['color'])
        if ends:
            low, high = panel.dataLim.intervaly
            if high > 4 * low:
                panel.set_yscale('log')
                panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.yaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
            _label_ends(panel, ends)
    axes[0].set_ylabel('loss')
    return figure
