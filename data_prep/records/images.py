"""Records of labelled images, one record per image, split by group."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.image_sets import Example, ImageSet
from data_prep.records.writer import SPLITS, Writer
from data_prep.sources import open_images
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.fields.transforms.moments import Moments
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS, Standardisation
from downscale_jax.runtime.errors import UserError

VERSION = 1  # of the records: raise it when they change
PATHS = ('path',)
KEYS = (
    'path', 'world', 'simulate', 'size', 'validation_share', 'test_share', 'split_by', 'arms', 'views', 'angle',
    'habits',
)  # fmt: skip
INTEGERS = ('label', 'group', 'seconds')


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the images of all splits and the transform fitted to the training split.

    With `data.split_by` 'group' all images of a group are in one split, which has the same share of every class;
    with 'image' they are dealt out one by one.
    """
    images = open_images(data, seed)
    shares = {'test': data['test_share'], 'validation': data['validation_share']}
    split_of = splitter(images, shares, data['split_by'] == 'image', seed)
    numbers = {'values': (len(images.values),)} if images.values else {}
    shapes = {'image': (*images.shape, len(images.channels)), **numbers, **dict.fromkeys(INTEGERS, ())}
    kept = dict.fromkeys(SPLITS, 0)
    channels, values = ([Moments() for _ in names] for names in (images.channels, images.values))
    with Writer(directory, shapes, 'Labelled images, one per record.') as writer:
        for number, example in enumerate(tqdm(images.examples(), desc='preparing images', leave=False, disable=None)):
            split = split_of(example.group, number)
            writer.add(split, **record_of(example, images))
            kept[split] += 1
            if split == 'train':
                add(channels, compressed(example.image, images))
                add(values, np.array(example.values))
    for split, count in kept.items():
        if not count:
            raise UserError(
                f"split '{split}' is empty: the data hold {len(images.group_labels)} groups of images; simulate or "
                f'collect more, or change data.{split}_share'
            )
    transform = ImageTransform(
        standardisation_of(channels, images),
        z_scores(values, images.values, ('1',) * len(images.values)),
        images.labels,
    )
    meta = {
        'name': name,
        'kind': 'images',
        'transform': transform.to_json(),
        'records': kept,
        'idealised': not data.get('path'),
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def splitter(images: ImageSet, shares: Mapping[str, float], by_image: bool, seed: int) -> Callable[[int, int], str]:
    """(group, number of the image) -> its split, the same share of every class for groups.

    The rest is for training. Groups of a class are dealt out in random order.
    """
    rng = np.random.default_rng((seed, 2**31))

    def split(place: float) -> str:
        bounds = np.cumsum(list(shares.values()))
        return next((name for name, bound in zip(shares, bounds, strict=True) if place < bound), 'train')

    if by_image:
        return lambda group, number: split(np.random.default_rng((seed, 2**31, number)).random())
    splits = [''] * len(images.group_labels)
    for label in np.unique(images.group_labels):
        groups = rng.permutation(np.flatnonzero(images.group_labels == label))
        for order, group in enumerate(groups):
            splits[group] = split((order + 0.5) / len(groups))
    return lambda group, number: splits[group]


def record_of(example: Example, images: ImageSet) -> dict[str, np.ndarray | int]:
    """The record of an image."""
    record: dict[str, np.ndarray | int] = {'image': example.image}
    if images.values:
        record['values'] = np.array(example.values, np.float32)
    label = int(images.group_labels[example.group])
    return record | {'label': label, 'group': int(example.group), 'seconds': example.seconds}


def add(moments: Sequence[Moments], values: np.ndarray) -> None:
    """Adds [..., C] channel by channel."""
    for channel, of_channel in enumerate(moments):
        of_channel.add(values[..., channel])


def compressed(image: np.ndarray, images: ImageSet) -> np.ndarray:
    """ln(1 + x) of the channels that are standardised so."""
    logarithmic = np.array(images.transforms or ('standard',) * len(images.channels)) == 'log1p'
    return np.where(logarithmic, np.log1p(np.where(logarithmic, image, 0)), image)


def standardisation_of(moments: Sequence[Moments], images: ImageSet) -> Standardisation:
    """The transform of channels from the moments of `compressed` images."""
    plain = z_scores(moments, images.channels, images.units)
    if not images.transforms:
        return plain
    factors = tuple(COMPRESSIONS[name] for name in images.transforms)

    def chosen(with_logarithm: tuple[float, ...], without: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(a if c else b for a, b, c in zip(with_logarithm, without, factors, strict=True))

    zeros, ones = plain.log_mean, plain.log_std
    return replace(
        plain, mean=chosen(zeros, plain.mean), std=chosen(ones, plain.std), log_mean=chosen(plain.mean, zeros),
        log_std=chosen(plain.std, ones), compression=factors,
    )  # fmt: skip


def z_scores(moments: Sequence[Moments], names: tuple[str, ...], units: tuple[str, ...]) -> Standardisation:
    """The transform of these means and standard deviations."""
    mean, std = tuple(m.mean for m in moments), tuple(m.std for m in moments)
    zeros, ones = (0.0,) * len(names), (1.0,) * len(names)
    return Standardisation(names, units, mean, std, zeros, ones, zeros)
