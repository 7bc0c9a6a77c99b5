"""How much memory there is for a device of this process, and giving back what it no longer needs."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import jax

PROC, GROUPS = Path('/proc'), Path('/sys/fs/cgroup')
UNLIMITED = float('inf')


def free() -> float:
    """Bytes that a device may still take, infinite where nothing tells. Devices of a CPU share its memory."""
    (device, *_) = devices = jax.local_devices()
    if device.platform == 'cpu':
        return min(_of_machine(), *_of_groups(), UNLIMITED) / len(devices)
    stats = device.memory_stats() or {}
    return stats['bytes_limit'] - stats['bytes_in_use'] if 'bytes_limit' in stats else UNLIMITED


def give_back() -> None:
    """Returns what was freed to the system, where the C library (glibc) can: it keeps a pool for each of its threads,
    and over a long run they all grow to the most that any of them ever held."""
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):
        trim(0)


def _of_machine() -> float:
    for line in _read(PROC / 'meminfo').splitlines():
        if line.startswith('MemAvailable'):
            return 1024.0 * int(line.split()[1])
    return UNLIMITED


def _of_groups() -> Iterator[float]:
    """What a container or a batch system leaves: of every control group, old or new, that this process is in. Files in
    the page cache that could go are not counted as taken, as MemAvailable does not."""
    for line in _read(PROC / 'self' / 'cgroup').splitlines():
        _, kinds, name = line.split(':', 2)
        root, limit, used, cache = (
            (GROUPS, 'memory.max', 'memory.current', 'inactive_file')
            if not kinds
            else (GROUPS / 'memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
        )
        if kinds and 'memory' not in kinds.split(','):
            continue
        inside = Path(name.strip('/'))
        for group in (root / inside, *((root / inside).parents[i] for i in range(len(inside.parts)))):
            found = [_read(group / file).strip() for file in (limit, used)]
            if all(text.isdigit() for text in found):
                statistics = dict(line.split() for line in _read(group / 'memory.stat').splitlines())
                yield max(0.0, float(found[0]) - float(found[1]) + float(statistics.get(cache, 0)))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
