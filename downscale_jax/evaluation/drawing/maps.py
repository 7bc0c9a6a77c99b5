"""Figure of the maps of one time."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from downscale_jax.evaluation.drawing.colours import SIGNED, SPREAD, of_quantity
from downscale_jax.evaluation.drawing.frame import Frame
from downscale_jax.evaluation.drawing.style import INK, LAND, LOOK, NOTHING, WIDTH, blank, label_bar, top_of_scale
from downscale_jax.evaluation.protocol import Variable

GAP = 0.13  # between rows, in inches: titles stay clear of the ticks above
MARGIN = 0.9  # width of labels and gaps, in inches


@matplotlib.rc_context(LOOK)
def maps(
    coarse: np.ndarray,
    members: np.ndarray,
    truth: np.ndarray,
    ocean: np.ndarray,
    frame: Frame,
    variable: Variable,
    title: str = '',
    subtitle: str = '',
    baseline: tuple[str, np.ndarray] | None = None,
    zoom: tuple[int, int, int] | None = None,
) -> Figure:
    """Coarse input, two members and truth; a zoom into them; ensemble mean, baseline, spread and error of the mean.

    coarse, truth [H, W], NaN where missing; members [M, H, W]; ocean bool [H, W], the rest is drawn as land; baseline
    (name, field [H, W]), a third member if None; zoom (row, column, cells) adds a row.
    Fields share one colour scale, that of the truth's 1 to 99 %.
    """
    known = np.isfinite(truth) & ocean
    average, ensemble = members.mean(0), len(members) > 1
    error = np.where(known, average - truth, np.nan)
    third = (members[2], 'member 3') if len(members) > 2 else None
    third = third if baseline is None else (baseline[1], baseline[0])
    if ensemble:
        spread = np.where(ocean, members.std(0, ddof=1), np.nan)
        top = [(coarse, 'coarse input'), (members[0], 'member 1'), (members[1], 'member 2'), (truth, 'truth')]
        below = [(average, 'ensemble mean'), third, (spread, 'spread of the members'), (error, 'error of the mean')]
    else:
        top = [(coarse, 'coarse input'), (average, 'prediction'), (truth, 'truth'), (error, 'error')]
        below = None

    low, high = np.quantile(truth[known], (0.01, 0.99)) if known.any() else (0.0, 1.0)
    looks: list[dict[str, Any]] = [
        {'vmin': low, 'vmax': high if high > low else low + 1, 'cmap': of_quantity(variable.quantity)}
    ] * 4
    limit = top_of_scale(np.abs(error[known]), 0.99)
    signed: dict[str, Any] = {'vmin': -limit, 'vmax': limit, 'cmap': SIGNED}

    size = (WIDTH - MARGIN) / 4
    tall = size * min(max(frame.relative_height(truth.shape), 0.5), 1.6)
    square = size * min(max(frame.relative_height((1, 1)), 0.5), 1.6)
    heights = [tall] + [square] * bool(zoom) + [tall] * ensemble
    figure = blank(sum(heights) + 1.25 + 0.15 * len(heights), title, subtitle, gap=GAP)
    axes = figure.subplots(len(heights), 4, squeeze=False, height_ratios=heights)
    top_looks = looks if ensemble else [*looks[:3], signed]
    images = [
        _map(panel, values, name, ocean, frame, **look)
        for panel, (values, name), look in zip(axes[0], top, top_looks, strict=True)
    ]
    if zoom:
        for index in range(4):
            _map(axes[1, index], top[index][0], '', ocean, frame, **top_looks[index])
            _zoom(axes[0, index], axes[1, index], frame.box(*zoom, truth.shape[0]))
    fields = 3
    if below:
        positive: dict[str, Any] = {'vmin': 0, 'vmax': top_of_scale(spread[known], 0.99), 'cmap': SPREAD}
        for index, (field, look) in enumerate(zip(below, [*looks[:2], positive, signed], strict=True)):
            images[index] = _map(axes[-1, index], field[0], field[1], ocean, frame, **look) if field else None
        _bar(figure, images[2], axes[-1, 2], 'standard deviation', variable.units, 'max')
        fields = 2 if third else 1
    _bar(figure, images[0], axes[-1, :fields], variable.label, variable.units, 'both')
    _bar(figure, images[3], axes[-1, 3], 'prediction − truth', variable.units, 'both')
    _tidy(axes, frame)
    return figure


def _map(axes: Axes, values: np.ndarray, name: str, ocean: np.ndarray, frame: Frame, **look):
    """Draws one field; land is grey, sea without a value nearly white."""
    placed: dict[str, Any] = {
        'extent': frame.extent(values.shape),
        'origin': frame.origin,
        'aspect': frame.aspect,
        # cells wider than a pixel keep their edges; finer ones are averaged instead of subsampled
        'interpolation': 'nearest' if values.shape[1] <= 320 else 'auto',
    }
    axes.imshow(ocean, cmap=ListedColormap([LAND, NOTHING]), vmin=0, vmax=1, **placed)
    shown = np.ma.masked_where(~ocean | ~np.isfinite(values), values)
    image = axes.imshow(shown, **placed, **look)
    frame.draw_coast(axes)
    axes.set_title(name)
    frame.label(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2.5)
    return image


def _zoom(whole: Axes, part: Axes, box: tuple[float, float, float, float]) -> None:
    """Shows the box (left, right, bottom, top) of the whole map in `part`."""
    left, right, bottom, top = box
    part.set(xlim=(left, right), ylim=(bottom, top))
    for colour, width in (('white', 2.4), (INK, 1.1)):  # readable on any colour
        whole.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, ec=colour, lw=width))
    part.spines[:].set(visible=True, color=INK)


def _bar(figure: Figure, image, axes, quantity: str, unit: str, extend: str) -> None:
    bar = figure.colorbar(
        image, ax=axes, location='bottom', extend=extend, shrink=0.86, aspect=22 if np.size(axes) < 2 else 46, pad=0.03
    )
    label_bar(bar, unit, quantity)
    bar.locator = MaxNLocator(4 if np.size(axes) < 2 else 7)
    bar.update_ticks()


def _tidy(axes: np.ndarray, frame: Frame) -> None:
    """Labels at the left and lower edges only; panels without a map are hidden."""
    for row in axes:
        row[0].set_ylabel('' if frame.degrees else 'km')
        for index, panel in enumerate(row):
            panel.tick_params(labelleft=index == 0)
            if not panel.images:
                panel.axis('off')
