"""A window by every method, and maps of the bias."""

from io import BytesIO

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import window
from downscale_jax.evaluation.drawing.frame import in_km
from downscale_jax.evaluation.protocol import Variable

pytestmark = pytest.mark.filterwarnings('error')
SHAPE = (16, 24)


@pytest.mark.parametrize('count', [1, 2])
def test_panels(count):
    units, rng = ('s-1', 'K')[:count], np.random.default_rng(0)
    variables = [Variable(name, unit, name, 1.0, 1.0, 1) for name, unit in zip('ab', units, strict=False)]
    shown = {name: rng.normal(size=(*SHAPE, count)) for name in ('truth', 'coarse', 'bicubic')}
    shown['bicubic'][3, 4] = np.nan
    frame = in_km(5.0)
    figure = window.fields(shown, variables, 'title', 'subtitle', frame)
    figure.savefig(BytesIO(), dpi=30)
    assert len(figure.axes) == count * (3 + 1)  # and a colour bar
    assert [panel.get_title('left') for panel in figure.axes[:3]] == ['coarse', 'bicubic', 'truth']
    row, column = (part.start for part in window.window(shown['truth'], 8))
    assert figure.axes[0].get_xlim() == (5 * column, 5 * (column + 8))
    assert figure.axes[0].get_ylim() == (5 * row, 5 * (row + 8))
    maps = {name: {kind: rng.normal(size=(*SHAPE, count)) for kind in ('mean', 'standard_deviation')} for name in 'mn'}
    maps['m']['mean'][:] = np.nan  # a method without a value
    figure = window.bias(maps, 'ab'[:count], units, 'title', 'subtitle', frame)
    figure.savefig(BytesIO(), dpi=30)
    assert len(figure.axes) == 2 * count * (2 + 1)


def test_window_of_the_strongest_values():
    truth = np.zeros((*SHAPE, 2))
    truth[5:9, 11:15, 0] = -1
    truth[0, 0, 1] = 9  # of the second variable
    truth[15, 23, 0] = np.nan
    assert window.window(truth, 4) == (slice(5, 9), slice(11, 15))
    assert window.window(truth[:8, :8], 8) == (slice(0, 8), slice(0, 8))


def test_window_where_the_field_varies_most():
    truth = np.full((*SHAPE, 1), 301.0)
    truth[:, :12, 0] = 300 + 20 * (-1) ** np.arange(12)  # varied, and a degree colder
    assert window.window(truth, 8)[1].stop <= 12
