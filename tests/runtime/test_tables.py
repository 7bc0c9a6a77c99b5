"""Tables whose modules are imported on use: every entry is there, and of the right kind."""

import pytest

from data_prep.prepare import KINDS
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.runtime.tables import ImportedOnUse
from downscale_jax.systems import SYSTEMS
from downscale_jax.systems.system import System


@pytest.mark.parametrize('name', list(SYSTEMS))
def test_systems(name):
    assert isinstance(SYSTEMS[name], System)


@pytest.mark.parametrize('name', list(MEASURES))
def test_measures(name):
    assert callable(MEASURES[name].add)
    assert callable(MEASURES[name].result)


@pytest.mark.parametrize('name', list(KINDS))
def test_kinds_of_records(name):
    kind = KINDS[name]
    assert {*kind.PATHS} <= {*kind.KEYS}
    assert kind.VERSION > 0
    assert callable(kind.write)


def test_a_module_is_imported_once():
    table = ImportedOnUse(join='os.path:join', plain=3)
    assert list(table) == ['join', 'plain']
    assert table['join'] is table['join']
    assert table['plain'] == 3
    with pytest.raises(KeyError):
        table['none']
