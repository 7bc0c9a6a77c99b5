"""One-pass ensembles: a member in a single evaluation of the network (docs/systems/one_pass.md).

The network maps (condition, noise) to a member of the residual of the first guess. It is trained by a proper score of a
few members of each example (`ensemble_score`), without an adversary and without noise levels: the form of FGN (Alet et
al. 2025, https://arxiv.org/abs/2506.10772) and AIFS-CRPS (Lang et al. 2024, https://arxiv.org/abs/2412.15832). Noise is
a field beside the condition, a vector that steers every block, equal everywhere in the domain, or both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.samplers import Noise, Solver
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.tasks.ensemble_score import ensemble_score
from downscale_jax.tasks.first_guess import FirstGuess, Params, conditioned_over
from downscale_jax.tasks.regression import Batch, Regression
from downscale_jax.tasks.residual import Residual
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create
from downscale_jax.training.state import State

VECTOR = 32  # numbers of a noise vector, as in FGN


class MemberNoise(NamedTuple):
    """Noise of members, None where the network takes none of that kind."""

    field: jax.Array | None  # [M, H, W, C]
    vector: jax.Array | None  # [M, VECTOR]


@dataclass(frozen=True)
class OnePass(Residual):
    """Learns to generate members, each in one evaluation. `regression` is the task that provides the first guess."""

    network: UNet | DpdmUNet
    phases: tuple[Phase, ...]
    regression: Regression
    members: int = 2  # of each example in training, at least 2
    accumulate: int = 1
    ema_decay: float = 0.999
    hidden: int = 0  # leading channels of the condition that this network does not see
    noise: Literal['field', 'vector', 'both'] = 'field'

    draws = True  # members differ by their noise
    evaluations = 1  # per member

    def init(self, key: jax.Array, batch: Batch, guess: FirstGuess | None = None) -> State:
        targets = batch['target'].shape[-1]
        channels = batch['condition'].shape[-1] - self.hidden + 2 * targets
        shape = (1, *batch['target'].shape[1:3])
        noise = self.member_noise(jnp.zeros((*shape, targets)), jnp.zeros((1, VECTOR)))
        params = self.network.init(key, noise.field, jnp.zeros((*shape, channels)), noise.vector)
        return states.create(params, create(self.phases[0]), frozen=guess)

    def member_noise(self, field: jax.Array, vector: jax.Array) -> MemberNoise:
        """The kinds of noise that the network takes."""
        return MemberNoise(field if self.noise != 'vector' else None, vector if self.noise != 'field' else None)

    def generate(self, unet: Any, noise: MemberNoise, shown: jax.Array, dropout: jax.Array | None = None) -> jax.Array:
        """Members of the residual [M, H, W, C] from their noise and what is shown [M or 1, H, W, Cs], in training with
        a key of dropout."""
        count = len(jax.tree.leaves(noise)[0])
        shown = jnp.broadcast_to(shown, (count, *shown.shape[1:]))
        training: dict[str, Any] = {} if dropout is None else {'train': True, 'rngs': {'dropout': dropout}}
        return jnp.asarray(self.network.apply(unet, noise.field, shown, noise.vector, **training))

    def losses(self, unet: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The score [B] of the rows that `rows` returns, in training with dropout also with keys [B]."""
        noise = MemberNoise(rows.get('field'), rows.get('vector'))
        shown, keys = rows['shown'], rows.get('dropout')
        if keys is None:
            shown = jnp.repeat(shown, self.members, 0)
            each = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), noise)
            members = self.generate(unet, each, shown)
            members = members.reshape(-1, self.members, *members.shape[1:])
        else:
            members = jax.vmap(partial(self.generate, unet))(noise, shown[:, None], keys)
        members = jnp.where(rows['mask'][:, None], members, 0)
        loss = ensemble_score(jnp.moveaxis(members, 1, 0), rows['residual'], rows['mask'])
        return loss, {'loss': loss}

    def rows(self, guess: FirstGuess, batch: Batch, key: jax.Array) -> Batch:
        """All that the loss needs besides parameters: mask, condition and residual of the batch, and the noise of
        members [B, K, ...], keyed by the index in the global batch."""
        given = self.conditioned_batch(guess, batch)
        residual = given.residual(batch)
        members = (len(residual), self.members)
        field = parallel.row_normals(key, (*members, *residual.shape[1:]))
        vector = parallel.row_normals(jax.random.fold_in(key, 2), (*members, VECTOR))
        noise = {kind: x for kind, x in self.member_noise(field, vector)._asdict().items() if x is not None}
        return {'mask': batch['mask'], 'shown': given.shown, 'residual': residual, **noise}

    def sample(
        self, params: Params, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """Members over a whole domain, [M, H, W, C] normalised, from condition [1, H, W, Cc] and noise(i) [M, H, W, C]:
        noise(0) is their noise field, and the first cells of noise(1) hold their noise vectors.

        `apply(network, *fields)` runs a network over the domain in fused tiles: once for the first guess, equal for all
        members, and once for the members. `solver` has no effect.
        """
        assert params.guess is not None
        given = conditioned_over(apply, partial(self.condition, params.guess), condition, self.network.channels)
        further = noise(1)
        vector = further[:, : VECTOR // 4, :4, 0].reshape(len(further), VECTOR)

        def network(field, shown):
            return self.generate(params.unet, self.member_noise(field, vector), shown)

        members = apply(network, noise(0), given.shown)
        return given.mean + given.error * jnp.where(valid[None], members, 0)
