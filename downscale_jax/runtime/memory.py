"""Memory available to each device of this process, and release of freed memory to the system."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import jax

PROC, GROUPS = Path('/proc'), Path('/sys/fs/cgroup')
UNLIMITED = float('inf')
UNITS = {10: 'KiB', 20: 'MiB', 30: 'GiB', 40: 'TiB'}  # by their power of two


def available() -> float:
    """Bytes that each device can still allocate, infinite if unknown; CPU devices share the memory equally."""
    (device, *_) = devices = jax.local_devices()
    if device.platform == 'cpu':
        return of_host() / len(devices)
    stats = device.memory_stats() or {}
    return stats['bytes_limit'] - stats['bytes_in_use'] if 'bytes_limit' in stats else UNLIMITED


def of_host() -> float:
    """Bytes that this process can still allocate, infinite if unknown; needs no device."""
    return min(_system_memory(), *_group_memory(), UNLIMITED)


def trim() -> None:
    """Returns freed memory to the system (glibc only).

    glibc keeps a pool per thread, and over a long run every pool grows to the largest size that any thread needed.
    """
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):
        trim(0)


def _system_memory() -> float:
    for line in _read(PROC / 'meminfo').splitlines():
        if line.startswith('MemAvailable'):
            return 1024.0 * int(line.split()[1])
    return UNLIMITED


def _group_memory() -> Iterator[float]:
    """Memory left by each control group (v1 or v2) of this process, as containers and batch systems set them.

    Reclaimable page cache does not count as used, as in MemAvailable.
    """
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
            sizes = [_read(group / file).strip() for file in (limit, used)]
            if all(text.isdigit() for text in sizes):
                statistics = dict(line.split() for line in _read(group / 'memory.stat').splitlines())
                yield max(0.0, float(sizes[0]) - float(sizes[1]) + float(statistics.get(cache, 0)))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''


def format_bytes(size: float) -> str:
    """In KiB to TiB, to three digits."""
    power = next((power for power in (40, 30, 20) if size >= 2**power), 10)
    return f'{size / 2**power:.3g} {UNITS[power]}'
