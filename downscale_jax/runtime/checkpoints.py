"""Checkpoints of one task, written asynchronously: the newest few and the best by validation loss.

The only module that imports orbax, and only on use: the import takes a second. Orbax writes each step to a temporary
folder and renames it. The folder holds the digests of its files in `whole.json`, because restoring alone reports
truncated and missing files late, and a flipped bit in an array not at all.
"""

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import absl.logging
import jax

from downscale_jax.runtime import messages, parallel, peers
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import disk_error

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

LOSS = 'validation/loss'
MARK, ASIDE, DAMAGED = 'whole.json', '.orbax-checkpoint-tmp', '.damaged'


class Checkpoints:
    """The steps saved under a directory, each a pytree of arrays; config and transform belong to the work directory.

    With `read_only` the directory is not modified and need not be closed.
    """

    def __init__(self, directory: Path, keep: int = 2, read_only: bool = False):
        self._directory, self._keep = Path(directory).absolute(), keep
        self._saving: tuple[int, float | None] | None = None  # step and loss of the save in progress
        self._writer: ocp.AsyncCheckpointer | None = None  # from the first save on
        self._changes = not read_only and jax.process_index() == 0
        if self._changes:
            with self._disk_errors('create the checkpoint folder'):
                self._directory.mkdir(parents=True, exist_ok=True)
            self._remove(self._directory.glob(f'*{ASIDE}*'))  # left by a killed save

    def latest(self) -> int | None:
        """The newest intact step, None if nothing was saved; waits for a save in progress.

        Warns of newer, damaged steps. Unless read-only, older steps are checked too and all damaged ones are set aside
        until their step is saved again: otherwise a damaged step could be kept as the best. Raises UserError if every
        step is damaged.
        """
        self.wait()
        step, damaged = self._first_intact(lambda: sorted(self._steps(), reverse=True))
        if step is None and parallel.broadcast_from_first(len(damaged)):
            raise UserError(
                f'every checkpoint in {self._directory} is damaged: restore a copy, or remove the folder to train again'
            )
        if self._changes:
            for path in (self._directory / str(broken) for broken in damaged):
                aside = path.with_name(path.name + DAMAGED)
                self._remove([aside])
                path.rename(aside)
            self._tidy()  # an earlier process may have been killed before it did
        return step

    def best(self) -> int | None:
        """The intact step with the lowest validation loss, None if there is none; warns of damaged steps that were, or
        may have been, better."""
        return self._first_intact(lambda: sorted(self._steps(), key=lambda s: (bool(self._mark(s)), *self._rank(s))))[0]

    def loss(self, step: int) -> float:
        """Validation loss saved with a step; infinite if it was saved without."""
        loss = self._mark(step).get(LOSS)
        return float('inf') if loss is None else loss

    def save(self, step: int, state: Any, sums: Any, validation_loss: float | None) -> None:
        """Copies the trees to the host, then writes in the background; a step appears only when it is complete.

        `sums` are the metrics summed since the last row of the log, so that a resumed run writes the same rows.
        Raises UserError on a disk error, of this step or of the previous one, whose writing is reported here.
        """
        import orbax.checkpoint as ocp

        self.wait()
        if self._writer is None:
            # called in the first process only, after all files are written and before the folder is renamed
            options = ocp.options.AsyncOptions(post_finalization_callback=self._seal)
            self._writer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler(), async_options=options)
        self._saving = step, validation_loss
        trees = ocp.args.Composite(state=ocp.args.StandardSave(state), sums=ocp.args.StandardSave(sums))
        with self._disk_errors(f'write checkpoint of step {step}'):
            self._writer.save(self._directory / str(step), args=trees, force=True)

    def wait(self) -> None:
        """Waits for a save in progress, then removes steps no longer kept. Raises UserError on a disk error."""
        if self._writer is None or self._saving is None:
            return
        step, _ = self._saving
        with self._disk_errors(f'write checkpoint of step {step}'):
            self._writer.wait_until_finished()
        self._saving = None
        self._tidy()

    def restore(self, step: int, state: Any, sums: Any) -> tuple[Any, Any]:
        """(state, sums) of `step`, with the shapes and shardings of the given trees of (abstract) arrays."""
        restored = self._restore(step, state=state, sums=sums)
        return restored['state'], restored['sums']

    def restore_state(self, step: int, state: Any) -> Any:
        """The state alone, for use after training."""
        return self._restore(step, state=state)['state']

    def close(self) -> None:
        """Waits for a save in progress and ends its threads."""
        self.wait()
        if self._writer is not None:
            self._writer.close()

    def _restore(self, step: int, **trees: Any) -> Any:
        import orbax.checkpoint as ocp

        folder = self._directory / str(step)
        for name, tree in trees.items():
            # beforehand: orbax leaves unfinished tasks behind when arrays do not fit
            _check_arrays(folder / name, tree)
        args = {name: ocp.args.StandardRestore(tree) for name, tree in trees.items()}
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            return reader.restore(folder, args=ocp.args.Composite(**args))

    def _steps(self) -> list[int]:
        """Intact and damaged steps: only a complete folder is renamed to its step, so a missing mark means damage."""
        return [int(path.name) for path in self._directory.glob('*/') if path.name.isdigit()]

    def _mark(self, step: int) -> dict[str, Any]:
        try:
            return dict(json.loads((self._directory / str(step) / MARK).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _is_intact(self, step: int) -> bool:
        try:
            return self._mark(step).get('files') == _digests(self._directory / str(step))
        except OSError:
            return False

    def _rank(self, step: int) -> tuple[float, int]:
        return self.loss(step), step

    def _first_intact(self, candidates: Callable[[], list[int]]) -> tuple[int | None, list[int]]:
        """The first intact candidate and the damaged ones before it (and, unless read-only, after it).

        Only the first process reads the files; all processes get its answer.
        """
        intact, damaged = -1, []
        for step in candidates() if jax.process_index() == 0 else ():
            if not self._is_intact(step):
                damaged.append(step)
            elif intact < 0:
                intact = step
            if intact >= 0 and not self._changes:
                break
        for step in damaged if intact >= 0 else ():
            messages.warning(f'the checkpoint of step {step} in {self._directory} is damaged: using step {intact}')
        intact = parallel.broadcast_from_first(intact)
        return (None if intact < 0 else intact), damaged

    def _seal(self) -> None:
        """Writes digests and loss into the folder that orbax is about to rename."""
        assert self._saving is not None
        step, loss = self._saving
        (folder,) = self._directory.glob(f'{step}{ASIDE}*')
        (folder / MARK).write_text(json.dumps({LOSS: loss, 'files': _digests(folder)}))

    @contextmanager
    def _disk_errors(self, action: str) -> Iterator[None]:
        """Raises a disk error as UserError, after ending the writer and removing its partial folder."""
        try:
            yield
        except Exception as error:
            self._saving = None
            if peers.is_failure(str(error)):
                self._writer = None  # closing it would wait for the process that has ended
                raise
            reason = disk_error(error)
            if reason is None:
                raise
            if self._writer is not None:
                with suppress(Exception):  # raises the same error again
                    self._writer.close()
                self._writer = None
            if self._changes:
                self._remove(self._directory.glob(f'*{ASIDE}*'))
            steps = self._steps()
            kept = f'the checkpoint of step {max(steps)} is kept' if steps else 'no earlier checkpoint exists'
            raise UserError(f'cannot {action} in {self._directory}: {reason}; {kept}') from error

    def _tidy(self) -> None:
        """Removes all steps but the newest and the best, and damaged copies of steps that were saved again."""
        steps = sorted(self._steps()) if self._changes else []
        kept = {*steps[-self._keep :], *sorted(steps, key=self._rank)[:1]}
        self._remove(self._directory / f'{step}{DAMAGED}' for step in steps)
        self._remove(self._directory / str(step) for step in steps if step not in kept)

    @staticmethod
    def _remove(folders: Iterable[Path]) -> None:
        """Renames each folder before removing it: if killed meanwhile, no step is left half removed."""
        for folder in folders:
            aside = folder if ASIDE in folder.name else folder.with_name(f'{folder.name}{ASIDE}')
            with suppress(OSError):
                folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _check_arrays(folder: Path, tree: Any) -> None:
    """Raises UserError where the saved tree in `folder` has other arrays than `tree`: the config was edited since."""
    import orbax.checkpoint as ocp

    with closing(ocp.PyTreeCheckpointHandler()) as handler:
        saved = _shapes(handler.metadata(folder).tree)
    expected = _shapes(ocp.tree.serialize_tree(tree, keep_empty_nodes=True))
    if saved == expected:
        return
    name = min(name for name in {*saved, *expected} if saved.get(name) != expected.get(name))
    found, wanted = (shapes.get(name, 'no array') for shapes in (saved, expected))
    raise UserError(
        f'the checkpoint {folder.parent} was saved by another network ({name}: {found}, now {wanted}): restore '
        'config.json of this run, or train again in another --workdir'
    )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the arrays in a tree of containers or of orbax's metadata."""
    return {
        '.'.join(str(getattr(key, 'key', getattr(key, 'idx', key))) for key in path): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if hasattr(leaf, 'shape')
    }


def silence_write_errors() -> None:
    """Silences what orbax and asyncio print after a failed write, for programs that print a UserError in one line.

    Orbax's threads log the error and close their event loop. Other writes in progress then fail in that loop, asyncio
    reports their tasks when they are collected, and Python those that never started. Affects the whole process.
    """
    absl.logging.set_verbosity(absl.logging.FATAL)
    logging.getLogger('asyncio').setLevel(logging.CRITICAL)
    warnings.filterwarnings('ignore', 'coroutine .* was never awaited', RuntimeWarning)
    report = sys.unraisablehook
    sys.unraisablehook = lambda event: None if str(event.exc_value) == 'Event loop is closed' else report(event)


def _digests(folder: Path) -> dict[str, str]:
    """{file: SHA-256} of the arrays in the folder of a step."""
    digests = {}
    for path in sorted(folder.glob('*/**/*')):
        if path.is_file():
            with path.open('rb') as file:
                digests[str(path.relative_to(folder))] = hashlib.file_digest(file, 'sha256').hexdigest()
    return digests
