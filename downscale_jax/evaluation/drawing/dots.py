"""Dots with intervals by class."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from downscale_jax.evaluation.labels import shortened

GAP = 0.5  # between groups, relative to the distance between classes
SHIFT = 0.16  # between methods


def dots(
    axes: Axes,
    methods: Mapping[str, Mapping[str, np.ndarray]],
    groups: Sequence[Sequence[str]],
    looks: Mapping[str, Mapping[str, Any]],
    along: Literal['x', 'y'],
    **text: Any,
) -> None:
    """A dot with its interval for each method in each class, {method: {class: [3]}}, classes along one of the axes.

    Groups of classes are separated; `text`: the look of the names of classes. Not `errorbar`, which refuses an interval
    that does not contain its value.
    """
    classes = [(name, number) for number, group in enumerate(groups) for name in group]
    places = {name: index + GAP * number for index, (name, number) in enumerate(classes)}
    for index, (method, by_class) in enumerate(methods.items()):
        known = [name for name in places if name in by_class]
        at = np.array([places[name] for name in known]) + SHIFT * (index - (len(methods) - 1) / 2)
        value, low, high = np.array([by_class[name] for name in known]).reshape(-1, 3).T
        color = looks[method]['color']
        axes.plot(*((at, value) if along == 'x' else (value, at)), 'o', markersize=4.5, color=color, label=method)
        lines = axes.vlines if along == 'x' else axes.hlines
        lines(at, low, high, color=color, linewidth=1.2)
    axis = axes.xaxis if along == 'x' else axes.yaxis
    axis.set_ticks(list(places.values()), list(map(shortened, places)), **text)
    axes.tick_params(axis=along, length=0)
