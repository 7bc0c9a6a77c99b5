"""Work units on the devices: one time and a fixed number of members each, the same program whatever the split."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.diffusion.samplers import SAMPLERS
from downscale_jax.downscale.tiles import Tiling, noise
from downscale_jax.fields.normalize import Transform
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.regression import Regression


@dataclass(frozen=True)
class Sampling:
    """How an ensemble is drawn."""

    sampler: str  # a name in `diffusion.samplers.SAMPLERS`
    steps: int  # evaluations of the network a sample
    tile: int  # cells a side, at most
    overlap: int  # cells that neighbouring tiles share
    members: int  # of one work unit

    def __post_init__(self):
        if self.sampler not in SAMPLERS:
            raise UserError(f"there is no sampler '{self.sampler}': {nearest(self.sampler, SAMPLERS)}")
        if self.steps < 2:
            raise UserError(f'sampling.steps={self.steps}: at least 2 evaluations are needed')


class Generator:
    """A trained task with the transform it was trained with."""

    def __init__(self, task: Regression | Diffusion, params: Any, transform: Transform, sampling: Sampling):
        self.task, self.transform, self.sampling = task, transform, sampling
        self.draws = isinstance(task, Diffusion)  # members differ; a regression has a single one
        self.members = sampling.members if self.draws else 1
        self._params = params
        self.units = cache(self._units)  # compiled once for each shape of the domain

    @cached_property
    def params(self) -> Any:
        return parallel.replicate(self._params)

    @cached_property
    def identity(self) -> str:
        """Digest of the parameters: which network made an ensemble."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(self._params):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:16]

    def _units(self, shape: tuple[int, int]) -> Callable[..., jax.Array]:
        """Jitted over all devices, one unit each: coarse [D, H, W, Cin] in physical units, mask [H, W, 1] bool,
        stamps [D, 2] uint32, members [D, M] uint32, seed uint32 -> fields [D, M, H, W] in physical units, not clipped,
        NaN outside the mask or where the coarse target is missing."""
        tiling = Tiling(shape, self.task.network.stride, self.sampling.tile, self.sampling.overlap)
        draw = _diffusion if isinstance(self.task, Diffusion) else _regression

        def unit(params, mask, seed, coarse, stamp, members):
            known = mask & jnp.isfinite(coarse[..., self.transform.channel, None])
            condition = tiling.pad(self.transform.condition(coarse, known))
            valid = tiling.pad(known)
            sample = draw(self.task, params, tiling, self.sampling, condition, valid, seed, stamp, members)
            field = self.transform.decode(tiling.crop(sample), coarse)
            return jnp.where(known, field, jnp.nan)[..., 0]

        def rows(params, mask, seed, coarse, stamps, members):
            # one unit a device: a leading axis of one, so that no batch size enters the arithmetic
            return unit(params, mask, seed, coarse[0], stamps[0], members[0])[None]

        whole, split = parallel.WHOLE, parallel.ROWS
        return parallel.pmap(rows, (whole, whole, whole, split, split, split), split)


def _regression(task, params, tiling, sampling, condition, valid, seed, stamp, members) -> jax.Array:
    """[1, H, W, 1], normalised."""
    return tiling.apply(lambda c: task.generate(params, c), condition[None])


def _diffusion(task, params, tiling, sampling, condition, valid, seed, stamp, members) -> jax.Array:
    """[M, H, W, 1], normalised. What is the same for all members is computed once."""
    shown, mean, error = _shown(task, params, tiling, condition)
    start = jax.vmap(lambda m: noise(seed, m, stamp, tiling.padded, task.network.channels))(members)
    shown_all = jnp.broadcast_to(shown, (len(members), *shown.shape[1:]))

    def denoise(z, gamma):
        def network(z, shown):
            return task.denoise(params, z, jnp.full(z.shape[0], gamma), shown)

        # invalid cells hold a clean zero, as they did in training
        return jnp.where(valid, tiling.apply(network, z, shown_all), 0)

    residual = SAMPLERS[sampling.sampler](denoise, start, task.schedule, sampling.steps)
    return mean + error * residual


def _shown(
    task: Diffusion, params: Any, tiling: Tiling, condition: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the task's network is shown, mean and error over the whole domain, [1, H, W, C] each, fused across tiles."""
    parts = tiling.apply(lambda c: jnp.concatenate(task.condition(params.guess, c), -1), condition[None])
    channels = task.network.channels
    return parts[..., : -2 * channels], parts[..., -2 * channels : -channels], parts[..., -channels:]


def stamp_words(seconds: int) -> np.ndarray:
    """Seconds since 1970, possibly negative -> [2] uint32."""
    return np.array([(seconds >> 32) & 0xFFFFFFFF, seconds & 0xFFFFFFFF], np.uint32)
