"""Images of particles: forms of files, segmentation, framing, and what is refused."""

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.images.reading import as_images, as_views, read
from downscale_jax.fields.images.silhouettes import FILL, framed, resampling, segmented
from downscale_jax.runtime.errors import UserError, WrongTypeError


def discs(count=3, size=20):
    """Dark discs of several radii, off centre, on a bright background."""
    y, x = np.indices((size, size))
    return np.stack([np.where(np.hypot(y - 8, x - 11) < 3 + k, 40, 230) for k in range(count)]).astype(np.uint8)


@pytest.fixture
def forms(tmp_path):
    images, labels = discs(), np.array(['a', 'b', 'a'])
    (tmp_path / 'png' / 'a').mkdir(parents=True)
    (tmp_path / 'png' / 'b').mkdir()
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        matplotlib.image.imsave(tmp_path / 'png' / label / f'{k}.png', image, cmap='gray', vmin=0, vmax=255)
    np.savez(tmp_path / 'images.npz', images=images, labels=labels)
    xr.Dataset({'images': (('image', 'y', 'x'), images), 'labels': ('image', labels.astype(object))}).to_zarr(
        tmp_path / 'images.zarr', zarr_format=3, consolidated=False
    )
    return tmp_path


def test_all_forms_give_the_same_silhouettes(forms):
    expected = framed(as_views(discs(), 1), 16)
    for name, order in (('png', [0, 2, 1]), ('images.npz', [0, 1, 2]), ('images.zarr', [0, 1, 2])):
        found = read(forms / name)
        assert list(found.labels) == [['a', 'b', 'a'][k] for k in order]
        np.testing.assert_allclose(framed(as_views(forms / name, 1), 16), expected[order], atol=1e-6)
    np.testing.assert_array_equal(as_images(xr.DataArray(discs())), discs())


def test_zeros_of_zarr_2_are_pixels(tmp_path):
    """Zarr 2 declares them as missing where a program sets no fill value."""
    images = np.where(discs() > 100, 0, discs())
    data = xr.Dataset({'images': (('image', 'y', 'x'), images, {'_FillValue': np.uint8(0)})})
    data.to_zarr(tmp_path / 'a.zarr', zarr_format=2, consolidated=False)
    np.testing.assert_array_equal(read(tmp_path / 'a.zarr').images, images)


def test_a_silhouette_is_the_largest_piece_without_its_holes():
    image = np.full((30, 30), 100.0)
    image[5:20, 5:20] = 20
    image[10:12, 10:12] = 100  # a bright spot within
    image[25:27, 25:27] = 0  # a fragment
    mask = segmented(image[..., None])[..., 0]
    expected = np.zeros((30, 30), bool)
    expected[5:20, 5:20] = True
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(segmented(255 - image[..., None])[..., 0], expected)


def test_framing_keeps_area_and_centres():
    image = np.zeros((40, 60))
    image[3:13, 40:50] = 1
    (found,) = framed(image[None, ..., None], 24)
    assert found.sum() == pytest.approx((FILL * 24) ** 2, rel=1e-5)
    np.testing.assert_allclose(found, found[::-1], atol=1e-6)
    np.testing.assert_allclose(found, found[:, ::-1], atol=1e-6)


def test_views_share_a_scale():
    wide, narrow = np.zeros((20, 20)), np.zeros((20, 20))
    wide[5:15, 2:18] = 1
    narrow[5:15, 8:12] = 1
    (found,) = framed(np.stack([wide, narrow], -1)[None], 30)
    assert found[..., 0].sum() == pytest.approx(4 * found[..., 1].sum(), rel=1e-5)


def test_resampling_shares_pixels_out():
    weights = resampling(slice(2, 6), 8, 4.0, 3)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[0], [0, 0, 0.75, 0.25, 0, 0, 0, 0])


def test_what_is_refused(tmp_path, forms):
    sizes = tmp_path / 'sizes'
    sizes.mkdir()
    for k, size in enumerate((10, 12)):
        matplotlib.image.imsave(sizes / f'{k}.png', np.eye(size))
    np.savez(tmp_path / 'other.npz', pictures=discs())
    np.savez(tmp_path / 'labels.npz', images=discs(), labels=['a'])
    np.savez(tmp_path / 'objects.npz', images=np.array([discs()[0], 'a'], object))
    (tmp_path / 'text.npz').write_text('no archive')
    for folder in ('empty', 'empty.zarr', 'broken'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'broken' / '0.png').write_text('no image')
    for path, message in (
        (sizes, r'1\.png has 12 x 12 pixels, but .*0\.png has 10 x 10: bring all images to one size'),
        (tmp_path / 'other.npz', r"other\.npz has no array 'images' .found pictures"),
        (tmp_path / 'labels.npz', r'labels of shape \(1,\) do not fit 3 images'),
        (tmp_path / 'empty', 'holds no PNG files'),
        (tmp_path / 'objects.npz', r'objects\.npz cannot be read as an \.npz file'),
        (tmp_path / 'text.npz', r'text\.npz cannot be read as an \.npz file'),
        (tmp_path / 'empty.zarr', r'empty\.zarr cannot be read as a Zarr store'),
        (tmp_path / 'broken', r'0\.png cannot be read as a PNG file'),
        (tmp_path / 'none.npz', r'none\.npz: no such file'),
        (tmp_path / 'o*.npz', r'o\*\.npz matches 2 files'),
    ):
        with pytest.raises(UserError, match=message):
            read(path)
    with pytest.raises(UserError, match='image 1 has an empty silhouette'):
        framed(np.stack([discs(1)[0], np.full((20, 20), 7)])[..., None].astype(float), 16)
    with pytest.raises(UserError, match='have 1 views, but the network was trained on 2'):
        as_views(discs(), 2)
    with pytest.raises(UserError, match=r'shape \(20, 20\)'):
        as_images(discs()[0])
    with pytest.raises(UserError, match='of the pixels have no value'):
        as_images(np.full((1, 4, 4), np.nan))
    with pytest.raises(UserError, match='images are of type complex128'):
        as_images(np.zeros((1, 4, 4), complex))
    with pytest.raises(WrongTypeError, match='images are a int'):
        as_images(3)
