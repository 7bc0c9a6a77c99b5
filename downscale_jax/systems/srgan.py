"""SRGAN: a generator trained to the squared error, then against a discriminator (docs/systems/srgan.md)."""

from collections.abc import Mapping
from typing import Any, get_args

import jax
import numpy as np

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import BlockMeans, condition_layout
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.atmodist import encoder_of
from downscale_jax.systems.checks import DTYPES, block_faults, check_choice, check_multiple, refuse
from downscale_jax.systems.content_encoder import check_transforms, load_encoder, open_encoder
from downscale_jax.systems.content_weight import SCALES
from downscale_jax.systems.downscaler import Downscaler, evaluate, sampling_of
from downscale_jax.systems.system import Config, Init, Shapes, System, Trained
from downscale_jax.tasks.content import Content, Learned, Name
from downscale_jax.tasks.gan import DISCRIMINATOR, GENERATOR, Gan
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

SrganTask = SuperResolution | Gan

PRETRAINED = 'pretrained'


def build(config: Config) -> dict[str, SrganTask]:
    """The generator alone, trained in the first phase, then a GAN for each of `contents`, trained in the others.

    Raises UserError for settings that contradict each other.
    """
    training, contents = config['training'], config['contents']
    network = generator_of(config)
    first, *others = phases(training)
    if contents and not others:
        raise UserError(
            f'training.phases={training["phases"]}: name one phase for the generator alone and one or more for GANs'
        )
    pretrained = SuperResolution(network, (first,), training['accumulate'])
    apart = phases({**training, 'phases': training['phases'][1:]}, per_network=True) if contents else ()
    widths, dense = tuple(config['discriminator']['widths']), config['discriminator']['dense']
    gans = {
        f'gan_{name}': Gan(
            pretrained,
            Discriminator(widths, dense, config['model']['dtype']),
            content_of(name, config),
            apart,
            training['adversarial'],
            tuple(training['balance']),
            training['accumulate'],
        )
        for name in contents
    }
    return {PRETRAINED: pretrained, **gans}


def generator_of(config: Config) -> GeneratorNetwork:
    """The network. Raises UserError where patches, tiles or blocks do not fit it."""
    data, model, sampling = config['data'], config['model'], config['sampling']
    check_choice('model.activation', model['activation'], ('leaky_relu', 'relu'))
    check_choice('model.padding', model['padding'], ('SAME', 'REFLECT'))
    check_choice('model.biases', model['biases'], ('zero', 'xavier'))
    check_choice('model.dtype', model['dtype'], DTYPES)
    network = GeneratorNetwork(len(data['variables']), **{**model, 'factors': tuple(model['factors'])})
    if network.stride != data['factor']:
        raise UserError(
            f'model.factors={tuple(model["factors"])} refine cells {network.stride} times, but data.factor='
            f'{data["factor"]}: their product must equal data.factor'
        )
    check_multiple('data.patch', data['patch'], network.stride, 'data.factor')
    Tiling((data['patch'], data['patch']), network.stride, sampling['tile'], sampling['overlap'])  # raises
    if data['anomaly']:
        raise UserError('data.anomaly=True: an SRGAN generates the whole field, which its discriminator judges')
    return network


def content_of(name: Name, config: Config) -> Content:
    """The content loss of that name. Raises UserError for an unknown one or an invalid stage."""
    check_choice('contents', name, get_args(Name))
    if name != 'atmodist':
        return Content(name)
    section = config['content']
    encoder = encoder_of(section['model'])
    stage = section['stage'] or len(encoder.widths)
    if not 1 <= stage <= len(encoder.widths):
        raise UserError(f'content.stage={stage}: the encoder has stages 1 to {len(encoder.widths)}; 0 is the last')
    check_choice('content.scale', section['scale'], SCALES)
    if section['shifts'] < 1:
        raise UserError(f'content.shifts={section["shifts"]}: at least 1 is needed, which is no shift')
    return Content(name, encoder, stage, section['shifts'])


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    sampling_of(config)
    faults, balance = block_faults(config), tuple(config['training']['balance'])
    if len(balance) != 2 or not balance[0] <= balance[1]:
        faults.append(f'training.balance={balance}: two losses, the lower first, are needed')
    refuse(faults)
    if training and 'atmodist' in config['contents']:
        open_encoder(config)


def shapes(config: Config) -> Shapes:
    """Normalised fine fields, the repeated and interpolated coarse ones with the mask, and the mask of valid cells."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['variables'])
    return {
        'target': jax.ShapeDtypeStruct((*patch, count), np.float32),
        'condition': jax.ShapeDtypeStruct((*patch, condition_layout(count, ()).channels), np.float32),
        'mask': jax.ShapeDtypeStruct((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """Patches of one split, never flipped: vorticity has a sense of rotation, wind a direction.

    Raises UserError where the AtmoDist encoder of the content loss was trained on fields with other statistics.
    """
    data = config['data']
    if split == 'train' and 'atmodist' in config['contents']:
        opened = open_encoder(config)
        check_transforms(
            prepared.transform_as(BlockMeans).values, opened.prepared.transform_as(Standardisation), opened.workdir
        )
    return Patches(prepared, split, data['patch'], data['patches_per_record'], False, config['seed'])


def initialise(name: str, tasks: Mapping[str, SrganTask], trained: Trained | None = None) -> Init:
    """See `system.Initialise`: a GAN starts from the generator trained alone, and AtmoDist's encoder if it needs it."""
    task = tasks[name]
    if isinstance(task, SuperResolution):
        return task.init
    encoder = task.content.encoder
    if trained is None:

        def untrained(key, batch):
            learned = Learned(encoder.init(key, batch['target'][:1]), np.float32(1)) if encoder else None
            return task.init(key, batch, learned=learned)

        return untrained
    generator = jax.device_get(trained.restored(PRETRAINED)).params
    learned = load_encoder(task.content, trained.config, trained.prepared) if encoder else None
    return lambda key, batch: task.init(key, batch, generator, learned)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by network, the generator last."""
    params = list(states.values())[-1].params
    discriminator = {DISCRIMINATOR: params[DISCRIMINATOR]} if DISCRIMINATOR in params else {}
    return {**discriminator, GENERATOR: params.get(GENERATOR, params)}


SYSTEM: System[SrganTask, Downscaler] = System(
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=Downscaler,
    evaluate=evaluate,
)
