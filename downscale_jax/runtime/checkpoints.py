"""Checkpoints of one task: asynchronous, the newest few and the best by validation loss. The only importer of orbax.

A step is a folder that orbax writes aside and renames, with the digests of its files in `whole.json`: restoring alone
finds cut and missing files late and noisily, and a flipped bit in an array not at all.
"""

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import absl.logging
import jax
import orbax.checkpoint as ocp

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import refusal

LOSS = 'validation/loss'
MARK, ASIDE, DAMAGED = 'whole.json', '.orbax-checkpoint-tmp', '.damaged'


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

        Newer ones that are damaged are told on stderr. Unless read-only, older ones are looked at too, and all that are
        damaged put aside until their step is saved again: a mark alone would keep one as the best. Raises UserError
        where all are damaged.
        """
        self.wait()
        step, damaged = self._first_whole(lambda: sorted(self._steps(), reverse=True))
        if step is None and parallel.from_first(len(damaged)):
            raise UserError(
                f'every checkpoint in {self._directory} is damaged: put a copy back, or remove the folder to train anew'
            )
        if self._changes:
            for path in (self._directory / str(broken) for broken in damaged):
                aside = path.with_name(path.name + DAMAGED)
                self._remove([aside])
                path.rename(aside)
            self._tidy()  # a kill may have come before it
        return step

    def best(self) -> int | None:
        """Step with the lowest validation loss, None where no step is whole; damaged ones that were or may have been
        better are told on stderr."""
        return self._first_whole(lambda: sorted(self._steps(), key=lambda s: (bool(self._mark(s)), *self._rank(s))))[0]

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
        self._tidy()

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
        """Whole and damaged ones: a folder has its name from renaming, so that one without a mark has lost it."""
        return [int(path.name) for path in self._directory.glob('*/') if path.name.isdigit()]

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
        """(the first candidate that is whole, the damaged ones before it and, unless read-only, behind it); the first
        process looks, for all."""
        found, damaged = -1, []
        for step in candidates() if jax.process_index() == 0 else ():
            if not self._is_whole(step):
                damaged.append(step)
            elif found < 0:
                found = step
            if found >= 0 and not self._changes:
                break
        for step in damaged if found >= 0 else ():
            messages.warning(f'the checkpoint of step {step} in {self._directory} is damaged: using step {found}')
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
                with suppress(Exception):  # it tells the same again
                    self._writer.close()
                self._writer = None
            if self._changes:
                self._remove(self._directory.glob(f'*{ASIDE}*'))
            steps = self._steps()
            kept = f'the checkpoint of step {max(steps)} is kept' if steps else 'there is none before it'
            raise UserError(f'cannot {doing} to {self._directory}: {reason}; {kept}') from error

    def _tidy(self) -> None:
        """Removes all steps but the newest and the best, and damaged ones that have been saved again."""
        steps = sorted(self._steps()) if self._changes else []
        kept = {*steps[-self._keep :], *sorted(steps, key=self._rank)[:1]}
        self._remove(self._directory / f'{step}{DAMAGED}' for step in steps)
        self._remove(self._directory / str(step) for step in steps if step not in kept)

    @staticmethod
    def _remove(folders: Iterable[Path]) -> None:
        """Renames before it removes: what is left of one by a kill is no step, and the next start removes it."""
        for folder in folders:
            aside = folder if ASIDE in folder.name else folder.with_name(f'{folder.name}{ASIDE}')
            with suppress(OSError):
                folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def silence_write_errors() -> None:
    """For a program that tells a UserError in one line: silences what orbax and asyncio add to a refused write.

    Orbax's threads log the error; it closes their event loop, of which all other writes under way complain, asyncio
    complains of their tasks when they are collected, Python of those not begun. This holds for the whole process.
    """
    absl.logging.set_verbosity(absl.logging.FATAL)
    logging.getLogger('asyncio').setLevel(logging.CRITICAL)
    warnings.filterwarnings('ignore', 'coroutine .* was never awaited', RuntimeWarning)
    tell = sys.unraisablehook
    sys.unraisablehook = lambda found: None if str(found.exc_value) == 'Event loop is closed' else tell(found)


def _digests(folder: Path) -> dict[str, str]:
    """{file: SHA-256} of the trees in the folder of a step."""
    digests = {}
    for path in sorted(folder.glob('*/**/*')):
        if path.is_file():
            with path.open('rb') as file:
                digests[str(path.relative_to(folder))] = hashlib.file_digest(file, 'sha256').hexdigest()
    return digests
