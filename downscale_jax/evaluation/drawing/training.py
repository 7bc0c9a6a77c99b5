"""Figures of the training and validation losses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from downscale_jax.evaluation import results
from downscale_jax.evaluation.drawing.style import LINES, LOOK, blank, label_ends, looks
from downscale_jax.training.log import read


def losses(workdir: Path, subtitle: str) -> results.Figure:
    """The report's figure of the losses logged in a work directory."""
    rows = read(workdir / 'metrics.jsonl')
    return results.Figure('training', 'Losses in training and validation.', training(rows, 'Training', subtitle))


@matplotlib.rc_context(LOOK)
def training(rows: Sequence[Mapping], title: str = '', subtitle: str = '') -> Figure:
    """Losses by step from rows of metrics.jsonl (task, step, train/loss, validation/loss), one panel per task."""
    tasks = list(dict.fromkeys(row['task'] for row in rows)) or ['training']
    across = min(len(tasks), 3)
    down = -(-len(tasks) // across)
    figure = blank(2.9 * down, title, subtitle)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for panel in axes[len(tasks) :]:
        panel.axis('off')
    for panel, task in zip(axes, tasks, strict=False):
        mine = [row for row in rows if row['task'] == task]
        panel.set(xlabel='step', title=task)
        panel.margins(x=0.02)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f'{step:,.0f}'.replace(',', '\u202f')))
        ends = {}
        for name, look in (('train', LINES['member']), ('validation', looks(['validation'])['validation'])):
            known = [(row['step'], row[f'{name}/loss']) for row in mine if row.get(f'{name}/loss') is not None]
            points = np.array([point for point in known if np.isfinite(point[1]) and point[1] > 0]).reshape(-1, 2)
            if len(points):
                panel.plot(*points.T, color=look['color'], marker='o' if len(points) < 20 else '', markersize=3.5)
                ends[name] = (points[-1, 1], look['color'])
        if ends:
            low, high = panel.dataLim.intervaly
            if high > 4 * low:
                panel.set_yscale('log')
                panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.yaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_formatter('{x:g}')
            label_ends(panel, ends)
    axes[0].set_ylabel('loss')
    return figure
