"""Settings of the system `diffusion`."""

from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from downscale_jax.diffusion.schedule import LEVELS, Prediction
from downscale_jax.settings.data import RefinementData
from downscale_jax.settings.generators import DistillationSettings, Generator, OnePassSettings, StepsShare
from downscale_jax.settings.kinds import Dtype, OneOf, Section, Seed, about, conflict, in_words
from downscale_jax.settings.networks import UNetSettings
from downscale_jax.settings.training import AveragedTraining
from downscale_jax.settings.use import Diffused, RefinementEvaluation, check_targets

SignalRate = Annotated[float, Field(gt=0, lt=1)]


class DenoiserSettings(UNetSettings):
    """The U-Net of the diffusion model and of the regression."""

    dtype: Dtype = about('precision of the computation; parameters stay float32')


class DiffusionSettings(Section):
    """What a diffusion model of any schedule learns."""

    prediction: Annotated[str, OneOf(get_args(Prediction))] = about('quantity that the network predicts')
    weighting: Annotated[str, OneOf(get_args(Prediction))] = about('quantity whose squared error is minimised')
    first_guess: bool = about('generate the residual of the regression instead of the target itself')
    cross_fitting: Annotated[int, Field(ge=1, le=10)] = about(
        'number of parts of the training split; one regression per part is trained on the others, for training '
        'periods so short that a single regression overfits; 1: a single regression'
    )
    regression_steps_share: StepsShare = about('training steps of the regression relative to those of each phase')

    @model_validator(mode='after')
    def used(self) -> Self:
        if self.cross_fitting > 1 and not self.first_guess:
            raise conflict(f'diffusion.cross_fitting={self.cross_fitting} needs diffusion.first_guess=True')
        return self


class ContinuousDiffusion(DiffusionSettings):
    """Diffusion in continuous time."""

    signal_rates: Annotated[
        tuple[SignalRate, SignalRate], in_words('two signal rates between 0 and 1, the larger first')
    ] = about('signal rates at t = 0 and t = 1')
    level: Annotated[str, OneOf(LEVELS)] = about('noise level shown to the network: its angle or its variance')

    @model_validator(mode='after')
    def falls(self) -> Self:
        if not self.signal_rates[0] > self.signal_rates[1]:
            raise conflict(f'diffusion.signal_rates={self.signal_rates}: give the larger signal rate first')
        return self


class SeaIceSettings(Section):
    """A config of super-resolution by diffusion."""

    system: Annotated[str, OneOf(('diffusion',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    generator: Generator = about(
        'how members are generated: by repeated denoising, by a few evaluations distilled from it, or in one pass'
    )
    data: RefinementData
    model: DenoiserSettings
    diffusion: ContinuousDiffusion
    one_pass: OnePassSettings
    distillation: DistillationSettings
    training: AveragedTraining
    sampling: Diffused
    evaluation: RefinementEvaluation

    @model_validator(mode='after')
    def consistent(self) -> Self:
        check_targets(self.evaluation, (self.data.target,))
        return self
