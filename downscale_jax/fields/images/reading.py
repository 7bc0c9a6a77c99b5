"""Reading of images of particles from PNG files, NumPy archives, and Zarr stores."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import matplotlib.image
import numpy as np
import xarray as xr

from downscale_jax.fields.datasets.files.paths import files_of
from downscale_jax.runtime.errors import UserError, WrongTypeError

Given: TypeAlias = str | os.PathLike[str] | np.ndarray | xr.DataArray
T = TypeVar('T')
FORMS = 'a folder of PNG files, an .npz file or a Zarr store'


class Labelled(NamedTuple):
    """Grey images [N, H, W] or [N, V, H, W], and the name of the class of each, if known."""

    images: np.ndarray
    labels: np.ndarray | None


def as_views(given: Given, views: int) -> np.ndarray:
    """Images of crystals in `views` views, [N, H, W, V]. Raises UserError for another number of views."""
    images = as_images(given)
    images = images[:, None] if images.ndim == 3 else images
    if images.shape[1] != views:
        form = '(image, y, x)' if views == 1 else f'(image, view, y, x) with {views} views'
        raise UserError(f'the images have {images.shape[1]} views, but the network was trained on {views}: give {form}')
    return np.moveaxis(images, 1, -1)


def as_images(given: Given) -> np.ndarray:
    """Grey images [N, H, W] or [N, V, H, W]. Raises UserError as `read` does, and for other shapes and no images;
    WrongTypeError (a TypeError) for other types."""
    if isinstance(given, str | os.PathLike):
        return read(given).images
    if not isinstance(given, np.ndarray | xr.DataArray):
        raise WrongTypeError(f'images are a {type(given).__name__}: give {FORMS}, an array, or an xarray.DataArray')
    return checked(np.asarray(given), 'the images')


def read(path: str | os.PathLike[str]) -> Labelled:
    """The images and labels of a folder of PNG files, in sub-folders by class or not, of an .npz file or a Zarr store
    with `images` and perhaps `labels`.

    Raises UserError where the path is missing, is none of these, or holds images of several sizes or none.
    """
    name, *others = files_of(path)
    if others:
        raise UserError(f'{path} matches {1 + len(others)} files: give {FORMS}')
    if name.endswith('.npz'):
        return labelled(opened(name, 'an .npz file of numbers and text', read_archive), name)
    if Path(name, 'zarr.json').is_file() or name.endswith('.zarr'):
        return labelled(opened(name, 'a Zarr store', read_store), name)
    if Path(name).is_dir():
        return read_folder(Path(name))
    raise UserError(f'{name} holds no images that can be read: give {FORMS}')


def opened(name: str, form: str, reader: Callable[[str], T]) -> T:
    """The content of a file in a form. Raises UserError where its reader fails."""
    try:
        return reader(name)
    except Exception as error:  # libraries raise whatever their parsers do
        raise UserError(f'{name} cannot be read as {form}: write it again') from error


def read_archive(name: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, which may hold numbers and text, but no pickled objects."""
    with np.load(name, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def read_store(name: str) -> dict[str, np.ndarray]:
    """The arrays of a Zarr store, as they are stored: Zarr 2 declares zeros as missing where a program does not."""
    with xr.open_zarr(name, consolidated=False, mask_and_scale=False) as store:
        return {str(key): array.values for key, array in store.variables.items()}


def labelled(arrays: dict[str, np.ndarray], name: str) -> Labelled:
    """`images` and `labels` among arrays. Raises UserError where images are missing, or labels do not fit."""
    if 'images' not in arrays:
        raise UserError(f"{name} has no array 'images' (found {', '.join(arrays) or 'none'}): rename the array")
    images, labels = checked(arrays['images'], name), arrays.get('labels')
    if labels is not None and labels.shape != (len(images),):
        raise UserError(f'{name}: labels of shape {labels.shape} do not fit {len(images)} images: give one each')
    return Labelled(images, None if labels is None else np.array([str(label) for label in labels]))


def read_folder(folder: Path) -> Labelled:
    """PNG files, in order of their names; the names of sub-folders are the labels."""
    files = sorted(file for file in folder.rglob('*') if file.suffix.lower() == '.png')
    if not files:
        raise UserError(f'{folder} holds no PNG files: give {FORMS}')
    images = [grey(opened(str(file), 'a PNG file', matplotlib.image.imread)) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f'{file} has {image.shape[0]} x {image.shape[1]} pixels, but {files[0]} has {images[0].shape[0]} x '
                f'{images[0].shape[1]}: bring all images to one size'
            )
    by_class = any(file.parent != folder for file in files)
    return Labelled(np.stack(images), np.array([file.parent.name for file in files]) if by_class else None)


def grey(image: np.ndarray) -> np.ndarray:
    """[H, W] of a grey, RGB or RGBA image."""
    return image if image.ndim == 2 else image[..., : min(3, image.shape[-1])].mean(-1)


def checked(images: np.ndarray, name: str) -> np.ndarray:
    """Images as float32. Raises UserError for other types and shapes, no images, and values that are not finite."""
    if images.dtype.kind not in 'biuf':
        raise UserError(f'{name}: images are of type {images.dtype}: grey values as real numbers are needed')
    if images.ndim not in (3, 4) or not images.size:
        raise UserError(f'{name}: images have the shape {images.shape}: (image, y, x) or (image, view, y, x) is needed')
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise UserError(f'{name}: {np.mean(~np.isfinite(images)):.2%} of the pixels have no value: fill them')
    return images
