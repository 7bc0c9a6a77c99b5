"""Records of labelled images, one record per image, split by group."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from data_prep.image_sets import Example, ImageSet
from data_prep.records.shards import SPLITS, Shard, write_records
from data_prep.records.statistics import Extremes, Statistics
from data_prep.sources import open_images
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.fields.transforms.moments import Moments
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS, Standardisation
from downscale_jax.runtime.errors import UserError

VERSION = 3  # of the records: raise it when they change
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
    if data['split_by'] == 'image':
        groups = dict.fromkeys(SPLITS, np.arange(len(images.group_labels)))
        records = LabelledImages(images, groups, partial(split_of_image, shares, seed))
    else:
        records = LabelledImages(images, split_groups(images.group_labels, shares, seed))
    written = write_records(directory, records, {split: len(groups) for split, groups in records.groups.items()})
    kept = {split: written.records(split) for split in SPLITS}
    for split, count in kept.items():
        if not count:
            raise UserError(
                f"split '{split}' is empty: the data hold {len(images.group_labels)} groups of images; simulate or "
                f'collect more, or change data.{split}_share'
            )
    assert written.statistics is not None  # of the training split, which has records
    channels, values = ([*map(Moments, written.statistics.sums[part])] for part in ('channels', 'values'))
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


def split_groups(labels: np.ndarray, shares: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """{split: its groups}, the same share of every class, dealt out in random order; the rest is for training.

    labels: [G], the class of each group.
    """
    rng, splits = np.random.default_rng((seed, 2**31)), np.empty(len(labels), object)
    for label in np.unique(labels):
        groups = rng.permutation(np.flatnonzero(labels == label))
        splits[groups] = [split_at((order + 0.5) / len(groups), shares) for order in range(len(groups))]
    return {split: np.flatnonzero(splits == split) for split in SPLITS}


def split_of_image(shares: Mapping[str, float], seed: int, group: int, number: int) -> str:
    """The split of an image by itself, at random."""
    return split_at(np.random.default_rng((seed, 2**31, group, number)).random(), shares)


def split_at(place: float, shares: Mapping[str, float]) -> str:
    """The split at a place in 0..1, along which they follow each other; the rest is for training."""
    bounds = np.cumsum(list(shares.values()))
    return next((name for name, bound in zip(shares, bounds, strict=True) if place < bound), 'train')


@dataclass(frozen=True)
class LabelledImages:
    """The records of the images of each split's groups, or of those among them that `chosen(group, number)` deals to
    the split."""

    images: ImageSet
    groups: Mapping[str, np.ndarray]
    chosen: Callable[[int, int], str] | None = None

    description = 'Labelled images, one per record.'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        images = self.images
        numbers = {'values': (len(images.values),)} if images.values else {}
        return {'image': (*images.shape, len(images.channels)), **numbers, **dict.fromkeys(INTEGERS, ())}

    def write(self, shard: Shard, add: Callable[..., None]) -> Statistics | None:
        """See `shards.Records`; the candidates are groups."""
        images, groups = self.images, self.groups[shard.split][shard.start : shard.stop]
        channels, values = ([Moments() for _ in names] for names in (images.channels, images.values))
        for _, of_group in groupby(images.examples(groups.tolist()), lambda example: example.group):
            for number, example in enumerate(of_group):
                if self.chosen and self.chosen(example.group, number) != shard.split:
                    continue
                add(**record_of(example, images))
                if shard.split == 'train':
                    add_to(channels, compressed(example.image, images))
                    add_to(values, np.array(example.values))
        if shard.split != 'train':
            return None
        sums = {name: sums_of(moments) for name, moments in (('channels', channels), ('values', values))}
        return Statistics(Extremes(0).values, sums)


def sums_of(moments: Sequence[Moments]) -> np.ndarray:
    """[C, 3] sums of the moments of C channels."""
    return np.array([of_channel.sums for of_channel in moments]).reshape(-1, 3)


def record_of(example: Example, images: ImageSet) -> dict[str, np.ndarray | int]:
    """The record of an image."""
    record: dict[str, np.ndarray | int] = {'image': example.image}
    if images.values:
        record['values'] = np.array(example.values, np.float32)
    label = int(images.group_labels[example.group])
    return record | {'label': label, 'group': int(example.group), 'seconds': example.seconds}


def add_to(moments: Sequence[Moments], values: np.ndarray) -> None:
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
