"""SRGAN: a generator trained to the squared error, then against a discriminator (docs/systems/srgan.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np

from downscale_jax.downscale.generate import Sampling
from downscale_jax.downscale.tiles import Tiling
from downscale_jax.fields.transforms.block_means import BlockMeans, condition_layout
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Encoder, part
from downscale_jax.models.srgan import Discriminator, Generator
from downscale_jax.pipeline.patches import Patches
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.systems import atmodist
from downscale_jax.systems.downscaler import Downscaler, wrong_with_blocks
from downscale_jax.systems.workdir import Config, Init, Trained, read_config
from downscale_jax.tasks.content import Content, Learned, Name, fit_alpha, squared_error
from downscale_jax.tasks.gan import DISCRIMINATOR, GENERATOR, Gan
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

Tasks = dict[str, SuperResolution | Gan]
PRETRAINED = 'pretrained'
# of a single field nothing is solved or drawn
ALONE: dict[str, Any] = {
    'sampler': 'dpm_solver', 'steps': 1, 'spacing': 't', 'eta': 0.0,
    'temperature': 1.0, 'correlation_hours': 0.0, 'members': 1,
}  # fmt: skip
LAG_PAIRS = 48  # pairs of times for each lag that alpha is fitted to
SAME = 1e-3  # statistics of two transforms may differ by this share of a standard deviation


def build(config: Config) -> Tasks:
    """The generator alone, trained in the first phase, then a GAN for each of `contents` from that generator, trained
    in the others. Raises UserError for values that do not go together."""
    data, model, training, contents = (config[key] for key in ('data', 'model', 'training', 'contents'))
    known: dict[str, tuple[str, ...]] = {
        'activation': ('leaky_relu', 'relu'), 'padding': ('SAME', 'REFLECT'), 'dtype': ('float32', 'bfloat16'),
    }  # fmt: skip
    for key, valid in known.items():
        if model[key] not in valid:
            raise UserError(f"model.{key}='{model[key]}': {nearest(model[key], valid)}")
    for name in contents:
        if name not in get_args(Name):
            raise UserError(f"contents: there is no content loss '{name}': {nearest(name, get_args(Name))}")
    first, *others = phases(training)
    if contents and not others:
        raise UserError(f'training.phases={training["phases"]}: one for the generator alone, then one or more for GANs')
    network = Generator(len(data['variables']), **{**model, 'factors': tuple(model['factors'])})
    if network.stride != data['factor']:
        raise UserError(
            f'model.factors={tuple(model["factors"])} make cells {network.stride} times finer, data.factor='
            f'{data["factor"]} asks for another: let their product be it'
        )
    if data['patch'] % network.stride:
        raise UserError(f'data.patch={data["patch"]} is not a multiple of data.factor={network.stride}')
    sampling = config['sampling']
    Tiling((data['patch'], data['patch']), network.stride, sampling['tile'], sampling['overlap'])  # raises
    if data['anomaly']:
        raise UserError('data.anomaly=True: an SRGAN generates the whole field, whose look its discriminator judges')
    alone = SuperResolution(network, (first,), training['accumulate'])
    widths, dense = tuple(config['discriminator']['widths']), config['discriminator']['dense']
    apart = phases({**training, 'phases': training['phases'][1:]}, apart=True) if contents else ()
    return {PRETRAINED: alone} | {
        f'gan_{name}': Gan(
            alone,
            Discriminator(widths, dense, model['dtype']),
            content_of(name, config),
            apart,
            training['adversarial'],
            tuple(training['balance']),
            training['accumulate'],
        )
        for name in contents
    }


def content_of(name: Name, config: Config) -> Content:
    if name != 'atmodist':
        return Content(name)
    section = config['content']
    encoder = encoder_of(section['model'])
    stage = section['stage'] or len(encoder.widths)
    if not 1 <= stage <= len(encoder.widths):
        raise UserError(f'content.stage={stage}: the encoder has stages 1 to {len(encoder.widths)}; 0 is the last')
    if section['shifts'] < 1:
        raise UserError(f'content.shifts={section["shifts"]}: at least 1, which is none, is needed')
    return Content(name, encoder, stage, section['shifts'])


def encoder_of(model: Mapping[str, Any]) -> Encoder:
    widths, options = tuple(model['widths']), {'momentum': model['momentum'], 'dtype': model['dtype']}
    return Encoder(widths, model['blocks'], model['stem'], model['pool'], **options)


def shapes(config: Config) -> dict[str, tuple[tuple[int, ...], Any]]:
    """(shape, dtype) of an example's arrays."""
    data = config['data']
    patch, count = (data['patch'], data['patch']), len(data['variables'])
    return {
        'target': ((*patch, count), np.float32),
        'condition': ((*patch, condition_layout(count, ()).channels), np.float32),
        'mask': ((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Patches:
    """What batches are drawn from. Nothing is flipped: vorticity has a sense of rotation, wind a direction.

    Raises UserError where the AtmoDist that judges them was trained on fields of other statistics.
    """
    data = config['data']
    if split == 'train' and 'atmodist' in config['contents']:
        opened = open_encoder(config)
        check_transforms(
            prepared.transform_as(BlockMeans).values, opened.prepared.transform_as(Standardisation), opened.workdir
        )
    return Patches(prepared, split, data['patch'], data['patches_per_record'], False, config['seed'])


def initialiser(name: str, tasks: Tasks, trained: Trained | None = None) -> Init:
    """The task's `init(key, batch)`; a GAN is handed the generator that was trained alone, and AtmoDist's encoder.

    Without `trained` both are untrained: for shapes and costs.
    """
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


def load_encoder(content: Content, config: Config, prepared: Prepared) -> Learned:
    """AtmoDist's encoder from its work directory, and its alpha on this system's training data.

    Raises UserError where its variables or its layers are not those of this system.
    """
    opened = open_encoder(config)
    encoder = part(opened.task.inference_params(jax.device_get(opened.restored(opened.last))), 'encoder')
    lag = opened.config['data']
    c, m = distances_by_lag(content, encoder, prepared, config['data']['patch'], lag['lags'], lag['step_hours'])
    alpha = fit_alpha(c, m)
    messages.info(f'content loss: {opened.provenance(opened.last)}, stage {content.stage}, alpha {alpha:.4g}')
    return Learned(encoder, np.float32(alpha))


def open_encoder(config: Config) -> atmodist.LearnedDistance:
    """The work directory of content.workdir. Raises UserError where it is none of AtmoDist, or of another one."""
    section = config['content']
    if not section['workdir']:
        raise UserError("contents has 'atmodist': name the work directory of a trained one by content.workdir")
    there = read_config(Path(section['workdir']))
    if there['system'] != 'atmodist':
        raise UserError(f'content.workdir={section["workdir"]} is of system {there["system"]}, not of AtmoDist')
    ours, theirs = tuple(config['data']['variables']), tuple(there['data']['variables'])
    if ours != theirs:
        raise UserError(f'data.variables={ours}, but the AtmoDist in {section["workdir"]} was trained on {theirs}')
    if config['data']['transform'] != 'log':
        raise UserError(
            f"data.transform='{config['data']['transform']}', but the AtmoDist in {section['workdir']} was trained on "
            'log-transformed fields: set data.transform=log'
        )
    if encoder_of(section['model']) != encoder_of(there['model']):
        told = {key: value for key, value in there['model'].items() if key != 'tail'}
        raise UserError(f'content.model is not that of {section["workdir"]}, which has {told}')
    return atmodist.LearnedDistance(atmodist, section['workdir'])


def check_transforms(ours: Standardisation, theirs: Standardisation, workdir: Path) -> None:
    """Raises UserError where two transforms would show a network different fields."""
    units = np.array(theirs.std)
    away = [
        np.abs(np.array(ours.mean) - theirs.mean) / units,
        np.abs(np.array(ours.std) / units - 1),
        np.abs(np.array(ours.log_std) / np.array(theirs.log_std) - 1),
    ]
    if ours.units != theirs.units or np.max(away) > SAME:
        raise UserError(
            f'the transform of the AtmoDist in {workdir} has other statistics (deviations {theirs.std} {theirs.units}, '
            f'here {ours.std} {ours.units}): train both on the same fields and the same data.train'
        )


def distances_by_lag(
    content: Content, encoder: Any, prepared: Prepared, patch: int, lags: int, step_hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """(encoded distance, mean squared error), means over pairs of patches of each lag of the upper half, [lags / 2].

    Patches of one place of the training split, as many hours apart; lags that no pair of its times has are left out.
    """
    split, values, rng = prepared.split('train'), prepared.transform_as(BlockMeans).values, np.random.default_rng(0)
    measure = jax.jit(lambda a, b: (content.encoded_distance(encoder, a, b), squared_error(a, b)))
    found = []
    for steps in range(lags // 2 + 1, lags + 1):
        pairs = pairs_apart(split, round(3600 * steps * step_hours), rng)
        if not pairs:
            continue
        cut = []
        for pair in pairs:
            row, column = (rng.integers(n - patch + 1) for n in prepared.mask.shape)
            cut.append([split[i]['fine'][row : row + patch, column : column + patch] for i in pair])
        known = [both for both in cut if np.isfinite(both).all()]
        if not known:
            continue
        first, second = (values.encode(np.stack(side)) for side in zip(*known, strict=True))
        found.append([float(np.mean(d)) for d in measure(first, second)])
    if not found:
        raise UserError(
            f'no two times of training are {lags // 2 + 1} to {lags} x {step_hours} h apart: alpha needs such'
        )
    encoded, squared = np.array(found).T
    return encoded, squared


def pairs_apart(split: Split, seconds: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Up to LAG_PAIRS random pairs of records with so much time between them; records are in order of time."""
    count = len(split)

    def time(index: int) -> int:
        return int(split[index]['time'])

    step = (time(count - 1) - time(0)) / max(count - 1, 1)
    usual = min(time(1) - time(0), step) if count > 1 else 0  # gaps make the mean step longer than the usual one
    offset = round(seconds / usual) if usual else count
    starts = rng.permutation(max(count - offset, 0))[: 4 * LAG_PAIRS]
    pairs = ((int(start), int(start) + offset) for start in starts)
    return [(a, b) for a, b in pairs if time(b) - time(a) == seconds][:LAG_PAIRS]


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters by the name of the network, the generator last."""
    params = list(states.values())[-1].params
    judge = {DISCRIMINATOR: params[DISCRIMINATOR]} if DISCRIMINATOR in params else {}
    return {**judge, GENERATOR: params.get(GENERATOR, params)}


def sampling_of(config: Config) -> Sampling:
    """Raises UserError for values that make no sense."""
    return Sampling(**{**ALONE, **config['sampling']})


def check(config: Config, training: bool = False) -> None:
    """Raises UserError for values that would fail only after training; with `training`, of what only that needs."""
    sampling_of(config)
    wrong = wrong_with_blocks(config)
    if len(config['training']['balance']) != 2 or not np.diff(config['training']['balance']) >= 0:
        wrong.append(
            f'training.balance={tuple(config["training"]["balance"])}: two losses, the lower first, are needed'
        )
    if wrong:
        raise UserError('; '.join(wrong))
    if training and 'atmodist' in config['contents']:
        open_encoder(config)


Opened = Downscaler
