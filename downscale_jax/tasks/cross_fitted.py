"""Cross-fitted first guess: one regression per part of the training period, each trained on the other parts.

A regression has smaller errors on its training records than on new ones, and the gap widens as the training period
shortens. A generator trained on those errors is under-dispersive. Here it learns the errors of regressions on records
that they were not trained on (cross-fitting, Chernozhukov et al. 2018, https://arxiv.org/abs/1608.00060; stacking,
Wolpert 1992). New records get the mean of all regressions.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from downscale_jax.tasks.regression import Batch, Regression, losses_of
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import create
from downscale_jax.training.state import State


@dataclass(frozen=True)
class CrossFitted(Regression):
    """Regressions whose parameters are {'without_0': .., 'without_1': .., ..}; the phases have `per_network` set.

    A batch also has `part` [B]: the part of the training split that the record belongs to, -1 outside it. Every
    regression is evaluated for every row, in training and in use.
    """

    parts: int = 2

    def init(self, key: jax.Array, batch: Batch) -> State:
        drawn = [self.draw(jax.random.fold_in(key, part), batch) for part in range(self.parts)]
        params = {f'without_{part}': params for part, params in enumerate(drawn)}
        return states.create(params, create(self.phases[0]))

    def losses(self, params: Any, rows: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss [B], the sum of those of all regressions, and metrics, averaged over the regressions trained on each
        row; of rows in the training split."""
        parts = range(self.parts)
        each = [losses_of(*self._of(params, part, rows['condition']), rows) for part in parts]
        weights = [(rows['part'] != part) / (self.parts - 1) for part in parts]
        loss, metrics = jax.tree.map(lambda *of_parts: sum(map(jnp.multiply, of_parts, weights)), *each)
        return self.parts * loss, metrics

    def eval_step(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Metrics per example, [B], of what the generator is given, with averaged parameters."""
        return losses_of(*self.distribution(state.ema_params, batch['condition'], batch['part']), batch)[1]

    def distribution(
        self, params: Any, condition: jax.Array, part: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """From the regression that was not trained on the row's part; without `part`, or for -1, mean and standard
        deviation of the mixture of all (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474): where they
        disagree, as on records unlike those of training, the expected error is larger."""
        means, sizes = map(jnp.stack, zip(*[self._of(params, k, condition) for k in range(self.parts)], strict=True))
        mean, size = means.mean(0), jnp.sqrt(jnp.square(sizes).mean(0) + means.var(0))
        if part is None:
            return mean, size
        held_out, rows = (part >= 0)[:, None, None, None], jnp.arange(len(part))
        return jnp.where(held_out, means[part, rows], mean), jnp.where(held_out, sizes[part, rows], size)

    def _of(self, params: Any, part: int, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        return super().distribution(params[f'without_{part}'], condition)
