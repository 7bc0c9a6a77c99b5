"""What training says: metrics.jsonl and TensorBoard, written by the first process only."""

import json
from pathlib import Path

import jax
import tensorboardX

from downscale_jax.runtime.files import write_text


class Log:
    """A row is one JSON object: task, phase, step and metrics. No times, so that equal runs write equal bytes."""

    def __init__(self, workdir: Path):
        self._path = workdir / 'metrics.jsonl'
        first = jax.process_index() == 0
        self._board = tensorboardX.SummaryWriter(str(workdir / 'tensorboard')) if first else None

    def cut(self, task: str, step: int) -> None:
        """Drops rows of `task` beyond `step`: a resumed run writes them again."""
        if self._board and self._path.exists():
            rows = [row for row in read(self._path) if row['task'] != task or row['step'] <= step]
            write_text(self._path, ''.join(json.dumps(row) + '\n' for row in rows))

    def row(self, task: str, phase: str, step: int, metrics: dict[str, float], **unwritten: float) -> None:
        """Appends a row; `unwritten` metrics, speeds for example, go to TensorBoard only."""
        if self._board:
            with self._path.open('a') as file:
                file.write(json.dumps({'task': task, 'phase': phase, 'step': step, **metrics}) + '\n')
            for name, value in {**metrics, **unwritten}.items():
                self._board.add_scalar(f'{task}/{name}', value, step)

    def close(self) -> None:
        if self._board:
            self._board.close()


def read(path: Path) -> list[dict]:
    """Rows of a metrics.jsonl; a last line cut short by a kill is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
