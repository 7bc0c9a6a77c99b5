"""AtmoDist's pretext task: how much time lies between two patches of one place (docs/systems/atmodist.md).

No labels are needed, and what the encoder has learnt to tell lags by gives a distance between atmospheric fields:
a content loss for super-resolution (system 2).
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from downscale_jax.models.atmodist import Encoder, Siamese, Tail, Variables, part
from downscale_jax.runtime.errors import UserError
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State

Batch = dict[str, jax.Array]  # first, second [B, P, P, C], normalised; lag [B] int32, 0 for the shortest

NO_AVERAGE = 0.0  # published is the best epoch; averaged parameters would not fit the statistics of the last ones


@dataclass(frozen=True)
class Lags:
    """Minimises the cross-entropy of the lag plus `l2` times the squares of all kernels (not of biases and scales).

    What `inference_params` gives, and all but training takes, are the variables of encoder and tail. Without
    `train_encoder` its weights stay as they were drawn: the rival that tells what training them is worth. Its batch
    statistics are followed all the same, since those that it starts with fit no data.
    """

    encoder: Encoder
    tail: Tail
    phases: tuple[Phase, ...]
    l2: float = 1e-4
    accumulate: int = 1
    train_encoder: bool = True

    @property
    def network(self) -> Siamese:
        return Siamese(self.encoder, self.tail)

    def init(self, key: jax.Array, batch: Batch, encoder: Variables | None = None) -> State:
        """`encoder`: one trained on another task, in place of a new one."""
        patch = jnp.zeros((1, *batch['first'].shape[1:]))
        return begin(self.network.init(key, patch, patch), self.phases[0], encoder)

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """Inside `sharded`: what is minimised [B], metrics [B], and the running averages moved on."""
        if not self.train_encoder:  # here, not behind it: the penalty must not shrink its kernels either
            params = {**params, 'encoder': jax.lax.stop_gradient(params['encoder'])}
        logits, moved = self.network.apply(
            {'params': params, 'batch_stats': stats}, rows['first'], rows['second'], train=True, mutable=['batch_stats']
        )
        metrics = self.metrics(params, logits, rows['lag'])
        return metrics['loss'], metrics, moved['batch_stats']

    def metrics(self, params: Any, logits: jax.Array, lag: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B]. `lag_error` is how many classes the likeliest lag lies off."""
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, lag)
        _, likeliest = jax.lax.top_k(logits, min(3, logits.shape[-1]))
        hit = likeliest == lag[:, None]
        return {
            'loss': cross_entropy + self.l2 * squared_kernels(params),
            'cross_entropy': cross_entropy,
            'accuracy': hit[:, 0].astype(jnp.float32),
            'top3': hit.any(-1).astype(jnp.float32),
            'lag_error': jnp.abs(likeliest[:, 0] - lag).astype(jnp.float32),
        }

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        def losses(params, rows):
            return self.losses(params, state.stats, rows)

        return gradient_step(losses, state, batch, phase, self.accumulate, NO_AVERAGE)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Per example, [B], by the running averages of the statistics."""
        logits = self.network.apply(self.inference_params(state), batch['first'], batch['second'])
        return self.metrics(state.params, jnp.asarray(logits), batch['lag'])

    def inference_params(self, state: State) -> Variables:
        return {'params': state.params, 'batch_stats': state.stats}

    def embed(self, params: Variables, x: jax.Array, stage: int) -> jax.Array:
        """The map at the end of a stage (1 is the first), float32, of fields [B, H, W, C] of any size."""
        if not 1 <= stage <= len(self.encoder.widths):
            raise UserError(f'the encoder has no stage {stage}: choose one of 1 to {len(self.encoder.widths)}')
        stages: Any = self.encoder.apply(part(params, 'encoder'), x)
        return stages[stage - 1].astype(jnp.float32)


def begin(variables: Variables, phase: Phase, encoder: Variables | None) -> State:
    """A state at step 0, with another encoder's variables if given."""
    if encoder is not None:
        variables = {name: {**trees, 'encoder': encoder[name]} for name, trees in variables.items()}
    return states.create(variables['params'], create(phase), stats=variables['batch_stats'])


def squared_kernels(params: Any) -> jax.Array:
    """Sum of squares over all kernels."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum((jnp.sum(jnp.square(x)) for path, x in leaves if path[-1].key == 'kernel'), jnp.zeros(()))
