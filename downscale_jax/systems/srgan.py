"""SRGAN: a generator trained to the squared error, then against a discriminator (docs/systems/srgan.md)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import BlockMeans, condition_layout
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared
from downscale_jax.settings.srgan import SrganSettings
from downscale_jax.systems.atmodist import encoder_of
from downscale_jax.systems.checks import check_multiple, check_places
from downscale_jax.systems.content_encoder import check_transforms, load_encoder, open_encoder
from downscale_jax.systems.downscaler import Downscaler, evaluate
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
    first = phases(training)[0]
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
    """The network. Raises UserError where patches or tiles do not fit it."""
    data, model, sampling = config['data'], config['model'], config['sampling']
    network = GeneratorNetwork(len(data['variables']), **{**model, 'factors': tuple(model['factors'])})
    check_multiple('data.patch', data['patch'], network.stride, 'data.factor')
    Tiling((data['patch'], data['patch']), network.stride, sampling['tile'], sampling['overlap'])  # raises
    return network


def content_of(name: Name, config: Config) -> Content:
    """The content loss of that name."""
    if name != 'atmodist':
        return Content(name)
    section = config['content']
    encoder = encoder_of(section['model'])
    return Content(name, encoder, section['stage'] or len(encoder.widths), section['shifts'])


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`."""
    check_places(config)
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
    return Partial(lambda weights, key, batch: task.init(key, batch, *weights), (generator, learned))


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by network, the generator last."""
    params = list(states.values())[-1].params
    discriminator = {DISCRIMINATOR: params[DISCRIMINATOR]} if DISCRIMINATOR in params else {}
    return {**discriminator, GENERATOR: params.get(GENERATOR, params)}


SYSTEM: System[SrganTask, Downscaler] = System(
    settings=SrganSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=Downscaler,
    evaluate=evaluate,
)
