"""Writing of TFDS records shard by shard, by tasks of Dask (`data_prep.engine`).

A shard holds the records of a run of candidates (times, or pairs of them) of one split. Its bounds follow from the size
of a record alone, and its content from its candidates, so that files are the same bytes on any number of workers. It is
written aside and renamed; its summary, beside it until the data set is complete, marks it as done.

Files are array_record, each record a chunk of its own (random access), compressed by Snappy: TFDS's own writer
compresses by zstd, which takes three quarters of its time (docs/studies/speed.md).
"""

import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from data_prep import engine
from data_prep.records.serialisation import serialised
from data_prep.records.statistics import Statistics
from downscale_jax.pipeline.record_files import NAME, Shape, features
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.memory import format_bytes

SPLITS = ('train', 'validation', 'test')
SHARD_BYTES = 2**27
LARGE = 2**32  # bytes of records: below, their size is not reported
OPTIONS = 'group_size:1,snappy'
TEMPLATE = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}'


class Shard(NamedTuple):
    """Candidates `start` to `stop` of a split, whose records fill one file."""

    split: str
    number: int
    start: int
    stop: int


class Records(Protocol):
    """A kind of records of one data set; it goes to the workers, so it must be picklable."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """{name: shape} of a record: float32 arrays; integers where the shape is ()."""
        ...

    @property
    def description(self) -> str: ...

    def write(self, shard: Shard, add: Callable[..., None]) -> Statistics | None:
        """Passes each record of the shard to `add(**record)`; returns the statistics of a part of training."""
        ...


class Summary(NamedTuple):
    """Of the shards that were written."""

    counts: dict[tuple[str, int], tuple[int, int]]  # records and their bytes, by split and number of the shard
    statistics: Statistics | None  # of those of training

    def merged(self, later: 'Summary') -> 'Summary':
        both = [part.statistics for part in (self, later) if part.statistics is not None]
        statistics = both[0].merged(both[1]) if len(both) == 2 else both[0] if both else None
        return Summary({**self.counts, **later.counts}, statistics)

    def records(self, split: str) -> int:
        return sum(count for (name, _), (count, _) in self.counts.items() if name == split)


def write_records(directory: Path, records: Records, candidates: Mapping[str, int]) -> Summary:
    """Writes the shards that `directory`/records lacks and completes the data set; `candidates` by split."""
    folder = directory.resolve() / 'records' / NAME
    writer = ShardWriter(folder, records)
    writer.marks.mkdir(parents=True, exist_ok=True)
    size = sum(4 * int(np.prod(shape)) for shape in records.shapes.values())
    shards = shards_of(candidates, size)
    sizes = [size * (shard.stop - shard.start) for shard in shards]
    report_disk(folder, sum(sizes))
    summary = engine.map_reduce(writer, shards, Summary.merged, sizes, 'preparing')
    missing = [shard for shard in shards if not writer.path(shard).is_file()]
    if missing:
        raise UserError(
            f'{writer.path(missing[0])} was written by a worker but is not visible here: choose a --workdir on a file '
            'system that all workers share'
        )
    write_metadata(folder, records, summary)
    return summary


def report_disk(folder: Path, needed: int) -> None:
    """Reports the size of large records, and warns where it exceeds the space that is free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        messages.warning(
            f'records take up to {format_bytes(needed)}, but {format_bytes(free)} are free in {folder}: choose a '
            '--workdir on another disk, or fewer dates (data.train); compression saves space only where values repeat, '
            'as over land'
        )
    elif needed > LARGE:
        messages.info(f'records take up to {format_bytes(needed)} of {format_bytes(free)} that are free in {folder}')


def finish(directory: Path) -> None:
    """Removes what served to resume, and what killed workers left."""
    folder = directory / 'records' / NAME
    for path in [*(folder / '.marks').glob('*'), *folder.glob('.*.partial')]:
        path.unlink()
    (folder / '.marks').rmdir()


def shards_of(candidates: Mapping[str, int], record_bytes: int) -> list[Shard]:
    """Of about SHARD_BYTES each, in the order of the splits."""
    length = max(1, SHARD_BYTES // record_bytes)
    return [
        Shard(split, number, start, min(start + length, count))
        for split, count in candidates.items()
        for number, start in enumerate(range(0, count, length))
    ]


@dataclass(frozen=True)
class ShardWriter:
    """The task: writes a shard unless that is done already."""

    folder: Path
    records: Records

    @property
    def marks(self) -> Path:
        """Folder of the summaries of finished shards."""
        return self.folder / '.marks'

    def path(self, shard: Shard) -> Path:
        return self.folder / f'{self.folder.parent.name}-{shard.split}.array_record-{shard.number:05}'

    def __call__(self, shard: Shard) -> Summary:
        mark = self.marks / f'{shard.split}-{shard.number:05}.npz'
        if not mark.exists():
            self._write(shard, mark)
        with np.load(mark) as arrays:
            kept = {name: arrays[name] for name in arrays if name != 'count'}
            count, size = map(int, arrays['count'])
        statistics = Statistics.from_arrays(kept) if kept else None
        return Summary({(shard.split, shard.number): (count, size)}, statistics)

    def _write(self, shard: Shard, mark: Path) -> None:
        from array_record.python.array_record_module import ArrayRecordWriter

        path, shapes, count, size = self.path(shard), dict(self.records.shapes), 0, 0
        aside = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.partial')  # a task may run twice, if a worker is lost
        try:
            writer = ArrayRecordWriter(str(aside), OPTIONS)

            def add(**record: np.ndarray | int) -> None:
                nonlocal count, size
                if (given := {name: np.shape(value) for name, value in record.items()}) != shapes:
                    raise ValueError(f'a record has the shapes {given}, not {shapes}')
                example = serialised(record)
                writer.write(example)
                count, size = count + 1, size + len(example)

            statistics = self.records.write(shard, add)
            writer.close()
            aside.rename(path)
            arrays: dict[str, Any] = statistics.to_arrays() if statistics else {}
            with aside.open('wb') as file:
                np.savez(file, count=np.array([count, size]), **arrays)
            aside.rename(mark)
        finally:
            aside.unlink(missing_ok=True)


def write_metadata(folder: Path, records: Records, summary: Summary) -> None:
    """Writes the JSON files by which TFDS opens the shards."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.naming import ShardedFileTemplate
    from tensorflow_datasets.core.splits import SplitDict, SplitInfo

    name, version = folder.parent.name, folder.name
    identity = tfds.core.DatasetIdentity(
        name=name, version=tfds.core.Version(version), data_dir=str(folder), module_name=__name__
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features(records.shapes), description=records.description)
    info.set_file_format('array_record')
    infos = []
    for split in SPLITS:
        counts = [values for (named, _), values in sorted(summary.counts.items()) if named == split]
        files = ShardedFileTemplate(
            dataset_name=name, data_dir=folder, split=split, filetype_suffix='array_record', template=TEMPLATE
        )
        infos.append(SplitInfo(split, [count for count, _ in counts], sum(size for _, size in counts), files))
    info.set_splits(SplitDict(infos))
    info.write_to_directory(folder)
