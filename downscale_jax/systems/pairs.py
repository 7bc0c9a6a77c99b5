"""Downscaling learnt from pairs of coarse and fine data, by regression and diffusion (docs/systems/pairs.md)."""

from typing import Any

import jax
import numpy as np

from downscale_jax.fields.transforms.pairs import condition_channels
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.systems import diffusion
from downscale_jax.systems.calibrated import Calibrated, calibrate
from downscale_jax.systems.checks import at_least, ensemble_faults, evaluation_faults, refuse
from downscale_jax.systems.downscaler import evaluate, sampling_of
from downscale_jax.systems.system import Config, Shapes, System


def build(config: Config) -> dict[str, diffusion.DiffusionTask]:
    """The regression and the diffusion model, in this order. Raises UserError for settings that contradict."""
    return diffusion.tasks_of(config, len(config['data']['targets']))


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    sampling_of(config)
    targets = len(config['data']['targets'])
    faults = at_least(config, {'data.patch': 1, 'data.patches_per_record': 1})
    refuse(faults + evaluation_faults(config, targets, 'pairs') + ensemble_faults(config))


def shapes(config: Config) -> Shapes:
    """Normalised fine fields, the condition on their grid, and the mask of valid cells."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['targets'])
    channels = condition_channels(len(data['predictors']), count, data['context'])
    return {
        'target': jax.ShapeDtypeStruct((*patch, count), np.float32),
        'condition': jax.ShapeDtypeStruct((*patch, channels), np.float32),
        'mask': jax.ShapeDtypeStruct((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """Patches of one split, never flipped: winds have a direction and slopes an aspect."""
    data = config['data']
    return Patches(prepared, split, data['patch'], data['patches_per_record'], False, config['seed'])


SYSTEM: System[diffusion.DiffusionTask, Any] = System(
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
