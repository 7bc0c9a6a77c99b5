"""Claims in an object store: each by one living process; those of dead processes are taken over."""

import time
from datetime import timedelta

import pytest

from downscale_jax.downscale.output import object_claims
from downscale_jax.downscale.output.object_claims import ObjectClaims

pytest.importorskip('obstore')


@pytest.fixture
def folder():
    from obstore.store import MemoryStore

    return MemoryStore()


def names(folder):
    return {entry['path'] for entry in folder.list().collect()}


def test_a_unit_is_claimed_once(folder):
    with ObjectClaims(folder) as one, ObjectClaims(folder) as other:
        assert one.take('0.0')
        assert not other.take('0.0')
        assert not one.take('0.0')
        assert other.take('0.1')
        assert one.others()
        one.release('0.0')
        assert other.take('0.0')
    assert names(folder) == {'0.0', '0.1'}


def test_a_process_that_failed_gives_back_its_claims(folder):
    with ObjectClaims(folder) as failed:
        assert failed.take('0.0')
    with ObjectClaims(folder) as own, ObjectClaims(folder) as later:
        assert own.take('0.0')
        assert not later.take('0.0')


def test_a_process_is_dead_after_silence(folder, monkeypatch):
    with ObjectClaims(folder) as silent, ObjectClaims(folder) as own:
        assert silent.take('0.0')
        assert not own.take('0.0')
        monkeypatch.setattr(object_claims, 'SILENCE', 0.02)
        time.sleep(0.05)
        assert own.take('0.0')
        assert not own.others()


def test_of_two_that_take_over_only_one_succeeds(folder, monkeypatch):
    """The other reads the claim before, and writes after, the first takes it over."""
    with ObjectClaims(folder) as dead:
        assert dead.take('0.0')
    with ObjectClaims(folder) as first, ObjectClaims(folder) as second:

        def first_is_faster(lease):
            monkeypatch.undo()
            assert first.take('0.0')
            return True

        monkeypatch.setattr(second, '_is_dead', first_is_faster)
        assert not second.take('0.0')


def test_a_living_process_renews_its_lease(folder, monkeypatch):
    monkeypatch.setattr(object_claims, 'RENEWAL', 0.01)
    with ObjectClaims(folder) as own:
        begun = folder.head(own._lease)['last_modified']
        deadline = time.monotonic() + 10
        while folder.head(own._lease)['last_modified'] == begun and time.monotonic() < deadline:
            time.sleep(0.01)
        assert folder.head(own._lease)['last_modified'] - begun > timedelta(0)


def test_a_full_store_has_no_claims(folder):
    with ObjectClaims(folder) as own:
        assert own.take('0.0')
        own.remove()
    assert not names(folder)
