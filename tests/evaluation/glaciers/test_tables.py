"""Tables of glaciers: outlines of prepared data that are missing or damaged."""

from types import SimpleNamespace

import pytest

from downscale_jax.evaluation.glaciers.tables import read_outlines
from downscale_jax.pipeline.records import OUTLINES
from downscale_jax.runtime.errors import UserError


def test_outlines_that_are_missing_or_damaged(tmp_path):
    prepared = SimpleNamespace(directory=tmp_path, remedy='prepare them again')
    for content in (None, b'', b'no GeoPackage'):
        if content is not None:
            (tmp_path / OUTLINES).write_bytes(content)
        with pytest.raises(UserError, match=rf'{OUTLINES} .*: prepare them again$'):
            read_outlines(prepared)
