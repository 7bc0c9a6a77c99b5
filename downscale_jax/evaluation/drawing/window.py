"""Figures of a window of one time by every method, and of maps of the bias."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.colours import SIGNED, of_quantity
from downscale_jax.evaluation.drawing.frame import Frame
from downscale_jax.evaluation.drawing.style import LOOK, NAMES, WIDTH, blank, label_bar, top_of_scale
from downscale_jax.evaluation.protocol import Variable
from downscale_jax.fields.geometry.boxes import box_sums, largest

LINE = 24  # characters of a line of a label


@matplotlib.rc_context(LOOK)
def fields(
    shown: Mapping[str, np.ndarray],
    variables: Sequence[Variable],
    title: str,
    subtitle: str,
    frame: Frame,
) -> Figure:
    """A window of one time: one row per variable, one column per method {name: [H, W, V]}, the truth last."""
    names = [name for name in shown if name != 'truth'] + ['truth']
    height, width = shown['truth'].shape[:2]
    rows, columns = window(shown['truth'], max(1, min(height, width) // 2))
    part = frame.part(rows, columns, height)
    size = WIDTH / (len(names) + 2)  # and the width of the colour bar and the latitudes
    figure = blank((size * part.relative_height((1, 1)) + 0.2) * len(variables) + 0.4, title, subtitle)
    axes = figure.subplots(len(variables), len(names), squeeze=False)
    for v, variable in enumerate(variables):
        values = shown['truth'][rows, columns, v]
        low, high = (float(np.nanquantile(values, level)) for level in (0.005, 0.995))
        signed = low < 0 < high
        limit = max(-low, high) or 1.0
        scale: dict[str, Any] = {
            # from zero, temperatures would all have one colour
            'vmin': -limit if signed else 0 if 0 <= low < high / 2 else low,
            'vmax': limit if signed else high if high > low else low + 1,
            'cmap': SIGNED if signed else of_quantity(variable.quantity),
        }
        for panel, name in zip(axes[v], names, strict=True):
            image = part.show(panel, shown[name][rows, columns, v], interpolation='nearest', **scale)
            if v == 0:
                panel.set_title(NAMES.get(name, name), fontsize=9.5)
        axes[v, 0].set_ylabel(textwrap.fill(variable.label, LINE))
        label_bar(figure.colorbar(image, ax=list(axes[v]), shrink=0.85, pad=0.01), variable.units)
    return figure


def window(truth: np.ndarray, size: int) -> tuple[slice, slice]:
    """The window of `size` cells a side where the first variable of [H, W, V] deviates most from its mean."""
    first = truth[..., 0].astype(np.float64)
    sums = box_sums(np.nan_to_num(first - np.nanmean(first)) ** 2, size)
    row, column = largest(sums)
    return slice(row, row + size), slice(column, column + size)


@matplotlib.rc_context(LOOK)
def bias(
    maps: Mapping[str, Mapping[str, np.ndarray]],
    variables: Sequence[str],
    units: Sequence[str],
    title: str,
    subtitle: str,
    frame: Frame,
) -> Figure:
    """Maps {method: {'mean', 'standard_deviation': [H, W, V]}}: two rows per variable, one column per method."""
    rows = [(v, kind) for v in range(len(variables)) for kind in ('mean', 'standard_deviation')]
    shape = next(iter(maps.values()))['mean'].shape
    size = WIDTH / (len(maps) + 1.6) * min(frame.relative_height(shape), 1.0)
    figure = blank((size + 0.15) * len(rows) + 0.45, title, subtitle)
    axes = figure.subplots(len(rows), len(maps), squeeze=False)
    for line, (v, kind) in zip(axes, rows, strict=True):
        limit = max(top_of_scale(np.abs(statistics[kind][..., v]), 0.99) for statistics in maps.values())
        for panel, (name, statistics) in zip(line, maps.items(), strict=True):
            image = frame.show(panel, statistics[kind][..., v], vmin=-limit, vmax=limit, cmap=SIGNED)
            if (v, kind) == rows[0]:
                panel.set_title(name)
        line[0].set_ylabel(f'{textwrap.fill(variables[v], LINE)}\n{kind.replace("_", " ")}', fontsize=8.5)
        label_bar(figure.colorbar(image, ax=list(line), shrink=0.85, pad=0.01), units[v])
    return figure
