"""A second pretext task for AtmoDist's encoder: what stood in the centre of a patch (docs/systems/atmodist.md)."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.models.atmodist import Decoder, Encoder, Inpainter, Variables
from downscale_jax.tasks.lags import NO_AVERAGE, Batch, begin
from downscale_jax.training.optimizer import Phase, gradient_step
from downscale_jax.training.state import State


@dataclass(frozen=True)
class Inpainting:
    """Minimises the squared error of the centre, a quarter of the side each way, which the encoder sees as zeros.

    It takes the batches of the lag task and uses the first patch of each pair; state and `inference_params` are laid
    out likewise, so that `part(params, 'encoder')` of either task starts the other.
    """

    encoder: Encoder
    decoder: Decoder
    phases: tuple[Phase, ...]
    accumulate: int = 1

    @property
    def network(self) -> Inpainter:
        return Inpainter(self.encoder, self.decoder)

    def init(self, key: jax.Array, batch: Batch, encoder: Variables | None = None) -> State:
        """`encoder`: one trained on another task, in place of a new one."""
        patch = jnp.zeros((1, *batch['first'].shape[1:]))
        rows, columns = centre(patch)
        return begin(self.network.init(key, patch, patch[:, rows, columns].shape[1:3]), self.phases[0], encoder)

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """Inside `sharded`: what is minimised [B], metrics [B], and the running averages moved on."""
        variables = {'params': params, 'batch_stats': stats}
        found, moved = self.apply(variables, rows['first'], train=True, mutable=['batch_stats'])
        metrics = {'loss': squared_error(found, rows['first'])}
        return metrics['loss'], metrics, moved['batch_stats']

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        def losses(params, rows):
            return self.losses(params, state.stats, rows)

        return gradient_step(losses, state, batch, phase, self.accumulate, NO_AVERAGE)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B], by the running averages of the statistics."""
        return {'loss': squared_error(self.inpaint(self.inference_params(state), batch['first']), batch['first'])}

    def inference_params(self, state: State) -> Variables:
        return {'params': state.params, 'batch_stats': state.stats}

    def apply(self, variables: Variables, x: jax.Array, **options: Any) -> Any:
        """The network on patches without their centre."""
        rows, columns = centre(x)
        masked = x.at[:, rows, columns].set(0)
        return self.network.apply(variables, masked, x[:, rows, columns].shape[1:3], **options)

    def inpaint(self, params: Variables, x: jax.Array) -> jax.Array:
        """The centre of patches [B, P, P, C] as their surroundings suggest it, [B, P / 4, P / 4, C]."""
        return jnp.asarray(self.apply(params, jnp.asarray(x)))


def centre(x: jax.Array) -> tuple[slice, slice]:
    """The middle quarter of each side of maps [B, H, W, C]: 40 of 160 cells."""
    h, w = x.shape[1:3]
    return slice((h - h // 4) // 2, (h + h // 4) // 2), slice((w - w // 4) // 2, (w + w // 4) // 2)


def squared_error(found: jax.Array, x: jax.Array) -> jax.Array:
    """Mean over the centre, [B]."""
    rows, columns = centre(x)
    return jnp.square(found - x[:, rows, columns]).mean((1, 2, 3))
