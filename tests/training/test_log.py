import json
import resource

import pytest
from tensorboardX.proto.event_pb2 import Event

from downscale_jax.runtime.errors import UserError
from downscale_jax.training.log import Log, read


def test_rows_are_cut_back_to_a_step_of_one_task(tmp_path):
    log = Log(tmp_path)
    for task, step in (('a', 1), ('a', 2), ('b', 1), ('b', 2)):
        log.row(task, 'main', step, {'train/loss': float(step)}, speed=3.0)
    log.close()
    Log(tmp_path).cut('b', 1)
    rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert rows == [
        {'task': task, 'phase': 'main', 'step': step, 'train/loss': float(step)}
        for task, step in (('a', 1), ('a', 2), ('b', 1))
    ]


def test_a_row_cut_short_is_no_row(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"task": "a", "step": 1}\n{"task": "a", "st')
    assert read(path) == [{'task': 'a', 'step': 1}]


def test_damaged_lines_are_left_out_with_a_warning(tmp_path, caplog):
    path = tmp_path / 'metrics.jsonl'
    assert read(path) == []
    path.write_bytes(b'{"task": "a", "step": 1}\n5\n\xff\n{"task": "a"}\n{"task": "a", "step": 2}\n')
    assert [row['step'] for row in read(path)] == [1, 2]
    assert '3 of 5 lines are damaged' in caplog.text


def test_tensorboard_reads_what_was_written(tmp_path):
    log = Log(tmp_path)
    log.row('a', 'main', 7, {'train/loss': 0.5}, speed=3.0)
    log.close()
    (path,) = (tmp_path / 'tensorboard').iterdir()
    assert path.name.startswith('events.out.tfevents.')
    data, events = path.read_bytes(), []
    while data:  # length, its checksum, event, its checksum
        size = int.from_bytes(data[:8], 'little')
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    assert events[0].file_version == 'brain.Event:2'
    assert [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in events[1:]] == [
        (7, 'a/train/loss', 0.5),
        (7, 'a/speed', 3.0),
    ]


@pytest.mark.parametrize(('told', 'short', 'long'), [('metrics.jsonl', 2000, 1), ('tensorboard', 1, 50)])
def test_a_full_disk_is_told_and_does_not_hang(tmp_path, told, short, long):
    log = Log(tmp_path)
    log.row('a', 'main', 1, {'train/loss': 1.0})
    before = (tmp_path / 'metrics.jsonl').read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # of a file, in bytes; Python ignores the signal
    try:
        with pytest.raises(UserError, match=f'cannot write .*{told}: File too large'):
            log.row('a', 'main', 2, {'x' * short: 1.0}, **{f'speed{n}': 1.0 for n in range(long)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    after = (tmp_path / 'metrics.jsonl').read_bytes()
    assert after == before if told == 'metrics.jsonl' else len(read(tmp_path / 'metrics.jsonl')) == 2
    log.close()
