"""Figures of the calibration of ensembles."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from downscale_jax.evaluation.drawing.style import LINES, LOOK, QUIET, blank, legend, looks, ticks
from downscale_jax.evaluation.labels import shortened


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
    """Rank histogram and reliability curve of the ensembles, the last of which is emphasised; below, scores by class.

    ranks {ensemble: [M + 1, 3]}; reliability {ensemble: (nominal [M], observed [M, 3])}; spread_skill, crps {method:
    {class: [3]}}; classes: groups of names in the order of drawing.
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
        axes.set(ylim=(0, 1.05 * axes.get_ylim()[1]), xlabel=f'coarse field ({unit}); season')
    skill.axhline(1, color='#000000', linewidth=1)
    skill.set_title('spread / skill', loc='left')
    error.set_title(f'CRPS ({unit})', loc='left')
    legend(figure, [Line2D([], [], label=name, marker='o', markersize=4, **look) for name, look in drawn.items()])
    return figure


def _bars(axes: Axes, x: np.ndarray, values: np.ndarray, color: str) -> None:
    """Intervals of values [n, 3] at x; undefined ones are left out."""
    axes.vlines(x, values[:, 1], values[:, 2], color=color, linewidth=1.2)


def _classes(axes: Axes, methods: Mapping[str, Mapping], classes: Sequence[Sequence[str]], drawn: Mapping) -> None:
    """A dot with its interval for each method in each class; groups of classes are separated."""
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
    axes.set_xticks(
        list(places.values()), list(map(shortened, places)), rotation=30, ha='right', rotation_mode='anchor'
    )
    axes.tick_params(axis='x', length=0)
    axes.margins(x=0.04)


@matplotlib.rc_context(LOOK)
def by_size(
    errors: Mapping[str, Mapping[int, np.ndarray]],
    spreads: Mapping[str, float],
    units: Mapping[str, str],
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """RMSE of the mean of n members, one panel per variable: errors {variable: {n: [3]}}, n ascending.

    Dotted: the expected error if the truth were a member, spread x sqrt(1 + 1/n), from the `spreads` of the whole
    ensemble.
    """
    figure = blank(2.8, title, subtitle)
    axes = figure.subplots(1, len(errors), squeeze=False)[0]
    for panel, (variable, by_number) in zip(axes, errors.items(), strict=True):
        numbers = np.array(list(by_number))
        value, low, high = np.array(list(by_number.values())).T
        perfect = spreads[variable] * np.sqrt(1 + 1 / numbers)
        panel.plot(numbers, value, marker='o', **LINES['mean'])
        panel.fill_between(numbers, low, high, color=LINES['mean']['color'], alpha=0.15, lw=0)
        panel.plot(numbers, perfect, color=QUIET, linestyle=(0, (1, 1.4)))
        highest = np.nanmax([*high, *value, *perfect])
        panel.set(
            xscale='log', xlabel='members in the mean', ylabel=f'RMSE ({units[variable]})', ylim=(0, 1.05 * highest)
        )
        ticks(panel, numbers, [str(n) for n in numbers])
        panel.set_title(variable, loc='left')
    return figure
