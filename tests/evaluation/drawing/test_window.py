"""A window by every method, and maps of the bias."""

from io import BytesIO

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import window

pytestmark = pytest.mark.filterwarnings('error')
SHAPE = (16, 24)


@pytest.mark.parametrize('count', [1, 2])
def test_panels(count):
    variables, units, rng = ('a', 'b')[:count], ('s-1', 'K')[:count], np.random.default_rng(0)
    shown = {name: rng.normal(size=(*SHAPE, count)) for name in ('truth', 'coarse', 'bicubic')}
    shown['bicubic'][3, 4] = np.nan
    figure = window.fields(shown, variables, units, 'title', 'subtitle')
    figure.savefig(BytesIO(), dpi=30)
    assert len(figure.axes) == count * (3 + 1)  # and a colour bar
    assert [panel.get_title('left') for panel in figure.axes[:3]] == ['coarse', 'bicubic', 'truth']
    maps = {name: {kind: rng.normal(size=(*SHAPE, count)) for kind in ('mean', 'standard_deviation')} for name in 'mn'}
    maps['m']['mean'][:] = np.nan  # a method without a value
    figure = window.bias(maps, variables, units, 'title', 'subtitle')
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
