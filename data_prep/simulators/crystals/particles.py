"""Simulated silhouettes of particles of several habits."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.image_sets import Example, ImageSet
from data_prep.simulators.crystals.habits import HABITS
from data_prep.simulators.crystals.silhouettes import outline, project, views
from downscale_jax.runtime import messages


def simulate(seed: int, habits: Sequence[str], crystals: int, orientations: int, size: int) -> ImageSet:
    """`crystals` particles of each habit, each in `orientations` random orientations, framed as images of users.

    A particle is a function of (seed, its number).
    """
    labels = np.repeat(np.arange(len(habits)), crystals)

    def examples(groups: Sequence[int]) -> Iterator[Example]:
        failures = 0
        for group in groups:
            rng = np.random.default_rng((seed, group))
            while (mesh := HABITS[habits[int(labels[group])]](rng)) is None:
                failures += 1
            solid = outline(mesh)
            (rotations,) = views(orientations, 1, 0.0, rng)
            for image in project(solid, rotations, size):
                yield Example(image[..., None], (), group)
        if failures:
            messages.warning(f'{failures} unions of {len(groups) + failures} failed: those crystals were drawn again')

    return ImageSet(('silhouette',), ('1',), (), tuple(habits), labels, (size, size), examples)
