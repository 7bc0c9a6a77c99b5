"""Settings of the system `dpdm`."""

from math import prod
from typing import Annotated, Self

from pydantic import model_validator

from downscale_jax.diffusion.discrete import BETAS
from downscale_jax.settings.data import RegionalData
from downscale_jax.settings.diffusion import DiffusionSettings
from downscale_jax.settings.generators import DistillationSettings, Generator, OnePassSettings
from downscale_jax.settings.kinds import (
    Blocks,
    Distinct,
    Dtype,
    OneOf,
    Section,
    Seed,
    Width,
    Widths,
    about,
    conflict,
    entries,
    shares,
    within,
)
from downscale_jax.settings.networks import Factors, UNetSettings
from downscale_jax.settings.training import AveragedTraining
from downscale_jax.settings.use import DiffusedBlocks, EnsembleEvaluation, check_conserved, check_targets

EDSR, EDSR_GAN = 'edsr', 'edsr_gan'
RIVALS = (EDSR, EDSR_GAN)


class DiscreteUNetSettings(UNetSettings):
    """The U-Net of discrete noise levels."""

    turns: Annotated[float, within(1, 1e6)] = about(
        'turns of the fastest sinusoid of the embedding over all noise levels, at most half of diffusion.steps'
    )


class DpdmNetworkSettings(Section):
    """The published network: `models.dpdm.DpdmUNet`."""

    inner: Annotated[int, within(32, 4096, multiple_of=32)] = about('channels of the finest level')
    multipliers: Annotated[tuple[Annotated[int, within(1, 64)], ...], entries(1, 12)] = about(
        'channels of each level as multiples of inner'
    )
    dropout: Annotated[float, shares()] = about('share of the channels that are dropped in training')


class Networks(Section):
    """The network and the sizes of either kind."""

    network: Annotated[str, OneOf(('unet', 'dpdm'))] = about('the network: the default or the published one')
    dtype: Dtype = about('precision of the computation')
    unet: DiscreteUNetSettings
    dpdm: DpdmNetworkSettings


class DiscreteDiffusion(DiffusionSettings):
    """Diffusion in discrete time."""

    # linear betas exceed 1 for 20 levels or fewer
    steps: Annotated[int, within(50, 100_000)] = about('discrete noise levels')
    betas: Annotated[str, OneOf(BETAS)] = about('schedule of the noise levels')


class EdsrSettings(Section):
    """The rivals."""

    factors: Factors = about('refinement factors, applied in turn; their product is data.factor')
    width: Width = about('channels')
    blocks: Blocks = about('residual blocks')
    discriminator: Widths = about('channels of the discriminator after each halving of the resolution')
    dense: Width = about('width of the dense layer of the discriminator')
    adversarial: Annotated[float, within(0, 1000)] = about('weight of the adversarial loss')


class DpdmSettings(Section):
    """A config of DPDM."""

    system: Annotated[str, OneOf(('dpdm',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    generator: Generator = about(
        'how members are generated: by repeated denoising, by a few evaluations distilled from it, or in one pass'
    )
    rivals: Annotated[tuple[Annotated[str, OneOf(RIVALS)], ...], entries(), Distinct()] = about(
        "baselines to train as well, 'edsr' first; (): none"
    )
    data: RegionalData
    model: Networks
    diffusion: DiscreteDiffusion
    one_pass: OnePassSettings
    distillation: DistillationSettings
    edsr: EdsrSettings
    training: AveragedTraining
    sampling: DiffusedBlocks
    evaluation: EnsembleEvaluation

    @model_validator(mode='after')
    def consistent(self) -> Self:
        check_targets(self.evaluation, self.data.variables)
        check_conserved(self.sampling.conserve, self.data.bounds)
        if self.rivals and self.rivals[0] != EDSR:
            raise conflict(f"rivals={self.rivals}: '{EDSR_GAN}' starts from '{EDSR}', which must come first")
        for name in self.rivals:
            if name not in self.training.chosen:
                raise conflict(f"rivals={self.rivals}: training has no phase '{name}'; add training.{name}")
        if self.rivals and prod(self.edsr.factors) != self.data.factor:
            raise conflict(
                f'edsr.factors={self.edsr.factors} refine cells {prod(self.edsr.factors)} times, but data.factor='
                f'{self.data.factor}: their product must equal data.factor'
            )
        return self
