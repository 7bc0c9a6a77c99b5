"""Checkpoints of one task: asynchronous, the newest few and the best by validation loss. The only importer of orbax."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

METRIC = 'validation/loss'


class Checkpoints:
    """Steps under a directory. What is saved is a pytree of arrays; config and transform lie in the work directory."""

    def __init__(self, directory: Path, keep: int = 2, read_only: bool = False):
        def loss(metrics):
            return metrics[METRIC]

        best = policies.BestN(get_metric_fn=loss, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            best_fn=loss,  # without it orbax writes no metrics
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), best]),
            read_only=read_only,
            create=not read_only,
        )
        self._manager = ocp.CheckpointManager(Path(directory).absolute(), options=options)

    def latest(self) -> int | None:
        """Newest committed step, None where there is none."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Committed step with the lowest validation loss."""
        losses = {step: self.metric(step) for step in self._manager.all_steps()}
        return min(losses, key=lambda step: (losses[step], step)) if losses else None

    def metric(self, step: int) -> float:
        """Validation loss with which a step was saved; infinite where it was saved without."""
        return (self._manager.metrics(step) or {}).get(METRIC, float('inf'))

    def save(self, step: int, state: Any, sums: Any, validation_loss: float | None) -> None:
        """Copies the trees off the devices, then writes in the background; a step appears only when it is complete.

        `sums` are the metrics added up since the last row of the log, so that a resumed run writes the same rows.
        """
        metrics = None if validation_loss is None else {METRIC: validation_loss}
        trees = ocp.args.Composite(state=ocp.args.StandardSave(state), sums=ocp.args.StandardSave(sums))
        self._manager.save(step, args=trees, metrics=metrics, force=True)

    def restore(self, step: int, state: Any, sums: Any) -> tuple[Any, Any]:
        """(state, sums) saved at `step`, laid out over the devices as those given, arrays or abstract ones."""
        trees = ocp.args.Composite(state=ocp.args.StandardRestore(state), sums=ocp.args.StandardRestore(sums))
        restored = self._manager.restore(step, args=trees)
        return restored['state'], restored['sums']

    def restore_state(self, step: int, state: Any) -> Any:
        """The state alone, for use after training."""
        return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(state)))['state']

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.close()
