"""Shares of places, and quantiles of members against normal ones."""

from io import BytesIO

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import bars

pytestmark = pytest.mark.filterwarnings('error')
ROW = {'better': 2, 'worse': 1, 'equal': 0}


def compared(names, variables, row=ROW):
    return {name: {rival: dict.fromkeys(variables, row) for rival in names if rival != name} for name in names}


@pytest.mark.parametrize('variables', ['a', 'ab'])
def test_shares_of_places(variables):
    figure = bars.places(compared('xyz', variables), variables, 'title', 'subtitle')
    figure.savefig(BytesIO(), dpi=30)
    assert len(figure.axes) == len(variables)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ['y against x', 'z against x', 'z against y']
    assert all(panel.yaxis_inverted() for panel in figure.axes)  # the first pair on top
    np.testing.assert_allclose([bar.get_width() for bar in figure.axes[-1].patches], [2 / 3, 0, 1 / 3] * 3)


def test_no_pair_and_no_place():
    nothing = dict.fromkeys(ROW, 0)
    for shown in ({}, compared('xy', 'a', nothing)):
        bars.places(shown, 'a', 'title', 'subtitle').savefig(BytesIO(), dpi=30)


def test_normality():
    expected = np.linspace(-3, 3, 9)
    figure = bars.normality({'a': expected, 'b': expected}, {'a': expected, 'b': 1.2 * expected}, 'title', 'subtitle')
    figure.savefig(BytesIO(), dpi=30)
    members = figure.axes[1].lines[-1]
    np.testing.assert_allclose(members.get_xdata(), expected)
    np.testing.assert_allclose(members.get_ydata(), 1.2 * expected)
