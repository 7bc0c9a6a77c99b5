"""Free memory from made-up files of the kernel."""

from types import SimpleNamespace

import jax
import pytest

from downscale_jax.runtime import memory

GIB = 2**30


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Writes {path: text}; the machine has 8 GiB to give."""
    monkeypatch.setattr(memory, 'PROC', tmp_path / 'proc')
    monkeypatch.setattr(memory, 'GROUPS', tmp_path / 'groups')
    monkeypatch.setattr(memory.jax, 'local_devices', lambda: [SimpleNamespace(platform='cpu')])

    def write(files):
        for name, text in {'proc/meminfo': f'MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n', **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


def group(limit, used, cache, names=('memory.max', 'memory.current', 'inactive_file')):
    return {names[0]: f'{limit}\n', names[1]: f'{used}\n', 'memory.stat': f'anon 7\n{names[2]} {cache}\n'}


def placed(folder, files):
    return {f'groups/{folder}/{name}': text for name, text in files.items()}


def test_of_the_machine(kernel):
    kernel({})
    assert memory.available() == 8 * GIB


def test_of_the_tightest_group_above(kernel):
    """A job within a job: neither the root alone nor the innermost alone; cached files can go."""
    kernel({
        'proc/self/cgroup': '0::/job/step\n',
        **placed('job/step', group('max', GIB, 0)),
        **placed('job', group(4 * GIB, 3 * GIB, GIB)),
        **placed('.', group(6 * GIB, GIB, 0)),
    })  # fmt: skip
    assert memory.available() == 2 * GIB


def test_of_an_old_group(kernel):
    names = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
    cgroup = '3:cpu,cpuacct:/other\n2:memory:/job\n0::/\n'
    kernel({'proc/self/cgroup': cgroup, **placed('memory/job', group(3 * GIB, 2 * GIB, 0, names))})
    assert memory.available() == GIB


def test_a_limit_below_what_is_taken_is_nothing(kernel):
    kernel({'proc/self/cgroup': '0::/\n', **placed('.', group(GIB, 2 * GIB, 0))})
    assert memory.available() == 0


def test_devices_of_a_cpu_share_it(kernel, monkeypatch):
    kernel({})
    monkeypatch.setattr(memory.jax, 'local_devices', lambda: [SimpleNamespace(platform='cpu')] * 4)
    assert memory.available() == 2 * GIB


def test_a_kernel_that_tells_nothing(kernel):
    kernel({'proc/meminfo': ''})
    assert memory.available() == float('inf')


@pytest.mark.parametrize(
    ('stats', 'expected'), [({'bytes_limit': 9, 'bytes_in_use': 2}, 7), ({}, float('inf')), (None, float('inf'))]
)
def test_of_an_accelerator(kernel, monkeypatch, stats, expected):
    device = SimpleNamespace(platform='gpu', memory_stats=lambda: stats)
    monkeypatch.setattr(memory.jax, 'local_devices', lambda: [device])
    assert memory.available() == expected


def test_here():
    assert 2**20 < memory.available() < 2**50
    assert jax.local_devices()


@pytest.mark.parametrize(
    ('size', 'text'),
    [(0, '0 KiB'), (1536, '1.5 KiB'), (5 * 2**20, '5 MiB'), (2**30, '1 GiB'), (3.5 * 2**40, '3.5 TiB')],
)
def test_sizes_in_words(size, text):
    assert memory.format_bytes(size) == text
