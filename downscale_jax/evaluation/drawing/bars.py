"""Figures of shares of places, and of quantiles against normal quantiles."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.style import LINES, LOOK, blank, legend

NARROW = 0.05  # share of a bar below which a number does not fit
SHARES = {'better': '#0072b2', 'equal': '#c9cdd2', 'worse': '#d55e00'}


@matplotlib.rc_context(LOOK)
def places(
    compared: Mapping[str, Mapping[str, Mapping[str, Any]]], variables: Sequence[str], title: str, subtitle: str
) -> Figure:
    """Shares of places where a method is better than, equal to or worse than each one before it, one bar per pair."""
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
        panel.set(xlim=(0, 1), ylim=(max(len(pairs), 1) - 0.5, -0.5), xlabel='share of the places', title=variable)
        panel.set_yticks(range(len(pairs)), [f'{name} against {rival}' for name, rival in pairs])
        panel.tick_params(axis='y', length=0)
    if pairs:
        legend(figure, axes[0].get_legend_handles_labels()[0])
    return figure


@matplotlib.rc_context(LOOK)
def normality(
    expected: Mapping[str, np.ndarray], quantiles: Mapping[str, np.ndarray], title: str = '', subtitle: str = ''
) -> Figure:
    """Quantiles [P] of standardised members against normal quantiles, one panel per variable."""
    figure = blank(3.6, title, subtitle)
    axes = figure.subplots(1, len(quantiles), squeeze=False)[0]
    for panel, (variable, values) in zip(axes, quantiles.items(), strict=True):
        panel.axline((0, 0), slope=1, **LINES['truth'])
        panel.plot(expected[variable], values, 'o', color=LINES['member']['color'], markersize=4)
        panel.set(xlim=(-4, 4), ylim=(-4, 4), aspect='equal', title=variable)
        panel.set(xlabel='normal quantile', ylabel='quantile of the members')
    return figure
