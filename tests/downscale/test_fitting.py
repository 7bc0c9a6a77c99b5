"""Work units that shrink until they fit into memory."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale import fitting
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.tiles import Domain
from downscale_jax.runtime.errors import UserError

SHAPE = (30, 38)


class Inputs(SimpleNamespace):
    def __len__(self):
        return 1


def ensemble_of(generator, domain):
    mask = xr.Dataset({'mask': (('y', 'x'), np.ones(SHAPE, bool))})
    return Ensemble(generator, Inputs(domain=domain), mask, generator.partition.members, 0)


def needed(generator, domain, **partition):
    return fitting.memory_needed(generator.with_partition(**partition), domain, 1)


def test_units_shrink_until_they_fit_members_first(generators, caplog):
    generator, domain = generators['diffusion'].with_partition(overlap=4), Domain(SHAPE, 2)
    whole, one, smaller = (
        needed(generator, domain, **partition) for partition in ({}, {'members': 1}, {'members': 1, 'tile': 16})
    )
    assert whole > one > smaller
    for size, members, tile in ((whole, 2, 24), (one, 1, 24), (smaller, 1, 16)):
        caplog.clear()
        fitted = fitting.fit_to_memory(ensemble_of(generator, domain), size).generator.partition
        assert (fitted.members, fitted.tile) == (members, tile)
        assert ('sampling.members=2 does not fit' in caplog.text) == (members < 2)
        assert ('free memory: using 16' in caplog.text) == (tile < 24)
    with pytest.raises(UserError, match=r'one member on 30 x 38 cells in tiles of 16 needs .* [KMG]iB'):
        fitting.fit_to_memory(ensemble_of(generator, domain), smaller / 2)


def test_a_periodic_deterministic_unit_fits_too(generators, caplog):
    generator, domain = generators['regression'].with_partition(overlap=4), Domain(SHAPE, 2, periodic=True)
    least = needed(generator, domain, members=1, tile=16)
    fitted = fitting.fit_to_memory(ensemble_of(generator, domain), least).generator
    assert fitting.memory_needed(fitted, domain, 1) <= least
    assert fitted.partition.members == 1
    assert 'sampling.members' not in caplog.text
