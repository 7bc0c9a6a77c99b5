"""Glaciers: outlines from multispectral scenes, and area change (docs/systems/glaciers.md)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.evaluation.glaciers import evaluate as glacier_evaluation
from downscale_jax.models.resnet import ResNetUNet
from downscale_jax.models.unet import UNet
from downscale_jax.pipeline.glaciers import GlacierPatches, glaciers_of, scenes_of, split_of
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.glaciers import GlacierSettings
from downscale_jax.systems.checks import check_multiple
from downscale_jax.systems.glacier_map import TASK, GlacierMap
from downscale_jax.systems.system import Config, Init, Scores, Shapes, System, Trained
from downscale_jax.tasks.segmentation import Segmentation
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

EXTRA = ('rasterio', 'geopandas', 'skimage')


def build(config: Config) -> dict[str, Segmentation]:
    """The segmentation."""
    training = config['training']
    network = network_of(config['model'])
    return {TASK: Segmentation(network, phases(training), training['accumulate'], training['ema_decay'])}


def network_of(model: Mapping[str, Any]) -> UNet | ResNetUNet:
    """The network that a `model` section describes."""
    if model['network'] == 'resnet34':
        return ResNetUNet(1, dtype=model['dtype'])
    sizes = {key: model[key] for key in ('bottleneck', 'blocks', 'stem', 'tail', 'dtype')}
    return UNet(1, tuple(model['widths']), **sizes)


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`: the libraries of the extra, and patches and tiles that fit the network."""
    for library in EXTRA:
        try:
            __import__(library)
        except ImportError as error:
            raise UserError(f"system 'glaciers' needs {library}: pip install 'downscale_jax[glaciers]'") from error
    stride = network_of(config['model']).stride
    check_multiple('data.patch', config['data']['patch'], stride, 'the stride of the network')
    sampling = config['sampling']
    Tiling((sampling['tile'],) * 2, stride, sampling['tile'], sampling['overlap'])  # raises where they do not fit


def shapes(config: Config) -> Shapes:
    """Normalised bands, elevation and slope, the label of each cell, and the valid cells."""
    data = config['data']
    patch, channels = (data['patch'], data['patch']), len(data['bands']) + 2
    return {
        'image': jax.ShapeDtypeStruct((*patch, channels), np.float32),
        'label': jax.ShapeDtypeStruct((*patch, 1), np.float32),
        'valid': jax.ShapeDtypeStruct((*patch, 1), bool),
    }


def examples(config: Config, prepared: Prepared, split: str) -> GlacierPatches:
    """Patches of the glaciers of one split. Raises UserError where it has none."""
    data = config['data']
    glaciers = glaciers_of(prepared, data['folds'])
    chosen = split_of(glaciers.fold, data['fold'], data['folds'], split)
    augmented = data if split == 'train' else {**data, 'jitter': 0.0, 'lift': 0.0}
    if not chosen.any():
        raise UserError(f'data.folds={data["folds"]}: no glacier is left for {split}: add outlines and scenes')
    scenes = scenes_of(prepared, split)
    return GlacierPatches(prepared, glaciers, chosen, scenes, augmented, config['seed'])


def initialise(name: str, tasks: Mapping[str, Segmentation], trained: Trained | None = None) -> Init:
    """See `system.Initialise`."""
    return tasks[name].init


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters and, if any, batch statistics of the network."""
    state = states[TASK]
    return {'network': {'params': state.params} | ({'batch_stats': state.stats} if state.stats is not None else {})}


def evaluate(opened: GlacierMap, prepared: Prepared) -> Scores:
    """Scores outlines and area change of the test fold beside rivals."""
    provenance = opened.provenance(TASK)
    return glacier_evaluation.evaluate(opened.mapper, provenance, prepared, opened.config, opened.workdir)


SYSTEM: System[Segmentation, GlacierMap] = System(
    settings=GlacierSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=GlacierMap,
    evaluate=evaluate,
)
