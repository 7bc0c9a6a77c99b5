"""Settings of the systems `cloud_vae` and `crystal_vae`."""

from typing import Annotated

from downscale_jax.settings.images import CirrusData, ParticlesData
from downscale_jax.settings.kinds import Distinct, OneOf, Section, Seed, Widths, about, entries, within
from downscale_jax.settings.training import AveragedTraining

SPLITS = ('train', 'validation', 'test')


class VaeSettings(Section):
    """The autoencoder: `models.vae`."""

    widths: Widths = about('channels after each halving of the resolution')
    blocks: Annotated[int, within(0, 200)] = about('residual blocks per level; 0: a convolution alone')
    latents: Annotated[tuple[Annotated[int, within(1, 4096)], ...], entries(1, 12), Distinct()] = about(
        'latents of each autoencoder, trained in turn; the last is the one that is used'
    )


class VaeTraining(AveragedTraining):
    """Training of an autoencoder."""

    kl_weight: Annotated[float, within(0, 1000)] = about(
        'weight of the divergence of codes from the prior; 1: the evidence lower bound'
    )
    kl_warmup: Annotated[int, within(0, 1_000_000)] = about('steps over which this weight rises from zero')


class CloudVaeNetwork(VaeSettings):
    """The autoencoder of clouds, and how its codes become a metric."""

    translations: Annotated[int, within(1, 1024)] = about(
        'translations along the periodic axis x over which the codes of an image are averaged, so that positions do '
        'not matter; 1: the code of the image alone'
    )


class CloudEvaluation(Section):
    """Evaluation of a latent metric."""

    permutations: Annotated[int, within(20, 100_000)] = about('permutations of the test that tells schemes apart')


class CloudVaeSettings(Section):
    """A config of `cloud_vae`."""

    system: Annotated[str, OneOf(('cloud_vae',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    data: CirrusData
    model: CloudVaeNetwork
    training: VaeTraining
    evaluation: CloudEvaluation


class ClusterEvaluation(Section):
    """Evaluation of clusters in the latent space."""

    images: Annotated[int, within(1, 100_000)] = about('images of each split, at most')
    splits: Annotated[tuple[Annotated[str, OneOf(SPLITS)], ...], entries(1), Distinct()] = about(
        'splits whose images are clustered; with few images, add other splits: labels are not used in training'
    )


class CrystalVaeSettings(Section):
    """A config of `crystal_vae`."""

    system: Annotated[str, OneOf(('crystal_vae',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    data: ParticlesData
    model: VaeSettings
    training: VaeTraining
    evaluation: ClusterEvaluation
