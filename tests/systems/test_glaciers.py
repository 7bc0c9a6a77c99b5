"""The system `glaciers`: what is refused before data are prepared or a network is trained."""

import runpy
from pathlib import Path

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import checks, glaciers

CONFIG = Path(__file__).parents[2] / 'configs' / 'glaciers.py'


def config(**changes):
    """The config of `:smoke` with changes {'data__patch': 30}."""
    settings = runpy.run_path(str(CONFIG))['get_config']('smoke').to_dict()
    for key, value in changes.items():
        section, name = key.split('__')
        settings[section][name] = value
    return settings


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'data__fold': 3}, r'data\.fold=3 with data\.folds=3'),
        ({'data__patch': 30}, r'data\.patch=30 is not a multiple of 8, the stride of the network: use 24 or 32'),
        ({'data__dates': ('2023-08-25', '2015-08-25')}, 'give the earlier date first'),
        ({'data__dates': ('2015-8-25',)}, r"data\.dates=\('2015-8-25',\): must be one or two dates"),
        ({'data__path': 'scenes.csv'}, r'without data\.outlines'),
        ({'data__bands': ()}, r'data\.bands=\(\): must be a sequence of strings, not empty'),
        ({'sampling__tile': 20}, r'sampling\.tile=20'),
        ({'model__network': 'resnet50'}, "model.network='resnet50' is unknown: did you mean 'resnet34'"),
    ],
)
def test_settings_that_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        checks.before_training(glaciers.SYSTEM, config(**changes))


def test_the_published_network_has_its_stride():
    with pytest.raises(UserError, match=r'data\.patch=40 is not a multiple of 32'):
        checks.before_training(glaciers.SYSTEM, config(data__patch=40, model__network='resnet34'))


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setattr(glaciers, 'EXTRA', ('rasterio', 'no_such_library'))
    with pytest.raises(UserError, match=r"needs no_such_library: pip install 'downscale_jax\[glaciers\]'"):
        checks.before_training(glaciers.SYSTEM, config())
