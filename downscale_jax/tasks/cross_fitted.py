"""A first guess that is honest about records it has learned: one regression for each part of the training period.

A regression errs less on records that it was trained on than on others, the more so the fewer they are. A generator
that learns those errors draws an ensemble too narrow for new records. Here each of `parts` regressions is trained
without one part of the records, and the generator learns from the errors on that part (cross-fitting, Chernozhukov et
al. 2018, https://arxiv.org/abs/1608.00060; stacking, Wolpert 1992). New records get the mean of all regressions.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.tasks.regression import Batch, Regression, losses_of
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create, gradient_step
from downscale_jax.training.state import State


@dataclass(frozen=True)
class CrossFitted(Regression):
    """Regressions whose parameters are {'without_0': .., 'without_1': .., ..}. A batch also has `part` [B]: that of the
    record, -1 for one that no regression has learned."""

    parts: int = 2

    def init(self, key: jax.Array, batch: Batch) -> State:
        each = [super(CrossFitted, self).init(jax.random.fold_in(key, part), batch) for part in range(self.parts)]
        params = {f'without_{part}': state.params for part, state in enumerate(each)}
        return states.create(params, create(self.phases[0]))

    def train_step(self, state: State, batch: Batch, key: jax.Array, phase: Phase) -> tuple[State, dict]:
        return gradient_step(self.fitting_losses, state, batch, phase, self.accumulate, self.ema_decay)

    def fitting_losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """As `losses`, of the regressions that may learn a row: their mean."""
        parts = range(self.parts)
        each = [losses_of(*self._of(params, part, rows['condition']), rows) for part in parts]
        weights = [(rows['part'] != part) / (self.parts - 1) for part in parts]
        loss, metrics = jax.tree.map(lambda *of_parts: sum(map(jnp.multiply, of_parts, weights)), *each)
        return loss, metrics

    def distribution(
        self, params: Any, condition: jax.Array, part: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """See `Regression.distribution`: of the regression that has not learned the row, else of their mean."""
        means, sizes = map(jnp.stack, zip(*[self._of(params, k, condition) for k in range(self.parts)], strict=True))
        mean, size = means.mean(0), jnp.sqrt(jnp.square(sizes).mean(0) + means.var(0))
        if part is None:
            return mean, size
        known, rows = (part >= 0)[:, None, None, None], jnp.arange(len(part))
        return jnp.where(known, means[part, rows], mean), jnp.where(known, sizes[part, rows], size)

    def _of(self, params: Any, part: int, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        return super().distribution(params[f'without_{part}'], condition)
