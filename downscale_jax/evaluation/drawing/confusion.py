"""Confusion matrices of classes with names."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.style import INK, LOOK, blank
from downscale_jax.evaluation.statistics.bootstrap import ratio

LEAST = 0.005  # share that is printed as a number
WIDTH = 60  # characters that fit side by side


@matplotlib.rc_context(LOOK)
def confusion(matrices: Mapping[str, np.ndarray], names: Sequence[str], title: str = '', subtitle: str = '') -> Figure:
    """Shares of the images of each true class (row of [K, K]) by predicted class, one panel per method."""
    figure = blank(4.3, title, subtitle)
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    labels = [name.replace('_', ' ') for name in names]
    long = len(matrices) * len(labels) * max(map(len, labels)) > WIDTH
    turned = {'rotation': 40, 'ha': 'right', 'rotation_mode': 'anchor'} if long else {}
    for panel, (name, matrix) in zip(axes, matrices.items(), strict=True):
        shares = ratio(matrix, matrix.sum(1, keepdims=True))
        panel.imshow(shares, vmin=0, vmax=1, cmap='Blues')
        for (row, column), share in np.ndenumerate(shares):
            if share >= LEAST:
                color = 'white' if share > 0.6 else INK
                panel.text(column, row, f'{share:.2f}', ha='center', va='center', fontsize=8, color=color)
        panel.set(xlabel='predicted', ylabel='true', title=name)
        panel.set_xticks(range(len(names)), labels, **turned)
        panel.set_yticks(range(len(names)), labels)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    return figure
