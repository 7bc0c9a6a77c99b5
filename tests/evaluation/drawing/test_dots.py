"""Dots with intervals: places of classes and methods, intervals beside their value, missing classes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from downscale_jax.evaluation.drawing.dots import GAP, SHIFT, dots
from downscale_jax.evaluation.drawing.style import looks

pytestmark = pytest.mark.filterwarnings('error')
METHODS = {
    'a': {'low': np.array([1.0, 0.5, 2.0]), 'high': np.array([2.0, 3.0, 4.0]), 'JJA': np.array([3.0, np.nan, np.nan])},
    'b': {'high': np.array([5.0, 4.0, 6.0])},
}


@pytest.mark.parametrize('along', ['x', 'y'])
def test_dots(along):
    axes = Figure().subplots()
    dots(axes, METHODS, [['low', 'high', 'absent'], ['JJA']], looks(METHODS, 'a'), along)
    order = slice(None) if along == 'x' else slice(None, None, -1)
    first, second = (line.get_xydata()[:, order] for line in axes.lines)
    np.testing.assert_allclose(first, [(-SHIFT / 2, 1), (1 - SHIFT / 2, 2), (3 + GAP - SHIFT / 2, 3)])
    np.testing.assert_allclose(second, [(1 + SHIFT / 2, 5)])
    intervals = axes.collections[0].get_segments()
    np.testing.assert_allclose(intervals[1][:, order], [(1 - SHIFT / 2, 3), (1 - SHIFT / 2, 4)])  # without its value
    axis = axes.xaxis if along == 'x' else axes.yaxis
    assert [label.get_text() for label in axis.get_ticklabels()] == ['low', 'high', 'absent', 'JJA']
