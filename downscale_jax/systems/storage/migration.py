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

VERSION = 8


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
    rows = bounds if np.ndim(bounds) == 2 else [bounds]
    return rows * len(config['data'].get('variables', [None])) if len(rows) == 1 else rows


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
_GENERATOR = {'generator': 'diffusion', 'one_pass': {'members': 2, 'steps_share': 0.5}}
_ONE_REGRESSION = {'diffusion': {'cross_fitting': 1}}
_NOISE_FIELD = {'one_pass': {'noise': 'field'}}
_ALL_STEPS = {'diffusion': {'regression_steps_share': 1.0}}
_DISTILLATION = {'distillation': {'evaluations': 4, 'teacher_evaluations': 16, 'steps_share': 0.5}}
# {version: {system: settings that the version left behind did not have, as it worked}}
_OF_ALL = {'measures': MEASURES, 'subsets': (), 'window': 40, 'regimes': (), 'zones': (), 'places': ''}
ADDED: dict[int, dict[str, dict[str, Any]]] = {
    1: {
        'diffusion': {'evaluation': {**_OF_ALL, 'neighbours': True, 'baselines': ('coarse',)}},
        'dpdm': {'evaluation': {**_OF_ALL, 'neighbours': False, 'subsets': (1, 5, 10, 33, 100)}},
        'srgan': {'evaluation': {**_OF_ALL, 'neighbours': False, 'baselines': ('bicubic',)}},
    },
    2: {
        'atmodist': {'training': {'joint': True}},
        'diffusion': {'diffusion': {'level': 'angle'}},
        'dpdm': {'model': {'unet': {'turns': 1000.0}}},
        'srgan': {'model': {'biases': 'zero'}, 'content': {'scale': 'network'}},
    },
    3: {'diffusion': _GENERATOR, 'dpdm': _GENERATOR, 'pairs': _GENERATOR},
    4: {
        'diffusion': _DISTILLATION,
        'dpdm': _DISTILLATION,
        'pairs': _DISTILLATION,
        'glaciers': {'evaluation': {'buffer': 0.0}},
    },
    5: {'diffusion': _ONE_REGRESSION, 'dpdm': _ONE_REGRESSION, 'pairs': _ONE_REGRESSION},
    6: {'diffusion': _NOISE_FIELD, 'dpdm': _NOISE_FIELD, 'pairs': _NOISE_FIELD},
    7: {'diffusion': _ALL_STEPS, 'dpdm': _ALL_STEPS, 'pairs': _ALL_STEPS},
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
        raise UserError(f'{workdir} was made by an older version of downscale_jax: train again in another --workdir')
    if version > VERSION:
        raise UserError(
            f'{workdir} has version {version} of config.json, this downscale_jax reads up to {VERSION}: update it'
        )
    config = {key: value for key, value in stored.items() if key != 'version'}
    for old in range(version, VERSION):
        for change in CHANGES.get(old, ()):
            config = applied(change, config)
        config = completed(config, ADDED[old].get(config['system'], {}))
    if version < 3:
        if config.get('model', {}).get('network') == 'dpdm':
            raise UserError(f'{workdir} holds an older form of the network dpdm: train again in another --workdir')
        config = {**config, 'training': with_beta2(config['training'])} if 'training' in config else config
    return config


def completed(config: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """`config` with what it lacks of `added`, section by section."""
    sections = {
        name: completed(config.get(name, {}), value) if isinstance(value, dict) else config.get(name, value)
        for name, value in added.items()
    }
    return {**config, **sections}


def with_beta2(training: dict[str, Any]) -> dict[str, Any]:
    """Every phase of AdamW had the same decay of second moments."""
    return {
        name: {**value, 'beta2': 0.99} if isinstance(value, dict) and value.get('optimizer') == 'adamw' else value
        for name, value in training.items()
    }


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
