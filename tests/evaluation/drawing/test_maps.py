"""Maps draw every case without a warning and show what they were given."""

import numpy as np
import pytest
from cmcrameri import cm

from downscale_jax.evaluation.drawing import style as look
from downscale_jax.evaluation.drawing.frame import in_km
from downscale_jax.evaluation.drawing.maps import maps
from downscale_jax.evaluation.protocol import Variable

pytestmark = pytest.mark.filterwarnings('error')
PNG = b'\x89PNG'
ICE = Variable('sit', 'm', 'thickness', 1.0, 40.0, 10, quantity='sea-ice thickness')


def day(members=3, shape=(24, 30)):
    rng = np.random.default_rng(0)
    truth = rng.normal(1, 1, shape)
    ocean = np.ones(shape, bool)
    ocean[:6, :6] = False
    truth[~ocean] = truth[12, 12] = np.nan
    return rng.normal(1, 0.1, shape), rng.normal(1, 1, (members, *shape)), truth, ocean


def titles(figure):
    return [axes.get_title('left') for axes in figure.axes if axes.get_title('left')]


@pytest.mark.parametrize(
    ('members', 'options', 'expected'),
    [
        (1, {}, ['coarse input', 'prediction', 'truth', 'error']),
        (2, {}, ['ensemble mean', 'spread of the members', 'error of the mean']),
        (3, {'zoom': (8, 10, 8)}, ['ensemble mean', 'member 3', 'spread of the members', 'error of the mean']),
        (
            3,
            {'baseline': ('regression', np.ones((24, 30)))},
            ['regression', 'spread of the members', 'error of the mean'],
        ),
    ],
)
def test_maps(tmp_path, members, options, expected):
    figure = maps(*day(members), in_km(4.0), ICE, 'title', 'subtitle', **options)
    assert titles(figure)[-len(expected) :] == expected
    look.save(figure, tmp_path / 'maps.png')
    assert (tmp_path / 'maps.png').read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ['maps.png']


def test_maps_share_the_scale_of_the_truth():
    coarse, members, truth, ocean = day()
    figure = maps(coarse, members, truth, ocean, in_km(4.0), ICE)
    limits = {axes.get_title('left'): axes.images[1].get_clim() for axes in figure.axes if axes.get_title('left')}
    scale = tuple(np.quantile(truth[np.isfinite(truth)], (0.01, 0.99)))
    assert limits['coarse input'] == limits['member 1'] == limits['truth'] == limits['ensemble mean'] == scale
    assert {axes.images[1].get_cmap().name for axes in figure.axes[:4]} == {cm.devon.name}
    low, high = limits['error of the mean']
    assert low == -high


def test_maps_of_a_day_without_truth():
    coarse, members, truth, ocean = day()
    maps(coarse, members, np.full_like(truth, np.nan), ocean, in_km(4.0), ICE).canvas.draw()
