"""Ensembles in an object store: the bytes of a folder, begun by one process, resumed, and shared."""

import threading

import pytest
import xarray as xr

from downscale_jax.downscale.dataset import Provenance
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output import filling, places
from downscale_jax.downscale.output.places import place_of
from downscale_jax.downscale.request import Source
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.runtime.errors import UserError

pytest.importorskip('obstore')

URL, PREFIX = 's3://bucket/runs/out.zarr', 'runs/out.zarr/'


class KilledError(Exception):
    pass


@pytest.fixture
def fill(generators, coarse, statics):
    """Fills a store, given by a path or URL, with three members."""
    generator = generators['diffusion']
    ensemble = Ensemble(generator, open_inputs(coarse, generator.transform, statics), statics, 3, 0)
    return lambda at, source='coarse.nc': filling.to_store(ensemble, at, Source(source), Provenance('a test'))


@pytest.fixture
def expected(fill, tmp_path):
    """{key: bytes} of the store in a folder."""
    path = tmp_path / 'out.zarr'
    fill(path)
    return {PREFIX + str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


def test_a_killed_run_resumes_and_ends_with_the_bytes_of_a_folder(fill, objects, expected, monkeypatch):
    generate, computed = filling.generate, []

    def killed(*args):
        for count, unit in enumerate(generate(*args)):
            if count == 2:
                raise KilledError
            yield unit

    monkeypatch.setattr(filling, 'generate', killed)
    with pytest.raises(KilledError):
        fill(URL)
    assert sum('clipped_share/c/' in key for key in objects) == 2
    monkeypatch.setattr(filling, 'generate', lambda *args: (computed.append(unit) or unit for unit in generate(*args)))
    fill(URL)
    assert len(computed) == 4
    assert objects == expected
    with pytest.raises(UserError, match=rf'{URL} holds an ensemble of another request.*other\.nc'):
        fill(URL, 'other.nc')
    assert store.open_dataset(URL).sizes['member'] == 3


def test_two_that_start_together_share_the_units(fill, objects, expected, monkeypatch):
    generate, computed, together = filling.generate, [], threading.Barrier(2)
    begin = places.Bucket.begin

    def begin_together(self, *args, **kwargs):
        together.wait(timeout=60)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(places, 'POLL', 0.01)
    monkeypatch.setattr(places.Bucket, 'begin', begin_together)
    monkeypatch.setattr(filling, 'generate', lambda *args: (computed.append(unit) or unit for unit in generate(*args)))
    both = [threading.Thread(target=fill, args=(URL,)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(computed) == 6
    assert objects == expected


def test_a_begin_that_was_killed_is_repeated(objects):
    """Without the metadata of the root, which come last, there is no store."""
    objects[PREFIX + 'time/zarr.json'] = b'cut'
    place = place_of(URL + '/')
    assert (str(place), place.name, place.exists()) == (URL, 'out.zarr', False)
    place.begin(xr.Dataset({'a': ('time', [1.0, 2.0])}), replaced=False)
    assert place.exists()
    xr.testing.assert_equal(xr.open_zarr(place.store()), xr.Dataset({'a': ('time', [1.0, 2.0])}))
    place.begin(xr.Dataset({'a': ('time', [3.0])}), replaced=False)  # another process was faster
    assert xr.open_zarr(place.store()).sizes['time'] == 2
    assert all(key.startswith(PREFIX) for key in objects)  # no claim is left


def test_a_server_that_does_not_answer(fill, monkeypatch):
    monkeypatch.setattr(object_stores, 'RETRIES', {'max_retries': 0})
    monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:9')
    monkeypatch.setenv('AWS_ALLOW_HTTP', 'true')
    monkeypatch.setenv('AWS_SKIP_SIGNATURE', 'true')
    with pytest.raises(UserError, match=rf'{URL}: .*credentials') as error:
        fill(URL)
    assert '\n' not in str(error.value)
