"""Figures of the calibration of ensembles."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from downscale_jax.evaluation.drawing.dots import dots
from downscale_jax.evaluation.drawing.style import LINES, LOOK, QUIET, band, blank, legend, looks, ticks


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
    drawn = looks(crps, main)
    figure = blank(6.6, title, subtitle)
    (histogram, curve), (skill, error) = figure.subplots(2, 2, height_ratios=(6, 5))

    for name, frequency in ranks.items():
        value, low, high = frequency.T
        edges = np.linspace(0, 1, len(value) + 1)
        histogram.stairs(value, edges, fill=name == main, alpha=0.25 if name == main else 0, color=drawn[name]['color'])
        histogram.stairs(value, edges, **{'linewidth': 1.8, **drawn[name]})
        if name == main:
            histogram.vlines((edges[1:] + edges[:-1]) / 2, low, high, color=drawn[name]['color'], linewidth=1.2)
    histogram.axhline(1, color='#000000', linewidth=1)
    histogram.set(xlim=(0, 1), ylim=(0, None), xlabel='rank of the truth / members', ylabel='frequency / flat')
    histogram.set_title('rank histogram')

    curve.plot([0, 1], [0, 1], color='#000000', linewidth=1)
    for name, (nominal, observed) in reliability.items():
        band(curve, nominal, observed, **drawn[name])
    curve.set(xlim=(0, 1), ylim=(0, 1), aspect='equal', xlabel='nominal quantile of the ensemble')
    curve.set(ylabel='truth lies below', title='reliability')

    for axes, methods, name in ((skill, spread_skill, 'spread / skill'), (error, crps, f'CRPS ({unit})')):
        dots(axes, methods, classes, drawn, 'x', rotation=30, ha='right', rotation_mode='anchor')
        axes.margins(x=0.04)
        axes.set(ylim=(0, 1.05 * axes.get_ylim()[1]), xlabel=f'coarse field ({unit}); season', title=name)
    skill.axhline(1, color='#000000', linewidth=1)
    legend(figure, [Line2D([], [], label=name, marker='o', markersize=4, **look) for name, look in drawn.items()])
    return figure


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
        values = np.array(list(by_number.values()))
        perfect = spreads[variable] * np.sqrt(1 + 1 / numbers)
        band(panel, numbers, values, marker='o', **LINES['mean'])
        panel.plot(numbers, perfect, color=QUIET, linestyle=(0, (1, 1.4)))
        highest = np.nanmax([*values.flat, *perfect])
        panel.set(xscale='log', xlabel='members in the mean', ylabel=f'RMSE ({units[variable]})', title=variable)
        panel.set_ylim(0, 1.05 * highest)
        ticks(panel, numbers, [str(n) for n in numbers])
    return figure
