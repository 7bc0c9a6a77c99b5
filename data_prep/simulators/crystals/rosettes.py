"""Simulated bullet rosettes in random orientations, with their 3-D properties, as Ko et al. (arXiv 2507.19759)."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.image_sets import Example, ImageSet
from data_prep.simulators.crystals.habits import Rosette, draw_rosette, rosette_mesh
from data_prep.simulators.crystals.silhouettes import outline, project_views, views
from data_prep.simulators.crystals.solids import Trimesh, properties
from downscale_jax.runtime import messages

VALUES = ('ln_effective_density', 'ln_effective_surface', 'degrees_to_nearest_arm')


def simulate(
    seed: int, arms: Sequence[int], crystals: int, orientations: int, camera: tuple[int, float], size: int
) -> ImageSet:
    """`crystals` rosettes for each number of arms, each in `orientations` random orientations.

    camera: number of views and the angle between them in degrees. Views are the channels of an image of `size` pixels
    per side, on a common scale. Of the orientation the smallest angle between an arm and the line of sight of the first
    view is known. A crystal is a function of (seed, its number).
    """
    number, angle = camera
    counts = np.repeat(arms, crystals)

    def examples(groups: Sequence[int]) -> Iterator[Example]:
        failures = 0
        for group in groups:
            rng = np.random.default_rng((seed, group))
            rosette, mesh, failed = draw_mesh(int(counts[group]), rng)
            failures += failed
            known = properties(mesh)
            values = (float(np.log(known.effective_density)), float(np.log(known.effective_surface)))
            rotations = views(orientations, number, angle, rng)
            images = project_views(outline(mesh), rotations, size)
            for image, nearest in zip(images, nearest_arm(rosette, rotations[0]), strict=True):
                yield Example(image, (*values, float(nearest)), group)
        if failures:
            messages.warning(f'{failures} unions of {len(groups) + failures} failed: those crystals were drawn again')

    channels = tuple(f'view_{view + 1}' for view in range(number))
    labels = tuple(map(str, arms))
    return ImageSet(
        channels, ('1',) * number, VALUES, labels, np.repeat(np.arange(len(arms)), crystals), (size, size), examples
    )


def draw_mesh(arms: int, rng: np.random.Generator) -> tuple[Rosette, Trimesh, int]:
    """A random rosette, its mesh, and how many unions failed before it."""
    failed = 0
    while (mesh := rosette_mesh(rosette := draw_rosette(arms, rng))) is None:
        failed += 1
    return rosette, mesh, failed


def nearest_arm(rosette: Rosette, rotations: Rotation) -> np.ndarray:
    """[N] smallest angle in degrees between an arm and the line of sight, in N orientations."""
    along = np.abs(rotations.as_matrix()[:, 2] @ rosette.directions.T)
    return np.degrees(np.arccos(np.clip(along.max(-1), 0, 1)))
