"""Downscaling learnt from pairs of coarse and fine data, by diffusion or in one pass (docs/systems/pairs.md)."""

from typing import Any

import jax
import numpy as np

from downscale_jax.fields.transforms.pairs import condition_channels
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.pairs import PairsSettings
from downscale_jax.systems import diffusion
from downscale_jax.systems.calibrated import Calibrated, calibrate
from downscale_jax.systems.checks import check_places
from downscale_jax.systems.downscaler import evaluate
from downscale_jax.systems.system import Config, Shapes, System


def build(config: Config) -> dict[str, diffusion.DiffusionTask]:
    """The regression and the generator, in this order. Raises UserError for settings that contradict."""
    return diffusion.tasks_of(config, len(config['data']['targets']))


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    check_places(config)
    data, model = config['data'], config['model']
    chosen = {f'data.{key}': data[key] for key in ('predictors', 'targets', 'patch')} | {'model.stem': model['stem']}
    chosen |= {f'evaluation.{key}': config['evaluation'][key] for key in ('window', 'baselines')}
    if missing := [key for key, value in chosen.items() if not value]:
        raise UserError(f'{", ".join(missing)} not set: choose from the files first (data_prep.choices.choose)')


def shapes(config: Config) -> Shapes:
    """Normalised fine fields, the condition on their grid, and the mask of valid cells."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['targets'])
    channels = condition_channels(len(data['predictors']), count, data['context'])
    return {
        'target': jax.ShapeDtypeStruct((*patch, count), np.float32),
        'condition': jax.ShapeDtypeStruct((*patch, channels), np.float32),
        'mask': jax.ShapeDtypeStruct((*patch, 1), bool),
        **diffusion.part_shape(config),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """Patches of one split, never flipped: winds have a direction and slopes an aspect."""
    return diffusion.patches(config, prepared, split, flips=False)


SYSTEM: System[diffusion.DiffusionTask, Any] = System(
    settings=PairsSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=diffusion.initialise,
    networks=diffusion.networks,
    opened=Calibrated,
    evaluate=evaluate,
    calibrate=calibrate,
)
