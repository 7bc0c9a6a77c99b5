"""Messages about unknown names."""

from downscale_jax.runtime.errors import LISTED, suggestion


def test_the_nearest_name_or_not_too_many():
    names = [f'name{i:03}' for i in range(LISTED + 5)]
    assert "'name007'" in suggestion('nam007', names)
    few = suggestion('x', names[:3])
    assert all(name in few for name in names[:3])
    assert suggestion('x', names[:3], 'look there') == 'look there'
    many = suggestion('x', names)
    assert names[LISTED - 1] in many
    assert names[LISTED] not in many
    assert '5 more' in many
    assert 'none' in suggestion('x', [])
