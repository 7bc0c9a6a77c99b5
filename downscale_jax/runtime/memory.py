"""How much memory there is for one device of this process."""

from pathlib import Path

import jax

CGROUP = Path('/sys/fs/cgroup')


def free() -> float:
    """Bytes that a device may still take, infinite where nothing tells. Devices of a CPU share its memory."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and 'bytes_limit' in stats:
        return stats['bytes_limit'] - stats['bytes_in_use']
    return min(_of_machine(), _of_group()) / jax.local_device_count()


def _of_machine() -> float:
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:
        return float('inf')
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith('MemAvailable')), float('inf'))


def _of_group() -> float:
    """What a container or a batch system leaves (cgroup v2)."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ('memory.max', 'memory.current'))
    except OSError:
        return float('inf')
    return float('inf') if limit == 'max' else float(limit) - float(used)
