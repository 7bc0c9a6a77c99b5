"""AtmoDist's pretext task: predicting the time lag between two patches of one place (docs/systems/atmodist.md).

It needs no labels. The representation that the encoder learns gives a distance between atmospheric fields, which also
serves as a content loss for super-resolution (docs/systems/srgan.md).
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

UNTRAINED = 'untrained'  # name of the baseline: `Lags` with an encoder that stays untrained
PROBE = 'probe'  # name of the task that trains a tail on the finished encoder of another pretext task
NO_AVERAGE = 0.0  # the paper keeps the best epoch; averaged parameters would not match the running statistics


@dataclass(frozen=True)
class Lags:
    """Minimises the cross-entropy of the lag plus `l2` times the squares of all kernels (not of biases and scales).

    `inference_params` returns the variables of encoder and tail, all that use needs. Without `train_encoder` the
    weights of the encoder stay as initialised: the baseline that shows the value of training them. Its batch statistics
    are updated all the same, because the initial ones fit no data.
    """

    encoder: Encoder
    tail: Tail
    phases: tuple[Phase, ...]
    l2: float = 1e-4
    accumulate: int = 1
    train_encoder: bool = True
    joint: bool = True  # see `Siamese`

    @property
    def network(self) -> Siamese:
        return Siamese(self.encoder, self.tail, self.joint)

    def init(self, key: jax.Array, batch: Batch, encoder: Variables | None = None) -> State:
        """`encoder`: variables of an encoder trained on another task, instead of new ones."""
        patch = jnp.zeros((1, *batch['first'].shape[1:]))
        return initial_state(self.network.init(key, patch, patch), self.phases[0], encoder)

    def losses(self, params: Any, stats: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array], Any]:
        """Inside `sharded`: the loss [B], metrics [B], and the updated running statistics."""
        if not self.train_encoder:  # before the penalty, which must not shrink its kernels either
            params = {**params, 'encoder': jax.lax.stop_gradient(params['encoder'])}
        logits, updated = self.network.apply(
            {'params': params, 'batch_stats': stats}, rows['first'], rows['second'], train=True, mutable=['batch_stats']
        )
        metrics = self.metrics(params, logits, rows['lag'])
        return metrics['loss'], metrics, updated['batch_stats']

    def metrics(self, params: Any, logits: jax.Array, lag: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B]; `lag_error` is the distance of the likeliest lag from the true one, in classes."""
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
        """Metrics per example, [B], with the running statistics."""
        logits = self.network.apply(self.inference_params(state), batch['first'], batch['second'])
        return self.metrics(state.params, jnp.asarray(logits), batch['lag'])

    def inference_params(self, state: State) -> Variables:
        return {'params': state.params, 'batch_stats': state.stats}

    def embed(self, params: Variables, x: jax.Array, stage: int) -> jax.Array:
        """The float32 map at the end of a stage (1 is the first) for fields [B, H, W, C] of any size."""
        if not 1 <= stage <= len(self.encoder.widths):
            raise UserError(f'stage={stage}: the encoder has stages 1 to {len(self.encoder.widths)}')
        stages: Any = self.encoder.apply(part(params, 'encoder'), x)
        return stages[stage - 1].astype(jnp.float32)


def initial_state(variables: Variables, phase: Phase, encoder: Variables | None) -> State:
    """The state at step 0, with the variables of another encoder if given."""
    if encoder is not None:
        variables = {name: {**trees, 'encoder': encoder[name]} for name, trees in variables.items()}
    return states.create(variables['params'], create(phase), stats=variables['batch_stats'])


def squared_kernels(params: Any) -> jax.Array:
    """Sum of squares over all kernels."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum((jnp.sum(jnp.square(x)) for path, x in leaves if path[-1].key == 'kernel'), jnp.zeros(()))
