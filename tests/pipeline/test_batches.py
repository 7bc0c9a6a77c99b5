from itertools import islice

import numpy as np
import pytest

from downscale_jax.pipeline.batches import batches
from downscale_jax.pipeline.patches import MIN_VALID, Patches, admissible
from downscale_jax.runtime.errors import UserError

PATCH = 8


def cut(prepared, **changes):
    return Patches(prepared, 'train', **{'size': PATCH, 'per_record': 1, 'flips': False, 'seed': 0, **changes})


def places(prepared, target):
    """Codes (time * 10000 + row * 100 + column) of normalised targets."""
    transform = prepared.transform
    return np.round(target[..., 0].astype(np.float64) * transform.target_std + transform.target_mean).astype(int)


def take(patches, count, size=4, start=0):
    return list(islice(batches(patches, size, start), count))


def times_of(patches, count):
    """Which records the first `count` batches of 4 show."""
    return np.concatenate([places(patches.prepared, b['target'])[:, 0, 0] // 10000 for b in take(patches, count)])


def test_starting_at_a_step_is_skipping_to_it(coast):
    patches = cut(coast[0], per_record=3, flips=True)
    whole = take(patches, 9)
    for start in (1, 4, 7):
        for skipped, started in zip(whole[start:], take(patches, 9 - start, start=start), strict=True):
            for name in ('target', 'condition', 'mask'):
                np.testing.assert_array_equal(skipped[name], started[name])


def test_shapes_and_types(coast):
    batch = take(cut(coast[0]), 1)[0]
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        'target': ((4, PATCH, PATCH, 1), np.float32),
        'condition': ((4, PATCH, PATCH, 3), np.float32),
        'mask': ((4, PATCH, PATCH, 1), bool),
    }


class Damaged:
    """Ten examples, the seventh of which cannot be read."""

    seed, count = 0, 10

    def batch(self, epochs, indices):
        if 6 in indices:
            raise UserError('record 6 is damaged')
        return {'x': np.asarray(indices, np.int64)}


def test_a_damaged_record_is_the_error_of_a_user():
    with pytest.raises(UserError, match=r'^record 6 is damaged$'):
        take(Damaged(), 5, size=2)


def test_every_epoch_is_a_permutation_of_all_examples(open_sea):
    # ten records, batches of four: epochs end within a batch
    shown = times_of(cut(open_sea[0]), 10).reshape(4, 10)
    np.testing.assert_array_equal(np.sort(shown, 1), np.tile(np.arange(10), (4, 1)))
    assert len({tuple(epoch) for epoch in shown}) == 4


def test_several_patches_of_a_record_each_shown_once(open_sea):
    shown = times_of(cut(open_sea[0], per_record=2), 10).reshape(2, 20)
    np.testing.assert_array_equal(np.sort(shown, 1), np.tile(np.repeat(np.arange(10), 2), (2, 1)))


def test_seeds_differ_in_order_and_place(open_sea):
    one, other = (np.concatenate([b['target'] for b in take(cut(open_sea[0], seed=seed), 5)]) for seed in (0, 1))
    assert (times_of(cut(open_sea[0]), 5) != times_of(cut(open_sea[0], seed=1), 5)).any()
    corners = [places(open_sea[0], targets)[:, 0, 0] for targets in (one, other)]
    assert not set(corners[0]) & set(corners[1])


def test_patches_are_cut_anew_in_every_epoch(open_sea):
    corners = [places(open_sea[0], b['target'])[:, 0, 0] for b in take(cut(open_sea[0]), 10)]
    assert len(set(np.concatenate(corners))) == 40


def test_crops_are_aligned_and_whole(open_sea):
    prepared, dataset = open_sea
    code, other = dataset['code'].values, dataset['other'].values
    transform = prepared.transform
    coarse = np.stack([prepared.split('train')[i]['coarse'] for i in range(10)])
    for batch in take(cut(prepared), 5):
        for target, condition in zip(places(prepared, batch['target']), batch['condition'], strict=True):
            time, top, left = target[0, 0] // 10000, target[0, 0] // 100 % 100, target[0, 0] % 100
            window = np.s_[time, top : top + PATCH, left : left + PATCH]
            np.testing.assert_array_equal(target, code[window])
            scaled = (coarse[window] - transform.input_mean) / transform.input_std
            np.testing.assert_allclose(condition[..., :2], scaled, atol=1e-5)
            assert (condition[..., 2] == 1).all()
    assert other.shape == code.shape


def test_target_is_the_anomaly_that_encode_gives(coast):
    prepared, _ = coast
    source = cut(prepared)
    record = prepared.split('train')[2]
    target, condition, valid = (array[0] for array in source.batch(np.array([0]), np.array([2])).values())
    encoded = prepared.transform.encode(record['fine'][..., None], record['coarse'])
    known = np.isfinite(encoded)
    windows = np.lib.stride_tricks.sliding_window_view(np.where(known, encoded, 0)[..., 0], (PATCH, PATCH))
    equal = np.isclose(windows, target[..., 0], atol=1e-6).all((2, 3))
    assert equal.sum() == 1
    top, left = np.argwhere(equal)[0]
    np.testing.assert_array_equal(valid, known[top : top + PATCH, left : left + PATCH])
    np.testing.assert_array_equal(condition[..., -1:] > 0, prepared.mask[top : top + PATCH, left : left + PATCH, None])


def test_never_nan_zero_where_invalid_and_never_too_little(coast):
    for batch in take(cut(coast[0], per_record=4, flips=True), 18):
        assert np.isfinite(batch['target']).all()
        assert np.isfinite(batch['condition']).all()
        assert (batch['target'][~batch['mask']] == 0).all()
        assert (batch['mask'].mean((1, 2, 3)) >= MIN_VALID).all()


def test_admissible_origins_by_hand():
    valid = np.zeros((4, 5), bool)
    valid[0, 0] = valid[3, 4] = True
    # windows of 2 x 2 with at least one valid cell of four: the first and the last of 3 x 4 origins
    np.testing.assert_array_equal(admissible(valid, 2), [0, 11])


def test_without_enough_anywhere_the_best_patch_is_taken():
    valid = np.zeros((6, 6), bool)
    valid[5, 5] = True
    np.testing.assert_array_equal(admissible(valid, 3), [15])
    np.testing.assert_array_equal(admissible(np.zeros((3, 3), bool), 3), [0])


def test_flips_only_flip(open_sea):
    plain, flipped = (cut(open_sea[0], flips=flips) for flips in (False, True))
    kinds = set()
    for index in range(40):
        before, after = plain.crop(0, index), flipped.crop(0, index)
        ways = {axes: [np.flip(a, axes) for a in before] for axes in ((), (0,), (1,), (0, 1))}
        same = [
            axes for axes, way in ways.items() if all(np.array_equal(a, b) for a, b in zip(way, after, strict=True))
        ]
        assert len(same) == 1
        kinds.add(same[0])
    assert len(kinds) == 4


def test_patches_cross_the_date_line(globe):
    prepared, dataset = globe
    code = dataset['code'].values
    lefts = set()
    for batch in take(cut(prepared, per_record=8), 20):
        for target in places(prepared, batch['target']):
            time, top, left = target[0, 0] // 10000, target[0, 0] // 100 % 100, target[0, 0] % 100
            columns = (left + np.arange(PATCH)) % 36
            np.testing.assert_array_equal(target, code[time, top : top + PATCH][:, columns])
            lefts.add(int(left))
    assert max(lefts) > 36 - PATCH


def test_patches_do_not_wrap_on_a_regional_grid(open_sea):
    lefts = [places(open_sea[0], b['target'])[:, 0, 0] % 100 for b in take(cut(open_sea[0]), 20)]
    assert np.concatenate(lefts).max() <= 32 - PATCH


def test_a_patch_that_does_not_fit(open_sea, globe):
    with pytest.raises(UserError, match=r'patch of 33 cells does not fit the grid of 32 x 32'):
        cut(open_sea[0], size=33)
    with pytest.raises(UserError, match=r'patch of 15 cells does not fit the grid of 14 x 36'):
        cut(globe[0], size=15)
    assert take(cut(open_sea[0], size=32), 1)[0]['target'].shape == (4, 32, 32, 1)
