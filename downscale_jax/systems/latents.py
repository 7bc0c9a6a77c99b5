"""Shared by the systems of autoencoders: tasks from a config, and an opened work directory with codes."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np

from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.models.vae import Autoencoder, Decoder, Encoder
from downscale_jax.runtime.portions import in_portions
from downscale_jax.systems.system import Config, Init, Trained
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.tasks.vae import Vae
from downscale_jax.training.loop import weights_key
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State


def build(config: Config, shape: tuple[int, int, int]) -> dict[str, Vae]:
    """One autoencoder of images of this shape for each number of latents, in the order of `model.latents`."""
    training, model = config['training'], config['model']
    options = {name: training[name] for name in ('kl_weight', 'kl_warmup', 'accumulate', 'ema_decay')}
    widths, blocks = tuple(model['widths']), model['blocks']

    def task(latents: int) -> Vae:
        network = Autoencoder(Encoder(widths, blocks, latents), Decoder(widths, blocks, shape))
        return Vae(network, phases(training), **options)

    return {name_of(latents): task(latents) for latents in model['latents']}


def name_of(latents: int) -> str:
    """The name of the task with this number of latents, also in the scores."""
    return f'vae_{latents}'


def initialise(name: str, tasks: Mapping[str, Vae], trained: Trained | None = None) -> Init:
    """See `system.Initialise`."""
    return tasks[name].init


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters of the last autoencoder by network, the encoder last."""
    params = list(states.values())[-1].params['params']
    return {name: {'params': params[name]} for name in ('decoder', 'encoder')}


class LatentSpace(WorkDirectory[Vae]):
    """Trained autoencoders; the last is the one that is used."""

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """Of each autoencoder."""
        return {
            name: jax.device_put(task.inference_params(jax.device_get(self.restored(name))))
            for name, task in self.tasks.items()
        }

    @property
    def transform(self) -> ImageTransform:
        return self.prepared.transform_as(ImageTransform)

    def codes(self, images: np.ndarray, name: str = '') -> np.ndarray:
        """Codes [N, L] of physical images [N, H, W, C] by one of the autoencoders, by default the last."""
        name = name or self.last
        apply = self._encode[name]
        return in_portions(lambda x: apply(self.params[name], x), self.transform.channels.encode(images))

    def untrained_codes(self, images: np.ndarray) -> np.ndarray:
        """Likewise by the last autoencoder as it was before training."""
        x = self.transform.channels.encode(images)
        return in_portions(lambda x: self._encode[self.last](self._initial_weights, x), x)

    def images(self, codes: np.ndarray, name: str = '') -> np.ndarray:
        """Standardised images [N, H, W, C] of codes [N, L]."""
        name = name or self.last
        apply = jax.jit(self.tasks[name].decode)
        return in_portions(lambda z: apply(self.params[name], z), codes.astype(np.float32))

    @cached_property
    def _encode(self) -> Mapping[str, Any]:
        """Compiled encoders."""
        return {name: jax.jit(task.encode) for name, task in self.tasks.items()}

    @cached_property
    def _initial_weights(self) -> Any:
        """Initial parameters of the last autoencoder."""
        key = weights_key(self.config['seed'])
        return jax.jit(self.tasks[self.last].init)(key, self._example).params

    @property
    def _example(self) -> Mapping[str, np.ndarray]:
        return {'image': np.zeros((1, *self.tasks[self.last].network.decoder.shape), np.float32)}
