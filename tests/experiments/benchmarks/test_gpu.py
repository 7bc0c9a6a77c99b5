"""The benchmark of a GPU, at a toy size on the CPU: the same samples from both, and a row for each measurement."""

import pytest

torch = pytest.importorskip('torch')
benchmark = pytest.importorskip('experiments.benchmarks.gpu')
network = pytest.importorskip('experiments.benchmarks.pytorch.network')

TOY = {'widths': (8,), 'bottleneck': 8, 'stem': 1, 'tail': 0, 'time': 'input'}, 2


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_every_row(monkeypatch, capsys, dtype):
    monkeypatch.setitem(network.SIZES, 'toy', TOY)
    monkeypatch.setattr(benchmark, 'CELLS', 16)
    monkeypatch.setattr(torch, 'compile', lambda module: module)
    benchmark.compare('toy', dtype, batch=2, fields=1, peak=1.0, device='cpu', seconds=0.0)
    titles = [row[:32].strip() for row in capsys.readouterr().out.splitlines()]
    assert titles == [f'{dtype}, {what}, {by}' for what in ('training step', 'sampling') for by in ('PyTorch', 'JAX')]
