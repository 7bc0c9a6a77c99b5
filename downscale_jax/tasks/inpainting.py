"""Inpainting of the centre of a patch: a second pretext task for AtmoDist's encoder (docs/systems/atmodist.md)."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.models.atmodist import Decoder, Encoder, Inpainter, Variables
from downscale_jax.tasks.lags import NO_AVERAGE, Batch, initial_state
from downscale_jax.training.optimizer import Phase, gradient_step
from downscale_jax.training.state import State


@dataclass(frozen=True)
class Inpainting:
    """Minimises the squared error of the centre, a quarter of the patch per side, which the encoder sees as zeros.

    It uses the first patch of each pair in batches of the lag task. State and `inference_params` have the layout of
    that task, so that either task can start from the encoder of the other, `part(params, 'encoder')`.
    """

    encoder: Encoder
    decoder: Decoder
    phases: tuple[Phase, ...]
    accumulate: int = 1

    @property
    def network(self) -> Inpainter:
        return Inpainter(self.encoder, self.decoder)

    def init(self, key: jax.Array, batch: Batch, encoder: Variables | None = None) -> State:
        """`encoder`: variables of an encoder trained on another task, instead of new ones."""
        patch = jnp.zeros((1, *batch['first'].shape[1:]))
        rows, columns = centre(patch)
        return initial_state(self.network.init(key, patch, patch[:, rows, columns].shape[1:3]), self.phases[0], encoder)

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """Inside `sharded`: the loss [B], metrics [B], and the updated running statistics."""
        variables = {'params': params, 'batch_stats': stats}
        centres, updated = self.apply(variables, rows['first'], train=True, mutable=['batch_stats'])
        loss = centre_error(centres, rows['first'])
        return loss, {'loss': loss}, updated['batch_stats']

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        def losses(params, rows):
            return self.losses(params, state.stats, rows)

        return gradient_step(losses, state, batch, phase, self.accumulate, NO_AVERAGE)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], with the running statistics."""
        return {'loss': centre_error(self.inpaint(self.inference_params(state), batch['first']), batch['first'])}

    def inference_params(self, state: State) -> Variables:
        return {'params': state.params, 'batch_stats': state.stats}

    def apply(self, variables: Variables, x: jax.Array, **options: Any) -> Any:
        """The network applied to patches without their centre."""
        rows, columns = centre(x)
        masked = x.at[:, rows, columns].set(0)
        return self.network.apply(variables, masked, x[:, rows, columns].shape[1:3], **options)

    def inpaint(self, params: Variables, x: jax.Array) -> jax.Array:
        """The centre of patches [B, P, P, C] predicted from their surroundings, [B, P / 4, P / 4, C]."""
        return jnp.asarray(self.apply(params, jnp.asarray(x)))


def centre(x: jax.Array) -> tuple[slice, slice]:
    """Rows and columns of the middle quarter of maps [B, H, W, C]: 40 of 160 cells."""
    h, w = x.shape[1:3]
    return slice((h - h // 4) // 2, (h + h // 4) // 2), slice((w - w // 4) // 2, (w + w // 4) // 2)


def centre_error(centres: jax.Array, x: jax.Array) -> jax.Array:
    """Mean squared error of predicted centres of the patches x, [B]."""
    rows, columns = centre(x)
    return jnp.square(centres - x[:, rows, columns]).mean((1, 2, 3))
