"""Patch-wise probabilistic downscaling of block means by diffusion, beside EDSR and EDSR-GAN (docs/systems/dpdm.md)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from downscale_jax.diffusion.discrete import DiscreteSchedule
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import condition_layout
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.dpdm import EDSR, EDSR_GAN, RIVALS, DpdmSettings
from downscale_jax.systems import diffusion
from downscale_jax.systems.calibrated import Calibrated, calibrate
from downscale_jax.systems.checks import check_multiple, check_places
from downscale_jax.systems.downscaler import evaluate
from downscale_jax.systems.system import Config, Init, Shapes, System, Trained
from downscale_jax.tasks.content import Content
from downscale_jax.tasks.gan import Gan
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

DpdmTask = SuperResolution | Gan | diffusion.DiffusionTask

REGRESSION, DPDM = 'regression', 'dpdm'
NETWORKS = {'unet': UNet, 'dpdm': DpdmUNet}


def build(config: Config) -> dict[str, DpdmTask]:
    """The rivals, the regression, and the generator last. Raises UserError for settings that contradict."""
    training, section, count = config['training'], config['diffusion'], len(config['data']['variables'])
    network = network_of(config['model'], count)
    check_sizes(config, network.stride)
    common = {
        'phases': phases(training),
        'accumulate': training['accumulate'],
        'ema_decay': training['ema_decay'],
        'hidden': condition_layout(
            count, config['data']['context']
        ).interpolated.start,  # the repeated coarse field is for EDSR: a U-Net sees the interpolated one
    }
    regression = diffusion.regression_of(section, {**common, 'network': network.clone(channels=2 * count)})
    schedule = DiscreteSchedule(section['steps'], section['betas'], network.noise)
    generators = diffusion.generators_of(config, regression, schedule, {'network': network, **common}, DPDM)
    return {**rivals(config, count), REGRESSION: regression, **generators}


def network_of(model: Mapping[str, Any], count: int) -> Any:
    """The network named `model.network`, with the sizes in the section of that name."""
    sizes = {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in model[model['network']].items()}
    return NETWORKS[model['network']](channels=count, dtype=model['dtype'], **sizes)


def rivals(config: Config, count: int) -> dict[str, SuperResolution | Gan]:
    """EDSR, trained by squared error (Lim et al. 2017, https://arxiv.org/abs/1707.02921: residual blocks without
    normalisation), and from it a GAN."""
    training, sizes, names = config['training'], config['edsr'], tuple(config['rivals'])
    if not names:
        return {}
    options = {key: sizes[key] for key in ('width', 'blocks')}
    network = GeneratorNetwork(count, tuple(sizes['factors']), **options, kernel=3, activation='relu')
    alone = SuperResolution(network, phases({**training, 'phases': (EDSR,)}), training['accumulate'])
    if names == (EDSR,):
        return {EDSR: alone}
    discriminator = Discriminator(tuple(sizes['discriminator']), sizes['dense'])
    apart = phases({**training, 'phases': (EDSR_GAN,)}, per_network=True)
    gan = Gan(alone, discriminator, Content('mse'), apart, sizes['adversarial'], accumulate=training['accumulate'])
    return {EDSR: alone, EDSR_GAN: gan}


def check_sizes(config: Config, stride: int) -> None:
    """Raises UserError where patches or tiles do not fit the networks."""
    data, sampling = config['data'], config['sampling']
    check_multiple('data.patch', data['patch'], stride, 'the stride of the U-Net')
    Tiling((data['patch'], data['patch']), stride, sampling['tile'], sampling['overlap'])  # raises if they clash


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    check_places(config)
    turns, steps = config['model']['unet']['turns'], config['diffusion']['steps']
    if training and config['model']['network'] == 'unet' and turns > steps / 2:
        raise UserError(
            f'model.unet.turns={turns} exceeds half of diffusion.steps={steps}: the network could not see what lies '
            f'between two levels; use {steps / 10:g}'
        )


def shapes(config: Config) -> Shapes:
    """Normalised fine fields, the condition on their grid, and the mask of valid cells."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['variables'])
    return {
        'target': jax.ShapeDtypeStruct((*patch, count), np.float32),
        'condition': jax.ShapeDtypeStruct((*patch, condition_layout(count, data['context']).channels), np.float32),
        'mask': jax.ShapeDtypeStruct((*patch, 1), bool),
        **diffusion.part_shape(config),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """Patches of one split, never flipped: winds have a direction and slopes an aspect."""
    return diffusion.patches(config, prepared, split, flips=False)


def initialise(name: str, tasks: Mapping[str, DpdmTask], trained: Trained | None = None) -> Init:
    """See `system.Initialise`: EDSR-GAN starts from EDSR, the generators as `diffusion.initialise` says."""
    task = tasks[name]
    if isinstance(task, Gan) and trained is not None:
        generator = jax.device_get(trained.restored(EDSR)).params
        return Partial(lambda generator, key, batch: task.init(key, batch, generator), generator)
    if isinstance(task, Gan | SuperResolution):
        return task.init
    diffusions = {name: task for name, task in tasks.items() if not isinstance(task, Gan | SuperResolution)}
    return diffusion.initialise(name, diffusions, trained)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by network, the U-Net of the generator last."""
    edsr = {EDSR: states[EDSR].params} if EDSR in states else {}
    rest = {name: state for name, state in states.items() if name not in RIVALS}
    return {**edsr, **diffusion.networks(rest)}


SYSTEM: System[DpdmTask, Calibrated] = System(
    settings=DpdmSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=Calibrated,
    evaluate=evaluate,
    calibrate=calibrate,
)
