import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import scaling as benchmark

ROOT = Path(__file__).parents[3]
MIB = 2**20


def measured(size, members, seconds, network, program):
    memory = {'program_mib': program + 5 * members, 'plain_mib': 5 * members}
    return {(size, members): {'unit': seconds, 'network': network, **memory, 'tiles': size // 256}}


def test_summary_of_what_was_made_up():
    found = {
        **measured(256, 1, [1.0, 2.0], [0.95, 1.9], 30),
        **measured(512, 1, [8.0, 8.0], [7.6, 6.4], 40),
        **measured(1024, 1, [32.0, 16.0], [31.0, 16.0], 70),
        **measured(512, 8, [64.0, 80.0], [60.8, 76.0], 40 + 7 * 3 * 512**2 * 8 / MIB),
        (1024, 8): {'program_mib': 110 + 7 * 5 * 1024**2 * 8 / MIB, 'plain_mib': 40},
    }
    _, clock, cores, memory = benchmark.summary(found, variables=2)
    # 1, 8, 32 for 1, 4, 16 times the area: ln 32 over ln 16
    assert 'as area^1.250, in several tiles as area^1.000, as members^1.000' in clock
    assert 'as area^0.750, in several tiles as area^0.500, as members^1.107' in cores
    assert 'network 0.950 at least' in clock
    assert 'network 0.800 at least' in cores
    assert memory.startswith('memory of a member besides the network: 4.0 domains at 512, 6.0 domains at 1024;')


@pytest.mark.parametrize('power', [0.5, 1.0, 1.3])
def test_exponent(power):
    times = {n: [0.0, 3 * n**power] for n in (1, 4, 8)}
    assert benchmark.exponent(times, 1) == pytest.approx(power)


@pytest.fixture(scope='module')
def config():
    found = runpy.run_path(str(ROOT / 'configs' / 'diffusion_dpdm.py'))['get_config']('smoke').to_dict()
    return {**found, 'sampling': {**found['sampling'], 'tile': 32, 'overlap': 8}}


def test_one_unit(config):
    found = benchmark.measure(config, size=72, members=2, rounds=1)
    assert found['tiles'] == 9
    field = 72 * 72 * 2 * 4 / MIB
    assert found['peak_mib'] > found['program_mib'] > 2 * field
    assert len(found['unit']) == len(found['network']) == 2
    assert min(*found['unit'], *found['network']) > 0


def test_the_network_says_something(config):
    program, arguments = benchmark.compiled(benchmark.untrained(config), 72, 2)
    fields, outside, finite = map(np.asarray, program(*arguments))
    # rain below 0 has become 0
    assert outside[0].tolist() == [(member[..., 1] == 0).sum() for member in fields[0]]
    assert finite[0].tolist() == [2 * 72 * 72] * 2
    assert fields.shape == (1, 2, 72, 72, 2)
    assert np.isfinite(fields).all()
    assert (fields[0, 0, ..., 0] != fields[0, 1, ..., 0]).mean() > 0.9


def test_turns_are_timed_on_the_clock_and_on_the_cores():
    said = []

    def slow():
        said.append('b')
        return sum(range(10**6))

    found = benchmark.in_turns([partial(said.append, 'a'), slow], 3)
    assert said == ['a', 'b'] * 3
    assert np.array(found).shape == (2, 2)
    assert found[1][0] > found[0][0]
    assert found[1][1] > 0
