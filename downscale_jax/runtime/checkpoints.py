"""Checkpoints of one task: asynchronous, the newest few and the best by validation loss. The only importer of orbax.

A step is a folder that orbax writes aside and renames, with the digests of its files in `whole.json`: restoring alone
finds cut and missing files late and noisily, and a flipped bit in an array not at all.
"""

import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import refusal

LOSS = 'validation/loss'
MARK, ASIDE, DAMAGED = 'whole.json', '.orbax-checkpoint-tmp', '.damaged'


def _tell_unraisable(found: Any, tell: Callable[[Any], Any] = sys.unraisablehook) -> None:
    """At the first write that fails orbax closes its event loop, and all other writes under way complain of that."""
    if str(found.exc_value) != 'Event loop is closed':
        tell(found)


sys.unraisablehook = _tell_unraisable


class Checkpoints:
    """Steps under a directory. What is saved is a pytree of arrays; config and transform lie in the work directory.

    Read-only, nothing there is changed and nothing has to be closed.
    """

    def __init__(self, directory: Path, keep: int = 2, read_only: bool = False):
        self._directory, self._keep = Path(directory).absolute(), keep
        self._saving: tuple[int, float | None] | None = None  # step and loss of what is being written
        self._writer: ocp.AsyncCheckpointer | None = None
        if not read_only:
            # orbax calls back in the first process only, when all files are there and before it renames the folder
            options = ocp.options.AsyncOptions(post_finalization_callback=self._seal)
            self._writer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler(), async_options=options)
        self._changes = not read_only and jax.process_index() == 0
        if self._changes:
            with self._told('make the folder of checkpoints'):
                self._directory.mkdir(parents=True, exist_ok=True)
            self._remove(self._directory.glob(f'*{ASIDE}*'))  # left by a killed save

    def latest(self) -> int | None:
        """Newest step that is whole, None where nothing was saved; waits for what is being written.

        Newer ones that are damaged are told on stderr and, unless read-only, put aside until their step is saved
        again. Raises UserError where all are damaged.
        """
        self.wait()
        step, damaged = self._first_whole(lambda: sorted(self._steps(), reverse=True))
        if step is None and parallel.from_first(len(damaged)):
            raise UserError(
                f'every checkpoint in {self._directory} is damaged: put a copy back, or remove the folder to train anew'
            )
        if self._changes:
            for path in (self._directory / str(broken) for broken in damaged):
                self._remove([path.with_name(path.name + DAMAGED)])
                path.rename(path.with_name(path.name + DAMAGED))
        return step

    def best(self) -> int | None:
        """Step with the lowest validation loss, None where no step is whole; better ones that are damaged are told on
        stderr."""
        return self._first_whole(lambda: sorted(self._steps(), key=self._rank))[0]

    def loss(self, step: int) -> float:
        """Validation loss with which a step was saved; infinite where it was saved without."""
        loss = self._mark(step).get(LOSS)
        return float('inf') if loss is None else loss

    def save(self, step: int, state: Any, sums: Any, validation_loss: float | None) -> None:
        """Copies the trees off the devices, then writes in the background; a step appears only when it is complete.

        `sums` are the metrics added up since the last row of the log, so that a resumed run writes the same rows.
        Raises UserError where the disk refuses this step or, told late, the one saved before.
        """
        self.wait()
        assert self._writer is not None
        self._saving = step, validation_loss
        trees = ocp.args.Composite(state=ocp.args.StandardSave(state), sums=ocp.args.StandardSave(sums))
        with self._told(f'write checkpoint of step {step}'):
            self._writer.save(self._directory / str(step), args=trees, force=True)

    def wait(self) -> None:
        """Waits for what is being written, then removes what need not be kept any longer. Raises UserError where the
        disk refused."""
        if self._writer is None or self._saving is None:
            return
        step, _ = self._saving
        with self._told(f'write checkpoint of step {step}'):
            self._writer.wait_until_finished()
        self._saving = None
        if self._changes:
            steps = self._steps()
            best = min(steps, key=self._rank)
            old = set(steps) - {best, *sorted(steps)[-self._keep :]}
            self._remove([self._directory / f'{step}{DAMAGED}', *(self._directory / str(step) for step in old)])

    def restore(self, step: int, state: Any, sums: Any) -> tuple[Any, Any]:
        """(state, sums) saved at `step`, laid out over the devices as those given, arrays or abstract ones."""
        restored = self._restore(step, state=state, sums=sums)
        return restored['state'], restored['sums']

    def restore_state(self, step: int, state: Any) -> Any:
        """The state alone, for use after training."""
        return self._restore(step, state=state)['state']

    def close(self) -> None:
        """Waits for what is being written."""
        self.wait()
        if self._writer is not None:
            self._writer.close()

    def _restore(self, step: int, **trees: Any) -> Any:
        args = {name: ocp.args.StandardRestore(tree) for name, tree in trees.items()}
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            return reader.restore(self._directory / str(step), args=ocp.args.Composite(**args))

    def _steps(self) -> list[int]:
        return [int(mark.parent.name) for mark in self._directory.glob(f'*/{MARK}') if mark.parent.name.isdigit()]

    def _mark(self, step: int) -> dict[str, Any]:
        try:
            return dict(json.loads((self._directory / str(step) / MARK).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _is_whole(self, step: int) -> bool:
        try:
            return self._mark(step).get('files') == _digests(self._directory / str(step))
        except OSError:
            return False

    def _rank(self, step: int) -> tuple[float, int]:
        return self.loss(step), step

    def _first_whole(self, candidates: Callable[[], list[int]]) -> tuple[int | None, list[int]]:
        """(the first candidate that is whole, the damaged ones before it); the first process looks, for all."""
        found, damaged = -1, []
        for step in candidates() if jax.process_index() == 0 else ():
            if self._is_whole(step):
                found = step
                break
            damaged.append(step)
        for step in damaged if found >= 0 else ():
            print(
                f'warning: the checkpoint of step {step} in {self._directory} is damaged: step {found} is taken',
                file=sys.stderr,
            )
        found = parallel.from_first(found)
        return (None if found < 0 else found), damaged

    def _seal(self) -> None:
        """Puts digests and loss into the folder that is about to be renamed."""
        assert self._saving is not None
        step, loss = self._saving
        (folder,) = self._directory.glob(f'{step}{ASIDE}*')
        (folder / MARK).write_text(json.dumps({LOSS: loss, 'files': _digests(folder)}))

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._saving = None
            reason = refusal(error)
            if reason is None:
                raise
            if self._writer is not None:
                # orbax tells the same again when it is closed, and asyncio when its tasks are collected
                logging.getLogger('asyncio').setLevel(logging.CRITICAL)
                with suppress(Exception):
                    self._writer.close()
                self._writer = None
            if self._changes:
                self._remove(self._directory.glob(f'*{ASIDE}*'))
            steps = self._steps()
            kept = f'the checkpoint of step {max(steps)} is kept' if steps else 'there is none before it'
            raise UserError(f'cannot {doing} to {self._directory}: {reason}; {kept}') from error

    @staticmethod
    def _remove(folders: Iterable[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _digests(folder: Path) -> dict[str, str]:
    """{file: SHA-256} of the trees in the folder of a step."""
    digests = {}
    for path in sorted(folder.glob('*/**/*')):
        if path.is_file():
            with path.open('rb') as file:
                digests[str(path.relative_to(folder))] = hashlib.file_digest(file, 'sha256').hexdigest()
    return digests
