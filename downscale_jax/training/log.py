"""Training log: metrics.jsonl and TensorBoard events, written by the first process only."""

import json
import time
from pathlib import Path
from typing import Any

import jax

from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import append_line, disk_error, write_text


class Log:
    """Writes rows of task, phase, step and metrics as JSON; no times, so that equal runs write equal bytes."""

    def __init__(self, workdir: Path):
        self._path, self._board = workdir / 'metrics.jsonl', workdir / 'tensorboard'
        self._first = jax.process_index() == 0
        self._events: Any = None

    def cut(self, task: str, step: int) -> None:
        """Drops rows of `task` after `step`, which a resumed run writes again."""
        if self._first and self._path.exists():
            rows = [row for row in read(self._path) if row['task'] != task or row['step'] <= step]
            write_text(self._path, ''.join(json.dumps(row) + '\n' for row in rows))

    def row(self, task: str, phase: str, step: int, metrics: dict[str, float], **unwritten: float) -> None:
        """Appends a row; `unwritten` metrics (speeds) go to TensorBoard only. Raises UserError on a disk error."""
        if not self._first:
            return
        append_line(self._path, json.dumps({'task': task, 'phase': phase, 'step': step, **metrics}))
        # imported late: it imports torch, if installed, which takes seconds
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        try:
            # not SummaryWriter, whose thread dies on a full disk, after which the next call waits forever
            if self._events is None:
                self._board.mkdir(exist_ok=True)
                self._events = EventsWriter(str(self._board / 'events'))
            for name, value in {**metrics, **unwritten}.items():
                summary = scalar(f'{task}/{name}', value)
                self._events.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            self._events.flush()
        except OSError as error:
            raise UserError(f'cannot write to {self._board}: {disk_error(error)}') from error

    def close(self) -> None:
        if self._events is not None:
            self._events.close()


def read(path: Path) -> list[dict]:
    """Rows of a metrics.jsonl, none where it is missing. Warns of damaged lines, which only a figure depends on."""
    if not path.exists():
        return []
    complete = path.read_bytes().split(b'\n')[:-1]  # a last line without its end was cut when the process was killed
    rows = list(map(as_row, complete))
    if damaged := rows.count(None):
        messages.warning(f'{path}: {damaged} of {len(rows)} lines are damaged and left out')
    return [row for row in rows if row]


def as_row(line: bytes) -> dict[str, Any] | None:
    """A row of the log, None where the line is none."""
    try:
        row = json.loads(line)
        return {**row, 'task': str(row['task']), 'step': int(row['step'])}
    except (KeyError, TypeError, ValueError):
        return None
