"""Curves of the report, by wavelength, by rank and class, and by step: arrays in, a Figure out."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from downscale_jax.evaluation.drawing.style import LINES, LOOK, NAMES, OUTSIDE, QUIET, blank, label_ends, looks

Marks = Mapping[str, float]  # label -> km
NO_WINDOW = 'No window of the scored days is free of land and half covered: no spectrum.'


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
    """Power by wavelength, below it its ratio to the truth's; the field at the left, its anomaly at the right.

    wavelength [n] in km; field, anomaly: {line: power [n]} with 'truth' among them ('coarse', 'member' and 'mean' have
    fixed colours); marks such as {'kernel': 120, '4 cells': 16}. The shaded band is the truth's power within a factor
    of 1.5. Without lines the figure says that no window was free of land.
    """
    if not field:
        return _nothing(title, subtitle)
    figure = blank(5.6, title, subtitle)
    axes = figure.subplots(2, 2, height_ratios=(3, 2), sharex=True)
    for name, powers, (upper, lower) in zip(('field', 'anomaly'), (field, anomaly), axes.T, strict=True):
        drawn, ends = looks(powers), {}
        for line, power in powers.items():
            # a field without anomaly (coarse) has no power to draw on a logarithmic axis
            if not np.any(power > 1e-12 * np.max(powers['truth'])):
                continue
            upper.plot(wavelength, power, **drawn[line])
            ends[NAMES.get(line, line)] = (float(power[-1]), drawn[line]['color'])
            if line != 'truth':
                lower.plot(wavelength, power / powers['truth'], **drawn[line])
        upper.set_yscale('log')
        upper.set_ylim(bottom=max(upper.get_ylim()[0], 1e-3 * np.min(powers['truth'])))
        upper.set_title(f'power of the {name}', loc='left', pad=32 if marks else 6)
        lower.axhspan(1 / 1.5, 1.5, color='#000000', alpha=0.09, lw=0)
        lower.axhline(1, color='#000000', linewidth=1)
        shown = np.concatenate([line.get_ydata() for line in lower.lines if len(line.get_ydata()) > 2] or [[1.0]])
        shown = shown[np.isfinite(shown) & (shown > 0)]
        lower.set(yscale='log', ylim=(max(min(0.3, shown.min() / 1.3), 0.01), max(3.0, shown.max() * 1.3)))
        lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        _by_wavelength(lower, wavelength)
        _mark(upper, lower, wavelength, marks)
        label_ends(upper, ends)
    axes[0, 0].set_ylabel(f'power in a ring ({unit}²)')
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
    """What is known at each wavelength: power of the error over that of the coarse field, correlation with the truth.

    error, correlation: {line: [n, 3]}, value, low, high, without the coarse field, whose error is 1; the band is the
    interval. The shaded wavelengths, from the kernel (in marks) down to `beaten` km (NaN: none), are those where the
    mean beats the coarse field. Without lines the figure says that no window was free of land.
    """
    if not error:
        return _nothing(title, subtitle)
    figure = blank(3.6, title, subtitle)
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, lines in ((left, error), (right, correlation)):
        drawn = looks(lines)
        for line, values in lines.items():
            value, low, high = values.T
            axes.plot(wavelength, value, label=NAMES.get(line, line), **drawn[line])
            axes.fill_between(wavelength, low, high, color=drawn[line]['color'], alpha=0.15, lw=0)
        if np.isfinite(beaten):
            axes.axvspan(max(marks['kernel'], beaten), beaten, color='#007f5f', alpha=0.08, lw=0)
        _by_wavelength(axes, wavelength)
        _mark(axes, axes, wavelength, marks)
    left.axhline(1, color='#6b6b6b', linewidth=1.4, linestyle=(0, (1, 1.4)), label='coarse')
    left.set_ylim(0, max(left.get_ylim()[1], 1.2))
    right.set_ylim(min(right.get_ylim()[0], 0), 1)
    left.set_title('power of the error / coarse field', loc='left', pad=32)
    right.set_title('correlation of the anomaly with the truth', loc='left', pad=32)
    _legend(figure, left.get_legend_handles_labels()[0])
    return figure


def _nothing(title: str, subtitle: str) -> Figure:
    figure = blank(1.2, title, subtitle)
    figure.text(0.012, 0.3, NO_WINDOW)
    return figure


def _by_wavelength(axes: Axes, wavelength: np.ndarray) -> None:
    axes.set(xscale='log', xlim=(wavelength[0] * 1.04, wavelength[-1] / 1.04), xlabel='wavelength (km)')
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if wavelength[-1] <= t <= wavelength[0]]
    axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _mark(upper: Axes, lower: Axes, wavelength: np.ndarray, marks: Marks) -> None:
    for label, km in marks.items():
        if not wavelength[-1] <= km <= wavelength[0]:
            continue
        for axes in {upper, lower}:
            axes.axvline(km, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        upper.annotate(
            f'{label}\n{km:g} km', (km, 1), (0, 3), textcoords='offset points', xycoords=('data', 'axes fraction'),
            ha='center', va='bottom', fontsize=9, color=QUIET,
        )  # fmt: skip


@matplotlib.rc_context(LOOK)
def calibration(
    ranks: Mapping[str, np.ndarray],
    reliability: Mapping[str, tuple[np.ndarray, np.ndarray]],
    spread_skill: Mapping[str, Mapping[str, np.ndarray]],
    crps: Mapping[str, Mapping[str, np.ndarray]],
    classes: Sequence[Sequence[str]],
    unit: str,
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Rank histogram and reliability curve of the ensembles, the last of them the main one; below, scores by class.

    ranks {ensemble: [M + 1, 3]}; reliability {ensemble: (nominal [M], observed [M, 3])}; spread_skill, crps {method:
    {class: [3]}}, each value, low, high; classes: groups of names in the order in which they are drawn.
    """
    main = list(ranks)[-1]
    others = looks([name for name in crps if name != main])
    drawn = {name: LINES['member'] if name == main else others[name] for name in crps}
    figure = blank(6.6, title, subtitle)
    (histogram, curve), (skill, error) = figure.subplots(2, 2, height_ratios=(6, 5))

    for name, frequency in ranks.items():
        value, low, high = frequency.T
        edges = np.linspace(0, 1, len(value) + 1)
        histogram.stairs(value, edges, fill=name == main, alpha=0.25 if name == main else 0, color=drawn[name]['color'])
        histogram.stairs(value, edges, **{'linewidth': 1.8, **drawn[name]})
        if name == main:
            _bars(histogram, (edges[1:] + edges[:-1]) / 2, frequency, drawn[name]['color'])
    histogram.axhline(1, color='#000000', linewidth=1)
    histogram.set(xlim=(0, 1), ylim=(0, None), xlabel='rank of the truth / members', ylabel='frequency / flat')
    histogram.set_title('rank histogram', loc='left')

    curve.plot([0, 1], [0, 1], color='#000000', linewidth=1)
    for name, (nominal, observed) in reliability.items():
        value, low, high = observed.T
        curve.plot(nominal, value, label=name, **drawn[name])
        curve.fill_between(nominal, low, high, color=drawn[name]['color'], alpha=0.15, lw=0)
    curve.set(xlim=(0, 1), ylim=(0, 1), aspect='equal', xlabel='nominal quantile of the ensemble')
    curve.set_ylabel('truth lies below')
    curve.set_title('reliability', loc='left')

    for axes, methods in ((skill, spread_skill), (error, crps)):
        _classes(axes, methods, classes, drawn)
        axes.set(ylim=(0, None), xlabel=f'coarse field ({unit}); season')
    skill.axhline(1, color='#000000', linewidth=1)
    skill.set_title('spread / skill', loc='left')
    error.set_title(f'CRPS ({unit})', loc='left')
    _legend(figure, [Line2D([], [], label=name, marker='o', markersize=4, **look) for name, look in drawn.items()])
    return figure


def _legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """At the right of the headline, where ends of lines would lie on each other."""
    figure.legend(handles=list(handles), loc='upper right', ncols=len(handles), frameon=False, fontsize=9)


def _bars(axes: Axes, x: np.ndarray, values: np.ndarray, color: str) -> None:
    """Intervals of values [n, 3] at x; those that are not known are left out."""
    axes.vlines(x, values[:, 1], values[:, 2], color=color, linewidth=1.2)


def _classes(axes: Axes, methods: Mapping[str, Mapping], classes: Sequence[Sequence[str]], drawn: Mapping) -> None:
    """A dot with its interval for each method in each class; groups of classes stand apart."""
    place, places = 0.0, {}
    for group in classes:
        for name in group:
            places[name] = place
            place += 1
        place += 0.5
    for index, (method, by_class) in enumerate(methods.items()):
        shift = 0.16 * (index - (len(methods) - 1) / 2)
        values = np.array([by_class[name] for name in places if name in by_class]).reshape(-1, 3)
        x = np.array([at + shift for name, at in places.items() if name in by_class])
        axes.plot(x, values[:, 0], marker='o', markersize=4.5, linestyle='', color=drawn[method]['color'])
        _bars(axes, x, values, drawn[method]['color'])
    axes.set_xticks(list(places.values()), list(places), rotation=30, ha='right', rotation_mode='anchor')
    axes.tick_params(axis='x', length=0)
    axes.margins(x=0.04)


@matplotlib.rc_context(LOOK)
def training(rows: Sequence[Mapping], title: str = '', subtitle: str = '') -> Figure:
    """Losses by step from rows of metrics.jsonl (`task`, `step`, `train/loss`, `validation/loss`), a panel a task."""
    tasks = list(dict.fromkeys(str(row.get('task', 'training')) for row in rows)) or ['training']
    across = min(len(tasks), 3)
    down = -(-len(tasks) // across)
    figure = blank(2.9 * down, title, subtitle)
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
        for name, look in (('train', LINES['member']), ('validation', looks(['validation'])['validation'])):
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
            label_ends(panel, ends)
    axes[0].set_ylabel('loss')
    return figure
