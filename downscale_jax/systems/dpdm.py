"""Patch-wise probabilistic downscaling of block means by diffusion, beside EDSR and EDSR-GAN (docs/systems/dpdm.md)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from downscale_jax.diffusion.discrete import DiscreteSchedule
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import condition_layout
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.srgan import Discriminator, Generator
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.systems import diffusion
from downscale_jax.systems.diffusion import Calibrated, sampling_of
from downscale_jax.systems.downscaler import wrong_with_blocks
from downscale_jax.systems.workdir import Config, Init, Trained
from downscale_jax.tasks.content import Content
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.gan import Gan
from downscale_jax.tasks.regression import Regression
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

EDSR, EDSR_GAN, REGRESSION, DPDM = 'edsr', 'edsr_gan', 'regression', 'dpdm'
RIVALS = (EDSR, EDSR_GAN)
NETWORKS = {'unet': UNet, 'dpdm': DpdmUNet}
DTYPES = ('float32', 'bfloat16')

Tasks = dict[str, Any]


def build(config: Config) -> Tasks:
    """The rivals, the regression, and the diffusion last. Raises UserError for values that do not go together."""
    data, training, section = (config[key] for key in ('data', 'training', 'diffusion'))
    count = len(data['variables'])
    network = network_of(config['model'], count)
    check_sizes(config, network.stride)
    common = {
        'phases': phases(training),
        'accumulate': training['accumulate'],
        'ema_decay': training['ema_decay'],
        'hidden': condition_layout(count, data['context']).interpolated.start,  # the repeated coarse field is for EDSR
    }
    regression = Regression(network.clone(channels=2 * count), **common)
    return rivals(config, count) | {
        REGRESSION: regression,
        DPDM: Diffusion(
            network,
            **common,
            schedule=DiscreteSchedule(section['steps'], section['betas']),
            prediction=section['prediction'],
            weighting=section['weighting'],
            regression=regression if section['first_guess'] else None,
        ),
    }


def network_of(model: Mapping[str, Any], count: int) -> Any:
    """`model.network` names it, the section of that name has its sizes."""
    if model['network'] not in NETWORKS:
        raise UserError(f"model.network='{model['network']}': {nearest(model['network'], NETWORKS)}")
    if model['dtype'] not in DTYPES:
        raise UserError(f"model.dtype='{model['dtype']}': {nearest(model['dtype'], DTYPES)}")
    sizes = {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in model[model['network']].items()}
    return NETWORKS[model['network']](channels=count, dtype=model['dtype'], **sizes)


def rivals(config: Config, count: int) -> Tasks:
    """EDSR, trained by squared error (Lim et al. 2017, https://arxiv.org/abs/1707.02921: residual blocks without
    normalisation), and from it a GAN."""
    training, sizes, names = config['training'], config['edsr'], tuple(config['rivals'])
    for name in names:
        if name not in RIVALS:
            raise UserError(f"rivals: there is no '{name}': {nearest(name, RIVALS)}")
    if not names:
        return {}
    if names[0] != EDSR:
        raise UserError(f"rivals={names}: '{EDSR_GAN}' starts from '{EDSR}', which comes first")
    options = {key: sizes[key] for key in ('width', 'blocks')}
    network = Generator(count, tuple(sizes['factors']), **options, kernel=3, activation='relu')
    if network.stride != config['data']['factor']:
        raise UserError(
            f'edsr.factors={tuple(sizes["factors"])} make cells {network.stride} times finer, data.factor='
            f'{config["data"]["factor"]} asks for another: let their product be it'
        )
    alone = SuperResolution(network, phases({**training, 'phases': (EDSR,)}), training['accumulate'])
    if names == (EDSR,):
        return {EDSR: alone}
    judge = Discriminator(tuple(sizes['discriminator']), sizes['dense'])
    apart = phases({**training, 'phases': (EDSR_GAN,)}, apart=True)
    gan = Gan(alone, judge, Content('mse'), apart, sizes['adversarial'], accumulate=training['accumulate'])
    return {EDSR: alone, EDSR_GAN: gan}


def check_sizes(config: Config, stride: int) -> None:
    """Raises UserError where patches or tiles do not fit the networks."""
    data, sampling = config['data'], config['sampling']
    if data['patch'] % stride:
        raise UserError(f'data.patch={data["patch"]} is not a multiple of {stride}, the stride of the U-Net')
    Tiling((data['patch'], data['patch']), stride, sampling['tile'], sampling['overlap'])  # raises if they clash


def shapes(config: Config) -> dict[str, tuple[tuple[int, ...], Any]]:
    """(shape, dtype) of an example's arrays."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['variables'])
    return {
        'target': ((*patch, count), np.float32),
        'condition': ((*patch, condition_layout(count, data['context']).channels), np.float32),
        'mask': ((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """What batches are drawn from. Nothing is flipped: winds have a direction, slopes a side."""
    data = config['data']
    return Patches(prepared, split, data['patch'], data['patches_per_record'], False, config['seed'])


def initialiser(name: str, tasks: Tasks, trained: Trained | None = None) -> Init:
    """The task's `init(key, batch)`: EDSR-GAN is handed EDSR, the diffusion the regression."""
    task = tasks[name]
    if isinstance(task, Gan) and trained is not None:
        generator = jax.device_get(trained.restored(EDSR)).params
        return lambda key, batch: task.init(key, batch, generator)
    return task.init if isinstance(task, Gan | SuperResolution) else diffusion.initialiser(name, tasks, trained)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by the name of the network, the U-Net of the diffusion last."""
    found = {EDSR: states[EDSR].params} if EDSR in states else {}
    return {**found, REGRESSION: states[REGRESSION].params, 'unet': states[DPDM].params}


def check(config: Config, training: bool = False) -> None:
    """Raises UserError for values of data, sampling and evaluation that would fail only after training."""
    evaluation = config['evaluation']
    sampling_of(config)
    wrong = wrong_with_blocks(config)
    if evaluation['members'] < 2:
        wrong.append(f'evaluation.members={evaluation["members"]}: an ensemble has at least 2')
    if evaluation['fit_days'] < 0:
        wrong.append(f'evaluation.fit_days={evaluation["fit_days"]}: 0 or more are needed')
    if wrong:
        raise UserError('; '.join(wrong))


Opened = Calibrated
