"""Rosettes: 3-D properties of ice crystals from their silhouettes (docs/systems/rosettes.md)."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np
import xarray as xr

from downscale_jax.evaluation.crystals import evaluate as crystal_evaluation
from downscale_jax.evaluation.crystals.evaluate import PropertyModel
from downscale_jax.fields.images.reading import Given as GivenImages
from downscale_jax.fields.images.reading import as_views
from downscale_jax.fields.images.silhouettes import framed
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.models.atmodist import Encoder
from downscale_jax.models.properties import Cnn, PolarCnn, PropertyNetwork, ResNet, Variables
from downscale_jax.pipeline.images import Images
from downscale_jax.pipeline.records import Prepared
from downscale_jax.settings.rosettes import RosettesSettings
from downscale_jax.systems.checks import check_extra
from downscale_jax.systems.system import Config, Init, Scores, Shapes, System, Trained
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.tasks.properties import Properties
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

NUMBERS = ('ln_effective_density', 'ln_effective_surface')  # predicted
TASK = 'properties'
BATCH = 64  # images at once


def build(config: Config) -> dict[str, Properties]:
    """A single task."""
    training, model = config['training'], config['model']
    trunks: dict[str, Callable[[], Cnn | PolarCnn | ResNet]] = {
        'cnn': lambda: Cnn(tuple(model['widths']), tuple(model['dense'])),
        'polar': lambda: PolarCnn(tuple(model['widths']), tuple(model['dense'])),
        'resnet': lambda: ResNet(Encoder(tuple(model['widths']), model['blocks'], model['stem'], model['pool'])),
    }
    network = PropertyNetwork(trunks[model['trunk']](), len(NUMBERS), len(config['data']['arms']))
    options = {name: training[name] for name in ('class_weight', 'accumulate', 'ema_decay')}
    return {TASK: Properties(network, phases(training), **options)}


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`: the extra that simulates crystals, and measures silhouettes for the rivals."""
    if training:
        check_extra('crystals', ('manifold3d', 'shapely', 'trimesh'))


def shapes(config: Config) -> Shapes:
    """An image with a channel for each view, its numbers and its class."""
    data = config['data']
    return {
        'image': jax.ShapeDtypeStruct((data['size'], data['size'], data['views']), np.float32),
        'values': jax.ShapeDtypeStruct((len(NUMBERS),), np.float32),
        'label': jax.ShapeDtypeStruct((), np.int32),
    }


def examples(config: Config, prepared: Prepared, split: str) -> Images:
    """Images of one split; in training with the symmetries that keep the views consistent."""
    symmetry = '' if split != 'train' else 'rotated' if config['data']['views'] == 1 else 'reflected'
    return Images(prepared, split, config['seed'], NUMBERS, symmetry)


def initialise(name: str, tasks: Mapping[str, Properties], trained: Trained | None = None) -> Init:
    """See `system.Initialise`."""
    return tasks[name].init


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters of the network."""
    return {'network': {'params': states[TASK].params}}


class CrystalProperties(WorkDirectory[Properties]):
    """A trained predictor of crystal properties."""

    @property
    def task(self) -> Properties:
        return self.tasks[TASK]

    @cached_property
    def params(self) -> Variables:
        return jax.device_put(self.task.inference_params(jax.device_get(self.restored(TASK))))

    def predict(self, images: GivenImages) -> xr.Dataset:
        """Effective density, effective surface and probabilities of the numbers of arms: a Dataset over `image`.

        `images`: a folder of PNG files, an .npz file or a Zarr store with `images`, or an array, (image, y, x), or
        (image, view, y, x) for two views. Grey values of any range; the crystal differs from the border of the image.
        Each is reduced to its silhouette, centred and scaled as in training, the views of a crystal by one factor.
        Raises UserError for images of several sizes, another number of views, and empty silhouettes, and
        WrongTypeError (a TypeError) for other types.
        """
        data = self.config['data']
        numbers, probabilities = self.apply(framed(as_views(images, data['views']), data['size']))
        return xr.Dataset(
            {
                'effective_density': ('image', np.exp(numbers[:, 0]), {'units': '1'}),
                'effective_surface': ('image', np.exp(numbers[:, 1]), {'units': '1'}),
                'arms_probability': (('image', 'arms'), probabilities, {'units': '1'}),
            },
            {'arms': list(data['arms'])},
            {'title': 'Properties of ice crystals predicted from silhouettes', 'source': self.provenance(TASK)},
        )

    def apply(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers [N, K] and probabilities [N, classes] of framed silhouettes [N, H, W, V] in 0..1."""
        transform, parts = self.prepared.transform_as(ImageTransform), []
        for start in range(0, len(images), BATCH):
            part = transform.channels.encode(images[start : start + BATCH])
            padded = np.resize(part, (BATCH, *part.shape[1:]))  # one shape, compiled once
            parts.append([np.asarray(array)[: len(part)] for array in self._predict(self.params, padded)])
        numbers, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return transform.of_values(NUMBERS).decode(numbers), probabilities

    @cached_property
    def _predict(self) -> Any:
        return jax.jit(self.task.predict)


def evaluate(opened: CrystalProperties, prepared: Prepared) -> Scores:
    """Scores on the crystals of the test split, beside rivals on features of silhouettes."""
    model = PropertyModel(opened.config['model']['trunk'], NUMBERS, opened.apply, opened.provenance(TASK))
    return crystal_evaluation.evaluate(model, prepared, opened.config, opened.workdir)


SYSTEM: System[Properties, CrystalProperties] = System(
    settings=RosettesSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=CrystalProperties,
    evaluate=evaluate,
)
