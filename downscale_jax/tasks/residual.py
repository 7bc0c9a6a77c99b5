"""Common steps of tasks that generate the residual of a first guess: condition, training step, evaluation step."""

from typing import TYPE_CHECKING, Any

import jax

from downscale_jax.runtime import parallel
from downscale_jax.tasks.first_guess import Conditioned, FirstGuess, Params, conditioned
from downscale_jax.tasks.regression import Batch
from downscale_jax.training.optimizer import Phase, gradient_step
from downscale_jax.training.state import State


class Residual:
    """Steps of a task that has a `network`, the `regression` of its first guess, and the functions `rows` and `losses`.

    It is the base of frozen dataclasses, whose fields they are.
    """

    if TYPE_CHECKING:
        network: Any
        regression: Any
        hidden: Any
        accumulate: Any
        ema_decay: Any
        rows: Any
        losses: Any

    def condition(self, guess: FirstGuess | None, condition: jax.Array, part: jax.Array | None = None) -> Conditioned:
        """The input of the network for a condition [B, H, W, Cc], with location and scale of the target; `part` as in
        `conditioned`."""
        return conditioned(self.regression, guess, condition, self.hidden, self.network.channels, part)

    def conditioned_batch(self, guess: FirstGuess | None, batch: Batch) -> Conditioned:
        """As `condition`, of a batch in training."""
        return self.condition(guess, batch['condition'], batch.get('part'))

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        rows = self.rows(state.frozen, batch, key)
        if self.network.dropout:
            rows['dropout'] = parallel.row_keys(jax.random.fold_in(key, 1), len(rows['residual']))
        return gradient_step(self.losses, state, rows, phase, self.accumulate, self.ema_decay)

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """The loss per example, [B], with averaged parameters."""
        losses: tuple[jax.Array, dict[str, jax.Array]] = self.losses(
            state.ema_params, self.rows(state.frozen, batch, key)
        )
        return losses[1]

    def inference_params(self, state: State) -> Params:
        return Params(state.ema_params, state.frozen)
