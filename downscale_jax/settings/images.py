"""Settings of `data` for labelled images: simulation, sizes, and the split by groups."""

from typing import Annotated, Self

from pydantic import model_validator

from downscale_jax.settings.kinds import Distinct, OneOf, Section, Seed, about, above, conflict, entries, within

ROSETTES, PARTICLES, CIRRUS = 'rosettes', 'particles', 'cirrus'
CLOUD_SHAPE = (64, 64)  # rows and columns of an image of a cloud
HABITS = ('sphere', 'bullet_rosette', 'column', 'plate', 'aggregate')  # of simulated particles
Arms = Annotated[int, within(4, 10)]
Share = Annotated[float, above(0, 0.9)]
Pixels = Annotated[int, within(8, 1024)]


class Crystals(Section):
    """Simulated crystals."""

    crystals: Annotated[int, within(1, 100_000)] = about('crystals of each class')
    orientations: Annotated[int, within(1, 10_000)] = about('random orientations of each crystal')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class ImagesData(Section):
    """Labelled images in groups, each group in one split."""

    kind: Annotated[str, OneOf(('images',))] = about('kind of records')
    validation_share: Share = about('share of the groups of each class for validation')
    test_share: Share = about('share of the groups of each class for the test; the rest is for training')
    split_by: Annotated[str, OneOf(('group', 'image'))] = about(
        'units of the split: whole groups, or single images, which leaks and serves only to show the effect'
    )

    @model_validator(mode='after')
    def leaves_training(self) -> Self:
        if self.validation_share + self.test_share > 0.9:
            raise conflict(
                f'data.validation_share={self.validation_share} and data.test_share={self.test_share} leave less than '
                'a tenth for training: lower them'
            )
        return self


class RosettesData(ImagesData):
    """Silhouettes of simulated bullet rosettes and their 3-D properties."""

    world: Annotated[str, OneOf((ROSETTES,))] = about('the simulated world')
    simulate: Crystals = about('the simulation')
    arms: Annotated[tuple[Arms, ...], entries(2), Distinct()] = about('numbers of arms, each a class')
    size: Pixels = about('pixels per side of an image')
    views: Annotated[int, within(1, 2)] = about('silhouettes of each crystal, by cameras side by side')
    angle: Annotated[float, within(1, 179)] = about(
        'angle between two views in degrees: 90 for a 2D-S probe, 120 for PHIPS'
    )


class ParticlesData(ImagesData):
    """Silhouettes of particles of several classes: simulated, or from a file."""

    world: Annotated[str, OneOf((PARTICLES,))] = about('the simulated world')
    path: str = about(
        'a folder of PNG files, in sub-folders by class, an .npz file or a Zarr store with `images` and `labels`; '
        'empty: simulated'
    )
    simulate: Crystals = about('the simulation, where path is empty')
    habits: Annotated[tuple[Annotated[str, OneOf(HABITS)], ...], entries(2), Distinct()] = about('simulated classes')
    size: Pixels = about('pixels per side of an image')


class CirrusSimulation(Section):
    """The simulated cirrus."""

    members: Annotated[int, within(3, 10_000)] = about('members with the bulk scheme')
    lagrangian: Annotated[int, within(3, 10_000)] = about('members with particles instead of the bulk scheme')
    times: Annotated[int, within(2, 1000)] = about('images of each member, one every 10 minutes')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class CirrusData(ImagesData):
    """Images of an ensemble of cloud simulations."""

    world: Annotated[str, OneOf((CIRRUS,))] = about('the simulated world')
    path: str = about(
        'a file with `lwc` and `reff` (z, y, x) of a simulated liquid cloud, whose levels are the images; empty: '
        'simulated'
    )
    simulate: CirrusSimulation = about('the simulation, where path is empty')

    @model_validator(mode='after')
    def keeps_series(self) -> Self:
        if self.split_by == 'image' and not self.path:
            raise conflict("data.split_by='image' divides the images of a member among the splits: use 'group'")
        return self
