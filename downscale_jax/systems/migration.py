"""Configs of older work directories, brought to today's form.

config.json holds the `version` of its layout. To change the layout, raise `VERSION`, add the entry of the version left
behind to `CHANGES`, and extend the test: work directories of users keep working. Version 1 is that of config.json
without a version.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.runtime.errors import UserError

VERSION = 3


class Change(NamedTuple):
    """A setting that has a new name, or values of a new meaning; `section.name`, both in the same section."""

    old: str
    new: str
    value: Callable[[Any, dict[str, Any]], Any] = lambda value, config: value


def none_if_zero(value: Any, config: dict[str, Any]) -> Any:
    """Zero stood for "not set"."""
    return value or None


def pairs(bounds: Any, config: dict[str, Any]) -> Any:
    """One pair of bounds stood for all variables."""
    return bounds if np.ndim(bounds) == 2 else [bounds] * len(config['data'].get('variables', [None]))


CHANGES: dict[int, tuple[Change, ...]] = {
    1: (
        Change('sampling.temperature', 'sampling.temperature', none_if_zero),
        Change('data.bounds', 'data.bounds', pairs),
        Change('evaluation.days', 'evaluation.records', none_if_zero),
        Change('evaluation.times', 'evaluation.records', none_if_zero),
        Change('evaluation.fit_days', 'evaluation.calibration_records'),
        Change('evaluation.ice', 'evaluation.zones', lambda threshold, config: [['ice', threshold]]),
        Change('evaluation.regimes', 'evaluation.regimes', lambda edges, config: [edges]),
    ),
}
MEASURES = (
    'examples', 'pointwise', 'anomaly_correlation', 'similarity', 'scales', 'spectra', 'semivariogram',
    'distribution', 'places', 'extremes', 'hot_dry', 'lag1', 'closure', 'bounds', 'normality', 'seams',
)  # fmt: skip
# {version: {system: settings of `evaluation` that the version left behind did not have}}
_OF_ALL = {'measures': MEASURES, 'subsets': (), 'window': 40, 'regimes': (), 'zones': (), 'places': ''}
ADDED: dict[int, dict[str, dict[str, Any]]] = {
    1: {
        'diffusion': {**_OF_ALL, 'neighbours': True, 'baselines': ('coarse',)},
        'dpdm': {**_OF_ALL, 'neighbours': False, 'subsets': (1, 5, 10, 33, 100)},
        'srgan': {**_OF_ALL, 'neighbours': False, 'baselines': ('bicubic',)},
    },
}


def versioned(config: dict[str, Any]) -> dict[str, Any]:
    """`config` as config.json holds it."""
    return {'version': VERSION, **config}


def migrate(stored: dict[str, Any], workdir: Path) -> dict[str, Any]:
    """The config in today's form, without its version, of what config.json of `workdir` holds.

    Raises UserError for a version that is too old (without `system`: its checkpoints have another form) or too new.
    """
    version = stored.get('version', 1)
    if 'system' not in stored:
        raise UserError(f'{workdir} was made by an older version of downscale_jax: train anew in another --workdir')
    if version > VERSION:
        raise UserError(
            f'{workdir} has version {version} of config.json, this downscale_jax reads up to {VERSION}: update it'
        )
    config = {key: value for key, value in stored.items() if key != 'version'}
    for old in range(version, VERSION):
        for change in CHANGES[old]:
            config = applied(change, config)
        added = ADDED[old].get(config['system'], {})
        config = {**config, 'evaluation': {**added, **config['evaluation']}}
    return config


def applied(change: Change, config: dict[str, Any]) -> dict[str, Any]:
    """`config` after one change; keeps the order of settings, and leaves configs without the setting as they are."""
    section, _, old = change.old.partition('.')
    new = change.new.partition('.')[2]
    if old not in config.get(section, {}):
        return config
    settings = {
        new if name == old else name: change.value(value, config) if name == old else value
        for name, value in config[section].items()
    }
    return {**config, section: settings}
