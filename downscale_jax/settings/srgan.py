"""Settings of the system `srgan`."""

from math import prod
from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from downscale_jax.models.srgan import ACTIVATIONS, BIASES, Padding
from downscale_jax.settings.data import BlockMeansData
from downscale_jax.settings.kinds import (
    Blocks,
    Distinct,
    Dtype,
    OneOf,
    Section,
    Seed,
    Width,
    about,
    conflict,
    entries,
    in_words,
    within,
)
from downscale_jax.settings.networks import DiscriminatorSettings, EncoderSettings, Factors
from downscale_jax.settings.training import Training
from downscale_jax.settings.use import BlockTiles, Evaluation, check_conserved, check_targets
from downscale_jax.tasks.content import Name

Loss = Annotated[float, Field(ge=0, allow_inf_nan=True)]


class GeneratorSettings(Section):
    """The generator: `models.srgan.GeneratorNetwork`."""

    factors: Factors = about('refinement factors, applied in turn; their product is data.factor')
    width: Width = about('channels')
    blocks: Blocks = about('residual blocks')
    kernel: Annotated[int, within(1, 99)] = about('cells per side of the first and the last convolution')
    activation: Annotated[str, OneOf(ACTIVATIONS)] = about('activation')
    padding: Annotated[str, OneOf(get_args(Padding))] = about('continuation beyond the edge: zeros or a mirror')
    biases: Annotated[str, OneOf(BIASES)] = about('initial values of the biases')
    dtype: Dtype = about('precision of the computation')


class ContentSettings(Section):
    """The content loss learned by AtmoDist."""

    workdir: str = about("work directory of a trained AtmoDist, for the content loss 'atmodist'")
    stage: Annotated[int, within(0, 12)] = about('stage of its encoder; 0: the last')
    shifts: Annotated[int, within(1, 100)] = about('random shifts per axis of the fields shown to the encoder; 1: none')
    scale: Annotated[str, OneOf(('network', 'standard'))] = about(
        'squared errors that its weight matches: of transformed values, or of z-scores'
    )
    model: EncoderSettings


class AdversarialTraining(Training):
    """Training of the generator alone, then of GANs."""

    adversarial: Annotated[float, within(0, 1000)] = about('weight of the adversarial loss')
    balance: Annotated[tuple[Loss, Loss], in_words('two losses, the lower first')] = about(
        'losses of the discriminator below and above which one network steps twice'
    )

    @model_validator(mode='after')
    def ordered(self) -> Self:
        if not self.balance[0] <= self.balance[1]:
            raise conflict(f'training.balance={self.balance}: two losses, the lower first, are needed')
        return self


class SrganSettings(Section):
    """A config of SRGAN."""

    system: Annotated[str, OneOf(('srgan',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    contents: Annotated[tuple[Annotated[str, OneOf(get_args(Name))], ...], entries(), Distinct()] = about(
        'content losses, with a GAN for each; (): the generator alone'
    )
    data: BlockMeansData
    model: GeneratorSettings
    discriminator: DiscriminatorSettings
    content: ContentSettings
    training: AdversarialTraining
    sampling: BlockTiles
    evaluation: Evaluation

    @model_validator(mode='after')
    def consistent(self) -> Self:
        check_targets(self.evaluation, self.data.variables)
        check_conserved(self.sampling.conserve, self.data.bounds)
        if prod(self.model.factors) != self.data.factor:
            raise conflict(
                f'model.factors={self.model.factors} refine cells {prod(self.model.factors)} times, but data.factor='
                f'{self.data.factor}: their product must equal data.factor'
            )
        if self.data.anomaly:
            raise conflict('data.anomaly=True: an SRGAN generates the whole field, which its discriminator judges')
        if self.contents and len(self.training.phases) < 2:
            raise conflict(
                f'training.phases={self.training.phases}: name one phase for the generator alone and one or more for '
                'GANs'
            )
        stages = len(self.content.model.widths)
        if self.content.stage > stages:
            raise conflict(f'content.stage={self.content.stage}: the encoder has stages 1 to {stages}; 0 is the last')
        return self
