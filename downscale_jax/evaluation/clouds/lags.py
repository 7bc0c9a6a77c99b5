"""A rival that learns time lags: AtmoDist's pretext task on the images of an ensemble (docs/systems/atmodist.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from downscale_jax.models.atmodist import Encoder, Tail
from downscale_jax.pipeline.batches import Batch, batches
from downscale_jax.runtime import parallel
from downscale_jax.runtime.portions import in_portions
from downscale_jax.tasks.lags import Lags
from downscale_jax.training.loop import fit, weights_key
from downscale_jax.training.optimizer import Phase, phases

LAGS = 'lags'  # name of the rival
LEAST_TIMES = 3  # two lags to tell apart


@dataclass(frozen=True)
class Pairs:
    """Pairs of images of one member, drawn anew in every epoch: first, second [B, H, W, C], lag [B] int32, the class, 0
    for one step. Lags are uniform, and so are the first times that have a second one.
    """

    images: np.ndarray  # standardised [M, T, H, W, C]
    seed: int

    @property
    def count(self) -> int:
        """Pairs per epoch: as many as images."""
        return self.images.shape[0] * self.images.shape[1]

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        times = self.images.shape[1]
        member, drawn = indices // times, [self.draw(int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
        first, lag = np.array(drawn).T
        return {
            'first': self.images[member, first],
            'second': self.images[member, first + lag],
            'lag': (lag - 1).astype(np.int32),
        }

    def draw(self, epoch: int, index: int) -> tuple[int, int]:
        """First time and lag, a function of (seed, epoch, index)."""
        rng, times = np.random.default_rng((self.seed, epoch, index)), self.images.shape[1]
        lag = int(rng.integers(1, times))
        return int(rng.integers(times - lag)), lag


def fitted(images: np.ndarray, config: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Trains an encoder on the lags between standardised images [M, T, H, W, C]. Returns the function from images
    [N, H, W, C] to codes [N, F]: the maps at the end of its last stage.

    The encoder has the widths of the autoencoders, and as many training steps of as many pairs as they have of images.
    """
    training, seed, widths = config['training'], config['seed'], tuple(config['model']['widths'])
    steps = sum(phase.steps for phase in phases(training))
    phase = Phase(LAGS, steps, learning_rate=2e-3, warmup=100, clip=5.0)  # as in configs/atmodist.py
    encoder = Encoder(widths, blocks=1, stem=3, pool=False)  # resolutions as in the autoencoders
    task = Lags(encoder, Tail(images.shape[1] - 1, widths[-1]), (phase,))
    pairs = Pairs(images, seed)
    state = jax.jit(task.init)(weights_key(seed), pairs.batch(np.zeros(1, int), np.zeros(1, int)))
    state = fit(task, parallel.replicate(state), batches(pairs, training['batch_size']), seed)
    params = jax.device_put(task.inference_params(jax.device_get(state)))

    @jax.jit
    def maps(x: jax.Array) -> jax.Array:
        return task.embed(params, x, len(widths)).reshape(len(x), -1)

    return lambda x: in_portions(maps, x)
